// The three batch sizes: train_batch_size = train_micro_batch_size_per_gpu x gradient_accumulation_steps x ranks.
#pragma once

#include <cstdint>

namespace deepspeed::config {

struct Config;

/// Bounds that keep every product of the three far from overflow.
inline constexpr int64_t kLargestBatchFactor = 1'000'000;
inline constexpr int64_t kLargestTrainBatchSize = 1'000'000'000'000;

/// Derives the batch sizes that the config leaves open; afterwards all three have a value. `data_parallel_size` is the
/// number of ranks that see different samples. A second call with another size starts from the given values again.
/// Throws ConfigError that prints the three values, where each came from, and values that fit.
void resolve_batch(Config& config, int data_parallel_size);

}  // namespace deepspeed::config

// The oracle: a single-process, plain-LibTorch run of the same training, rank by rank and micro-batch by micro-batch,
// in the same dtype, summed in the accumulation dtype.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "deepspeed/detail/training_engine.h"
#include "engine/oracle_models.h"
#include "support/ranks.h"

namespace deepspeed::testing {

/// One way to train: what the engine's config says.
struct OracleSetup {
  int stage = 0;
  int accumulation = 1;
  std::string dtype = "fp32";  ///< fp32, bf16 or fp16
  bool overlap = true;
  int64_t bucket = 0;  ///< reduce_bucket_size and allgather_bucket_size; 0: absent
  std::string optimizer = "sgd";
  int64_t persistence = 0;  ///< stage3_param_persistence_threshold
  bool no_sync = false;     ///< all but the last micro-batch under no_sync
  std::string wire;         ///< communication_data_type; "": absent
};

/// A mistake made on purpose, to see that it is noticed.
enum class Fault { kNone, kScaledGradient, kReducedTwice };

/// What a run showed, for comparisons between setups: bit for bit.
struct OracleTrace {
  std::vector<float> losses;
  std::vector<double> norms;
  std::vector<std::string> differences;  ///< from the oracle, a sentence each; empty: equal within tolerance
};

/// Trains `row` for four steps with the engine and beside the oracle.
OracleTrace train_beside_oracle(RankContext& context, const OracleRow& row, const OracleSetup& setup,
                                Fault fault = Fault::kNone);

std::string config_text(const OracleSetup& setup, int world);

}  // namespace deepspeed::testing

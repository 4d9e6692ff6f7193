// Damaged configs: whatever the bytes, loading gives a Config or a ConfigError.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "config/batch.h"
#include "config/config.h"
#include "config/effective.h"
#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

constexpr std::string_view kSeed = R"({ // a config with a bit of everything
  "train_batch_size": 32, "gradient_accumulation_steps": "auto", "steps_per_print": 10, # often
  "optimizer": {"type": "AdamW", "params": {"lr": 1.5e-4, "betas": [0.9, 0.999], "eps": 1e-8}},
  "scheduler": {"type": "WarmupLR", "params": {"warmup_num_steps": 10}},
  "fp16": {"enabled": true, "loss_scale": 0, "hysteresis": 2}, "bf16": {"enabled": false},
  "zero_optimization": {"stage": 2, "reduce_bucket_size": 5e8, "offload_param": {"device": "none"}, "overlap_comm": true},
  "tensor_parallel": {"partition_config": {"layer_specs": [{"patterns": ["a.*\u00e9"], "partition_type": "row"}]}},
  "data_efficiency": {"data_sampling": {"curriculum_learning": {"curriculum_metrics": {"m": {"min_difficulty": 8}}}}}
})";

constexpr std::array<std::string_view, 24> kTokens = {
    "{",     "}",  "[",        "]",         ",",        ":",       "\"",       "\\",
    "/*",    "*/", "//",       "#",         "null",     "true",    "Infinity", "NaN",
    "1e999", "-0", "\"auto\"", "\"stage\"", "\xFF\xFE", "\\ud800", "\n",       "9223372036854775808"};

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  std::string mutate(std::string text) {
    for (size_t change = 1 + below(4); change > 0; --change) {
      const size_t at = below(text.size() + 1);
      switch (below(4)) {
        case 0:
          text.insert(at, kTokens[below(kTokens.size())]);
          break;
        case 1:
          text.erase(at, below(12));
          break;
        case 2:
          if (at < text.size()) text[at] = static_cast<char>(below(256));
          break;
        default:
          text.insert(at, text.substr(below(text.size() + 1), below(40)));
      }
    }
    return text;
  }

 private:
  size_t below(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }

  std::mt19937 random_;
};

TEST(Mutation, DamagedTextGivesAConfigOrAConfigError) {
  Mutator mutator(20261123);
  int accepted = 0;
  int refused = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::string text = mutator.mutate(std::string(kSeed));
    try {
      Config config = load_config(text, "mutation");
      ++accepted;
      resolve_batch(config, 4);
    } catch (const ConfigError&) {
      ++refused;
    } catch (const std::exception& error) {
      FAIL() << error.what() << " for\n" << text;
    }
  }
  EXPECT_GT(accepted, 250);
  EXPECT_GT(refused, 2'500);
}

TEST(Mutation, EveryPrefixOfAConfigIsRefused) {
  for (size_t length = 0; length < kSeed.size(); ++length) {
    EXPECT_THROW(load_config(kSeed.substr(0, length), "prefix"), ConfigError) << length;
  }
  EXPECT_NO_THROW(effective_config(load_config(kSeed, "whole")));
}

}  // namespace
}  // namespace deepspeed::config

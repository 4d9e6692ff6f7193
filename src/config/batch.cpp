#include "config/batch.h"

#include <algorithm>
#include <string>

#include "config/config.h"
#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

constexpr const char* kTotal = "train_batch_size";
constexpr const char* kMicro = "train_micro_batch_size_per_gpu";
constexpr const char* kSteps = "gradient_accumulation_steps";

class Triangle {
 public:
  Triangle(Config& config, int64_t ranks) : config_(config), ranks_(ranks) {}

  void resolve() {
    keep_given(kTotal, config_.train_batch_size, kLargestTrainBatchSize);
    keep_given(kMicro, config_.train_micro_batch_size_per_gpu, kLargestBatchFactor);
    keep_given(kSteps, config_.gradient_accumulation_steps, kLargestBatchFactor);
    auto& total = config_.train_batch_size;
    auto& micro = config_.train_micro_batch_size_per_gpu;
    auto& steps = config_.gradient_accumulation_steps;
    if (!total && !micro) fail_without_batch();
    if (!steps && !(total && micro)) derive(kSteps, steps, 1, "1 unless given");
    if (!total) {
      derive(kTotal, total, *micro * *steps * ranks_, concat(*micro, " x ", *steps, " x ", ranks_, " ranks"));
    } else if (!micro) {
      derive(kMicro, micro, *total / ranks_ / *steps, concat(*total, " / ", ranks_, " ranks / ", *steps));
    } else if (!steps) {
      derive(kSteps, steps, *total / *micro / ranks_, concat(*total, " / ", *micro, " / ", ranks_, " ranks"));
    }
    if (*micro < 1 || *steps < 1 || *total != *micro * *steps * ranks_) fail_unequal();
  }

 private:
  // Drops a value that an earlier call derived. Bounds are checked here too, since code may have set the value.
  void keep_given(const char* key, std::optional<int64_t>& value, int64_t largest) {
    if (config_.provenance.origin(key) == Origin::kDerived) value.reset();
    DS_CHECK(!value || (*value >= 1 && *value <= largest), ConfigError, "[config] ", key, ": got ", *value,
             ", expected an integer from 1 to ", largest);
  }

  void derive(const char* key, std::optional<int64_t>& value, int64_t derived, const std::string& how) {
    value = derived;
    config_.provenance.set(key, Origin::kDerived, how);
  }

  // "given", also where code set the value without a text.
  std::string origin(const char* key) const {
    const std::string description = config_.provenance.describe(key);
    return description == "default" || description == "auto" ? "given" : description;
  }

  [[noreturn]] void fail_without_batch() const {
    const auto absent = [&](const char* key) {
      return concat(key, config_.provenance.origin(key) == Origin::kAuto ? " is \"auto\"" : " is absent");
    };
    throw ConfigError(concat("[config] no batch size: ", absent(kTotal), ", ", absent(kMicro),
                             ". Give at least one of the two, for example \"", kMicro, "\": 1."));
  }

  [[noreturn]] void fail_unequal() const {
    const int64_t total = *config_.train_batch_size;
    const int64_t micro = *config_.train_micro_batch_size_per_gpu;
    const int64_t steps = *config_.gradient_accumulation_steps;
    const auto line = [&](const char* key, int64_t value) {
      return concat("\n  ", key, " = ", value, " (", origin(key), config_.provenance.location(key), ")");
    };
    throw ConfigError(concat("[config] the batch sizes do not fit: ", kTotal, " must be ", kMicro, " x ", kSteps,
                             " x ranks, but ", total, " is not ", micro, " x ", steps, " x ", ranks_, " = ",
                             micro * steps * ranks_, line(kTotal, total), line(kMicro, micro), line(kSteps, steps),
                             "\n  data-parallel ranks = ", ranks_, "\n  These fit:", remedies(total, micro, steps)));
  }

  // Every single change that makes the product right, then the nearest batch size where a side may follow it.
  std::string remedies(int64_t total, int64_t micro, int64_t steps) const {
    std::string text;
    const auto suggest = [&](const char* key, int64_t value) { text += concat("\n    \"", key, "\": ", value); };
    const bool total_free = micro >= 1 && steps >= 1;
    if (total_free) suggest(kTotal, micro * steps * ranks_);
    if (steps >= 1 && total % (steps * ranks_) == 0) suggest(kMicro, total / (steps * ranks_));
    if (micro >= 1 && total % (micro * ranks_) == 0) suggest(kSteps, total / (micro * ranks_));
    if (total % ranks_ == 0 && text.find(kSteps) == std::string::npos && text.find(kMicro) == std::string::npos) {
      text += concat("\n    \"", kMicro, "\": ", total / ranks_, " with \"", kSteps, "\": 1");
    }
    if (is_given(kMicro) && is_given(kSteps)) return text;  // the product above is the only one
    const int64_t given_step = std::max<int64_t>(1, (is_given(kMicro) ? micro : 1) * (is_given(kSteps) ? steps : 1));
    const int64_t unit = given_step * ranks_;
    const int64_t nearest = std::max(unit, (total + unit / 2) / unit * unit);
    if (!total_free || nearest != micro * steps * ranks_) suggest(kTotal, nearest);
    return text;
  }

  bool is_given(const char* key) const { return config_.provenance.origin(key) != Origin::kDerived; }

  Config& config_;
  int64_t ranks_;
};

}  // namespace

void resolve_batch(Config& config, int data_parallel_size) {
  DS_CHECK(data_parallel_size >= 1, ConfigError, "[config] data-parallel size: got ", data_parallel_size,
           ", expected at least 1");
  const auto& wanted = config.data_parallel_size;
  if (wanted && *wanted != data_parallel_size) {
    config.provenance.fail("data_parallel_size",
                           concat("got ", *wanted, ", but ", data_parallel_size, " ranks see different samples. Start ",
                                  *wanted, " ranks, or remove the key."));
  }
  Triangle(config, data_parallel_size).resolve();
}

}  // namespace deepspeed::config

// The five schedules. Formulas and defaults are those of DeepSpeed 0.19.8, so that a run gives the same rates.
#include "optim/schedules.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "deepspeed/error.h"

namespace deepspeed::optim {
namespace {

using nlohmann::json;

/// Reads scheduler.params of one type; every error names the key.
class Params {
 public:
  Params(std::string_view type, const json& params, size_t num_groups) : params_(params), num_groups_(num_groups) {
    DS_CHECK(params.is_object() || params.is_null(), ConfigError, "[optim] scheduler.params: got ", params.dump(),
             ", expected an object with the parameters of ", type, ".");
  }

  void expect_known(std::string_view type, std::span<const std::string_view> names) const {
    std::string known;
    for (const auto name : names) known += concat(name, ", ");
    known += "last_batch_iteration";
    for (const auto& [key, value] : params_.items()) {
      DS_CHECK(key == "last_batch_iteration" || std::ranges::find(names, key) != names.end(), ConfigError,
               "[optim] scheduler.params.", key, ": ", type, " has no such parameter, expected one of ", known, ".");
    }
  }

  bool has(const char* name) const { return params_.contains(name) && !params_[name].is_null(); }

  double number(const char* name, std::optional<double> default_value = {}) const {
    if (!has(name)) return required(name, default_value);
    if (!params_[name].is_number()) fail(name, "a number");
    return params_[name].get<double>();
  }

  int64_t whole(const char* name, std::optional<double> default_value = {}) const {
    const double value = number(name, default_value);
    if (value != std::floor(value)) fail(name, "a whole number");
    return static_cast<int64_t>(value);
  }

  int64_t positive(const char* name, std::optional<double> default_value = {}) const {
    const int64_t value = whole(name, default_value);
    if (value <= 0) fail(name, "a whole number above 0");
    return value;
  }

  bool flag(const char* name, bool default_value) const {
    if (!has(name)) return default_value;
    if (!params_[name].is_boolean()) fail(name, "true or false");
    return params_[name].get<bool>();
  }

  /// One number for all groups, or a list with one number per group.
  std::vector<double> per_group(const char* name, std::optional<double> default_value = {}) const {
    if (!has(name) || !params_[name].is_array()) return std::vector<double>(num_groups_, number(name, default_value));
    const json& list = params_[name];
    const bool fits =
        list.size() == num_groups_ && std::ranges::all_of(list, [](const json& j) { return j.is_number(); });
    if (!fits) fail(name, concat("a number, or a list of ", num_groups_, " numbers, one per optimizer group"));
    return list.get<std::vector<double>>();
  }

  bool logarithmic_warmup() const {
    if (!has("warmup_type") || params_["warmup_type"] == "log") return true;
    if (params_["warmup_type"] != "linear") fail("warmup_type", "\"log\" or \"linear\"");
    return false;
  }

  [[noreturn]] void fail(const char* name, std::string_view expected) const {
    throw ConfigError(
        concat("[optim] scheduler.params.", name, ": got ", params_[name].dump(), ", expected ", expected, "."));
  }

 private:
  static double required(const char* name, std::optional<double> default_value) {
    DS_CHECK(default_value.has_value(), ConfigError, "[optim] scheduler.params.", name,
             ": is missing and has no default. Add it.");
    return *default_value;
  }

  const json& params_;
  size_t num_groups_;
};

/// From 0 to 1 over `num_steps` (at least 2) iterations, by logarithm or linearly; 1 afterwards.
class Warmup {
 public:
  explicit Warmup(const Params& params)
      : num_steps_(std::max<int64_t>(2, params.positive("warmup_num_steps", 1000))),
        logarithmic_(params.logarithmic_warmup()) {}

  int64_t num_steps() const { return num_steps_; }

  double at(int64_t iteration) const {
    if (iteration >= num_steps_) return 1.0;
    if (!logarithmic_) return static_cast<double>(iteration) / static_cast<double>(num_steps_);
    return 1.0 / std::log(static_cast<double>(num_steps_)) * std::log(static_cast<double>(iteration + 1));
  }

 private:
  int64_t num_steps_;
  bool logarithmic_;
};

class LRRangeTest final : public Schedule {
 public:
  static constexpr std::string_view kParameters[] = {"lr_range_test_min_lr", "lr_range_test_step_size",
                                                     "lr_range_test_step_rate", "lr_range_test_staircase"};

  explicit LRRangeTest(const Params& params, std::span<const double>)
      : min_lrs_(params.per_group("lr_range_test_min_lr", 1e-3)),
        step_size_(static_cast<double>(params.positive("lr_range_test_step_size", 2000))),
        step_rate_(params.number("lr_range_test_step_rate", 1.0)),
        staircase_(params.flag("lr_range_test_staircase", false)) {}
  std::string_view name() const override { return "LRRangeTest"; }

  std::vector<double> lr(int64_t iteration) const override {
    double interval = static_cast<double>(iteration + 1) / step_size_;
    if (staircase_) interval = std::floor(interval);
    std::vector<double> lrs = min_lrs_;
    for (double& lr : lrs) lr *= 1.0 + step_rate_ * interval;
    return lrs;
  }

 private:
  std::vector<double> min_lrs_;
  double step_size_;
  double step_rate_;
  bool staircase_;
};

class OneCycle final : public Schedule {
 public:
  static constexpr std::string_view kParameters[] = {"cycle_min_lr",
                                                     "cycle_max_lr",
                                                     "decay_lr_rate",
                                                     "cycle_first_step_size",
                                                     "cycle_second_step_size",
                                                     "cycle_first_stair_count",
                                                     "cycle_second_stair_count",
                                                     "decay_step_size",
                                                     "cycle_momentum",
                                                     "cycle_min_mom",
                                                     "cycle_max_mom",
                                                     "decay_mom_rate"};

  explicit OneCycle(const Params& params, std::span<const double>)
      : min_lrs_(params.per_group("cycle_min_lr")),
        max_lrs_(params.per_group("cycle_max_lr")),
        min_moms_(params.per_group("cycle_min_mom", 0.8)),
        max_moms_(params.per_group("cycle_max_mom", 0.9)),
        decay_lr_rate_(params.number("decay_lr_rate", 0.0)),
        decay_mom_rate_(params.number("decay_mom_rate", 0.0)),
        decay_step_size_(params.number("decay_step_size", 0.0)),
        first_size_(params.number("cycle_first_step_size", 2000.0)),
        second_size_(params.number("cycle_second_step_size", first_size_)),
        first_stairs_(static_cast<double>(params.whole("cycle_first_stair_count", 0))),
        second_stairs_(static_cast<double>(params.whole("cycle_second_stair_count", first_stairs_))),
        cycle_momentum_(params.flag("cycle_momentum", true)) {
    if (first_size_ <= 0.0) params.fail("cycle_first_step_size", "a number above 0");
    if (second_size_ < 0.0) params.fail("cycle_second_step_size", "0 or more");
  }
  std::string_view name() const override { return "OneCycle"; }

  std::vector<double> lr(int64_t iteration) const override {
    std::vector<double> lrs = min_lrs_;
    if (in_cycle(iteration)) {
      for (size_t i = 0; i < lrs.size(); ++i) lrs[i] += (max_lrs_[i] - min_lrs_[i]) * height(iteration);
    } else {
      for (double& lr : lrs) lr /= decay_factor(iteration, decay_lr_rate_);
    }
    return lrs;
  }

  std::vector<std::array<double, 2>> betas(int64_t iteration) const override {
    std::vector<std::array<double, 2>> betas;
    if (!cycle_momentum_) return betas;
    for (size_t i = 0; i < min_moms_.size(); ++i) betas.push_back({momentum(i, iteration), kBeta2});
    return betas;
  }

 private:
  static constexpr double kBeta2 = 0.99;

  bool in_cycle(int64_t iteration) const { return static_cast<double>(iteration) < first_size_ + second_size_; }

  /// 0 at the ends of the cycle, 1 at its peak; in stairs where a count is set.
  double height(int64_t iteration) const {
    const double total = first_size_ + second_size_;
    const double position = std::fmod(static_cast<double>(iteration + 1), total);
    const bool rising = position <= first_size_;
    const double stairs = rising ? first_stairs_ : second_stairs_;
    const double steps = rising ? position : total - position;
    const double size = rising ? first_size_ : second_size_;
    return stairs > 0.0 ? std::floor(steps * stairs / size) / stairs : steps / size;
  }

  double decay_factor(int64_t iteration, double rate) const {
    if (decay_step_size_ == 0.0) return 1.0;
    const double decayed = static_cast<double>(iteration + 1) - (first_size_ + second_size_);
    return 1.0 + rate * decayed / decay_step_size_;
  }

  double momentum(size_t group, int64_t iteration) const {
    if (iteration < 0) return min_moms_[group];  // DeepSpeed starts there, and at the maximum after the first step
    if (!in_cycle(iteration)) return max_moms_[group] * decay_factor(iteration, decay_mom_rate_);
    return max_moms_[group] - (max_moms_[group] - min_moms_[group]) * height(iteration);
  }

  std::vector<double> min_lrs_, max_lrs_, min_moms_, max_moms_;
  double decay_lr_rate_, decay_mom_rate_, decay_step_size_;
  double first_size_, second_size_;
  double first_stairs_, second_stairs_;
  bool cycle_momentum_;
};

class WarmupLR final : public Schedule {
 public:
  static constexpr std::string_view kParameters[] = {"warmup_min_lr", "warmup_max_lr", "warmup_num_steps",
                                                     "warmup_type"};

  explicit WarmupLR(const Params& params, std::span<const double> group_lrs)
      : warmup_(params),
        min_lrs_(params.per_group("warmup_min_lr", 0.0)),
        max_lrs_(params.has("warmup_max_lr") ? params.per_group("warmup_max_lr")
                                             : std::vector<double>(group_lrs.begin(), group_lrs.end())) {}
  std::string_view name() const override { return "WarmupLR"; }

  std::vector<double> lr(int64_t iteration) const override {
    std::vector<double> lrs = min_lrs_;
    if (iteration < 0) return lrs;
    for (size_t i = 0; i < lrs.size(); ++i) lrs[i] += (max_lrs_[i] - min_lrs_[i]) * warmup_.at(iteration);
    return lrs;
  }

 private:
  Warmup warmup_;
  std::vector<double> min_lrs_, max_lrs_;
};

class WarmupDecayLR final : public Schedule {
 public:
  static constexpr std::string_view kParameters[] = {"total_num_steps", "warmup_min_lr", "warmup_max_lr",
                                                     "warmup_num_steps", "warmup_type"};

  explicit WarmupDecayLR(const Params& params, std::span<const double>)
      : warmup_(params),
        total_num_steps_(params.whole("total_num_steps")),
        min_lrs_(params.per_group("warmup_min_lr", 0.0)),
        max_lrs_(params.per_group("warmup_max_lr", 0.001)) {}
  std::string_view name() const override { return "WarmupDecayLR"; }

  std::vector<double> lr(int64_t iteration) const override {
    std::vector<double> lrs = min_lrs_;
    if (iteration < 0) return lrs;
    for (size_t i = 0; i < lrs.size(); ++i) lrs[i] += (max_lrs_[i] - min_lrs_[i]) * height(iteration);
    return lrs;
  }

 private:
  double height(int64_t iteration) const {
    if (iteration < warmup_.num_steps()) return warmup_.at(iteration);
    const auto window = static_cast<double>(std::max<int64_t>(1, total_num_steps_ - warmup_.num_steps()));
    return std::max(0.0, static_cast<double>(total_num_steps_ - iteration) / window);
  }

  Warmup warmup_;
  int64_t total_num_steps_;
  std::vector<double> min_lrs_, max_lrs_;
};

class WarmupCosineLR final : public Schedule {
 public:
  static constexpr std::string_view kParameters[] = {"total_num_steps", "warmup_min_ratio", "warmup_num_steps",
                                                     "cos_min_ratio", "warmup_type"};

  explicit WarmupCosineLR(const Params& params, std::span<const double> group_lrs)
      : warmup_(params),
        total_num_steps_(params.whole("total_num_steps")),
        warmup_min_ratio_(params.number("warmup_min_ratio", 0.0)),
        cos_min_ratio_(params.number("cos_min_ratio", 0.0001)),
        lrs_(group_lrs.begin(), group_lrs.end()) {}
  std::string_view name() const override { return "WarmupCosineLR"; }

  std::vector<double> lr(int64_t iteration) const override {
    std::vector<double> lrs = lrs_;
    for (double& lr : lrs) lr *= ratio(iteration);
    return lrs;
  }

 private:
  double ratio(int64_t iteration) const {
    if (iteration < 0) return 0.0;
    if (iteration < warmup_.num_steps()) {
      return warmup_min_ratio_ + warmup_.at(iteration) * (1.0 - warmup_min_ratio_);
    }
    const auto window = static_cast<double>(std::max<int64_t>(1, total_num_steps_ - warmup_.num_steps()));
    const double progress = std::min(1.0, static_cast<double>(iteration - warmup_.num_steps() + 1) / window);
    const double cosine = (1.0 + std::cos(std::numbers::pi * progress)) / 2.0;
    return std::max(0.0, cos_min_ratio_ + (1.0 - cos_min_ratio_) * cosine);
  }

  Warmup warmup_;
  int64_t total_num_steps_;
  double warmup_min_ratio_, cos_min_ratio_;
  std::vector<double> lrs_;
};

template <class Type>
std::unique_ptr<Schedule> make(std::string_view type, const Params& params, std::span<const double> group_lrs) {
  params.expect_known(type, Type::kParameters);
  return std::make_unique<Type>(params, group_lrs);
}

struct Row {
  std::string_view name;
  std::unique_ptr<Schedule> (*make)(std::string_view, const Params&, std::span<const double>);
};

constexpr Row kSchedules[] = {
    {"LRRangeTest", &make<LRRangeTest>},
    {"OneCycle", &make<OneCycle>},
    {"WarmupLR", &make<WarmupLR>},
    {"WarmupDecayLR", &make<WarmupDecayLR>},
    {"WarmupCosineLR", &make<WarmupCosineLR>},
};

}  // namespace

Schedule::~Schedule() = default;

std::unique_ptr<Schedule> make_schedule(std::string_view type, const json& params, std::span<const double> group_lrs) {
  const auto row = std::ranges::find(kSchedules, type, &Row::name);
  DS_CHECK(row != std::end(kSchedules), ConfigError, "[optim] scheduler.type: got \"", type,
           "\", expected LRRangeTest, OneCycle, WarmupLR, WarmupDecayLR or WarmupCosineLR.");
  const Params reader(type, params, group_lrs.size());
  auto schedule = row->make(type, reader, group_lrs);
  schedule->start_iteration = reader.whole("last_batch_iteration", -1);
  return schedule;
}

}  // namespace deepspeed::optim

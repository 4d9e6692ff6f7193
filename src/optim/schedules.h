// The five named learning-rate schedules of DeepSpeed as pure functions of the iteration. No tensors.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace deepspeed::optim {

inline constexpr std::array<std::string_view, 5> kScheduleNames = {"LRRangeTest", "OneCycle", "WarmupLR",
                                                                   "WarmupDecayLR", "WarmupCosineLR"};

/// A schedule knows no optimizer and holds no position: who steps it keeps the iteration (-1 before the first step)
/// and saves it.
class Schedule {
 public:
  virtual ~Schedule();
  virtual std::string_view name() const = 0;

  /// One learning rate per group at `iteration`; the first step() is iteration 0, before it -1.
  virtual std::vector<double> lr(int64_t iteration) const = 0;

  /// One pair of betas per group at `iteration`, or empty where the schedule leaves momentum alone (all but OneCycle).
  virtual std::vector<std::array<double, 2>> betas(int64_t iteration) const { return {}; }

  /// Where to start: `last_batch_iteration` of the params, -1 where it is absent. Set before the first step().
  int64_t start_iteration = -1;
};

/// `type` is one of kScheduleNames. `params` as in a config's "scheduler" section; `group_lrs` are the optimizer's
/// learning rates, one per group, from which some schedules start.
/// Throws ConfigError that names an unknown type or parameter and the known ones.
std::unique_ptr<Schedule> make_schedule(std::string_view type, const nlohmann::json& params,
                                        std::span<const double> group_lrs);

}  // namespace deepspeed::optim

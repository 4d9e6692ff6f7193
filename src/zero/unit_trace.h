// The order in which units were used in one pass, and what it says of the next pass like it.
#pragma once

#include <cstddef>
#include <vector>

namespace deepspeed::zero {

/// Pure bookkeeping; not thread-safe.
class UnitTrace {
 public:
  /// A new pass: what was recorded becomes the forecast.
  void begin_pass();

  /// `unit` is used now. Immediate repetitions count once.
  void note(int unit);

  /// Uses of other units until `unit` is used again, by the forecast; kNever where it says nothing of it.
  static constexpr size_t kNever = static_cast<size_t>(-1);
  size_t distance(int unit) const;

  /// The next different units by the forecast, nearest first, at most `count`. Empty where this pass left the forecast.
  std::vector<int> next(size_t count) const;

 private:
  std::vector<int> recorded_;
  std::vector<int> forecast_;
  size_t cursor_ = 0;  // into forecast_: behind the last use that it foresaw
  bool lost_ = true;
};

}  // namespace deepspeed::zero

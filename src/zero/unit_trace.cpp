// Following the forecast with a cursor.
#include "zero/unit_trace.h"

#include <algorithm>
#include <utility>

namespace deepspeed::zero {

void UnitTrace::begin_pass() {
  if (!recorded_.empty()) forecast_ = std::move(recorded_);
  recorded_.clear();
  cursor_ = 0;
  lost_ = forecast_.empty();
}

void UnitTrace::note(int unit) {
  if (!recorded_.empty() && recorded_.back() == unit) return;
  recorded_.push_back(unit);
  if (lost_) return;
  const auto found = std::find(forecast_.begin() + static_cast<std::ptrdiff_t>(cursor_), forecast_.end(), unit);
  lost_ = found == forecast_.end();
  if (!lost_) cursor_ = static_cast<size_t>(found - forecast_.begin()) + 1;
}

size_t UnitTrace::distance(int unit) const {
  if (lost_) return kNever;
  const auto begin = forecast_.begin() + static_cast<std::ptrdiff_t>(cursor_);
  const auto found = std::find(begin, forecast_.end(), unit);
  return found == forecast_.end() ? kNever : static_cast<size_t>(found - begin);
}

std::vector<int> UnitTrace::next(size_t count) const {
  std::vector<int> units;
  if (lost_) return units;
  for (size_t i = cursor_; i < forecast_.size() && units.size() < count; ++i) {
    if (std::find(units.begin(), units.end(), forecast_[i]) == units.end()) units.push_back(forecast_[i]);
  }
  return units;
}

}  // namespace deepspeed::zero

// What wall_clock_breakdown prints: where the time of the steps since the last line went.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/trace.h"
#include "monitor/hidden_share.h"

namespace deepspeed::monitor {

/// Adds up events of whole steps. Not thread-safe.
class StepTimes {
 public:
  /// All events of one step at a boundary, micro-batches before it included.
  void add_step(const std::vector<core::TraceEvent>& events);

  int64_t steps() const { return steps_; }
  /// Milliseconds a step.
  double mean_ms(core::TraceKind kind) const;
  const Communication& communication() const { return communication_; }

  /// "[Rank 0] time (ms) | fwd: 12.34 | bwd: 23.45 | bwd_inner: 22.00 | bwd_allreduce: 1.45 | step: 3.21 |
  /// communication: 20.00, 92.8 % hidden": means a step, as DeepSpeed names them. bwd_inner is autograd's part,
  /// bwd_allreduce what backward took beyond it.
  std::string line(int rank) const;

 private:
  int64_t steps_ = 0;
  std::vector<int64_t> total_ns_ = std::vector<int64_t>(static_cast<size_t>(core::TraceKind::kWait) + 1, 0);
  Communication communication_;
};

/// The collectives and waits among `events`, measured.
Communication communication_of(const std::vector<core::TraceEvent>& events);

}  // namespace deepspeed::monitor

// A timeline as Chrome's trace JSON, which ui.perfetto.dev and chrome://tracing load.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/trace.h"
#include "monitor/hidden_share.h"

namespace deepspeed::monitor {

struct TimelineNames {
  int rank = 0;                       ///< the process id of the timeline
  std::vector<std::string> threads;   ///< by TraceEvent::thread
  std::vector<std::string> channels;  ///< by TraceEvent::channel
};

/// The row of each interval, so that none overlaps another in its row: the first row that is free. In order of begins.
std::vector<int> assign_rows(const std::vector<Interval>& intervals);

/// One JSON object. Times are those of the events plus `offset_ns`, in microseconds: with what leads from the events'
/// clock to the system's, files of several ranks line up. Threads have a track each, and so has each channel; where
/// collectives of a channel overlap, it gets more.
std::string chrome_trace(const std::vector<core::TraceEvent>& events, const TimelineNames& names, int64_t offset_ns);

}  // namespace deepspeed::monitor

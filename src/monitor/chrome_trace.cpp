// Events as the JSON that Perfetto and chrome://tracing read.
#include "monitor/chrome_trace.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "deepspeed/error.h"

namespace deepspeed::monitor {
namespace {

constexpr int kFirstThread = 1;          // readers take 0 for the process's own
constexpr int kTracksAChannel = 10'000;  // its rows follow each other; threads come before all channels

std::string_view category(core::TraceKind kind) {
  switch (kind) {
    case core::TraceKind::kForward:
    case core::TraceKind::kBackward:
    case core::TraceKind::kAutograd:
      return "compute";
    case core::TraceKind::kStep:
    case core::TraceKind::kNorm:
    case core::TraceKind::kUpdate:
      return "step";
    case core::TraceKind::kReduce:
      return "reduce";
    case core::TraceKind::kGather:
      return "gather";
    case core::TraceKind::kCollective:
      return "collective";
    case core::TraceKind::kWait:
      return "wait";
  }
  throw InternalError("[monitor] unknown kind of event");
}

/// Whole ones: readers take fractions for doubles, which tell a quarter of a microsecond apart at today's date. What
/// lies inside or after something else would then seem to overlap it in part, and readers drop that.
int64_t microseconds(int64_t ns) { return ns / 1000; }

/// The tracks that there are, and which of them an event is on.
class Tracks {
 public:
  Tracks(const std::vector<core::TraceEvent>& events, const TimelineNames& names) : names_(names) {
    std::map<int, std::vector<size_t>> of_channel;
    for (size_t i = 0; i < events.size(); ++i) {
      const bool travels = core::is_collective(events[i].kind);
      track_.push_back(kFirstThread + events[i].thread);
      if (travels) of_channel[events[i].channel].push_back(i);
      if (!travels) name_[track_.back()] = names.threads.at(events[i].thread);
    }
    for (const auto& [channel, members] : of_channel) place(events, channel, members);
  }

  int of(size_t event) const { return track_[event]; }
  const std::map<int, std::string>& names() const { return name_; }

 private:
  void place(const std::vector<core::TraceEvent>& events, int channel, const std::vector<size_t>& members) {
    std::vector<Interval> intervals;
    for (const size_t each : members) intervals.push_back({events[each].begin_ns, events[each].end_ns});
    const std::vector<int> rows = assign_rows(intervals);
    const int first = (channel + 1) * kTracksAChannel;
    for (size_t i = 0; i < members.size(); ++i) {
      const int row = std::min(rows[i], kTracksAChannel - 1);
      track_[members[i]] = first + row;
      name_[first + row] = names_.channels.at(channel) + (row == 0 ? "" : " (" + std::to_string(row + 1) + ")");
    }
  }

  const TimelineNames& names_;
  std::vector<int> track_;
  std::map<int, std::string> name_;
};

std::string metadata(const char* what, int rank, int track, const std::string& key, const nlohmann::json& value) {
  const nlohmann::ordered_json line = {
      {"ph", "M"}, {"name", what}, {"pid", rank}, {"tid", track}, {"args", {{key, value}}}};
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string interval(const core::TraceEvent& event, int rank, int track, int64_t offset_ns) {
  const int64_t begin_us = microseconds(event.begin_ns + offset_ns);
  const int64_t end_us = microseconds(std::max(event.begin_ns, event.end_ns) + offset_ns);
  nlohmann::ordered_json arguments = {{"step", event.step}, {"micro_batch", event.micro_batch}};
  if (core::is_collective(event.kind)) arguments["bytes"] = event.bytes;
  const nlohmann::json name = std::string(event.name());
  using Json = nlohmann::json;
  return concat(R"({"ph":"X","name":)", name.dump(-1, ' ', false, Json::error_handler_t::replace), R"(,"cat":")",
                category(event.kind), R"(","pid":)", rank, R"(,"tid":)", track, R"(,"ts":)", begin_us, R"(,"dur":)",
                end_us - begin_us, R"(,"args":)", arguments.dump(), "}");
}

}  // namespace

std::vector<int> assign_rows(const std::vector<Interval>& intervals) {
  std::vector<size_t> order(intervals.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return intervals[a].begin_ns < intervals[b].begin_ns; });
  std::vector<int64_t> free_at;  // by row
  std::vector<int> rows(intervals.size(), 0);
  for (const size_t each : order) {
    const auto row = std::find_if(free_at.begin(), free_at.end(),
                                  [&](int64_t free_ns) { return free_ns <= intervals[each].begin_ns; });
    rows[each] = static_cast<int>(row - free_at.begin());
    row == free_at.end() ? free_at.push_back(intervals[each].end_ns) : void(*row = intervals[each].end_ns);
  }
  return rows;
}

std::string chrome_trace(const std::vector<core::TraceEvent>& events, const TimelineNames& names, int64_t offset_ns) {
  const Tracks tracks(events, names);
  std::string text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  text += metadata("process_name", names.rank, 0, "name", concat("rank ", names.rank)) + ",\n";
  text += metadata("process_sort_index", names.rank, 0, "sort_index", names.rank);
  for (const auto& [track, name] : tracks.names()) {
    text += ",\n" + metadata("thread_name", names.rank, track, "name", name);
    text += ",\n" + metadata("thread_sort_index", names.rank, track, "sort_index", track);
  }
  for (size_t i = 0; i < events.size(); ++i) text += ",\n" + interval(events[i], names.rank, tracks.of(i), offset_ns);
  return text + "\n]}\n";
}

}  // namespace deepspeed::monitor

#include "monitor/chrome_trace.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

namespace deepspeed::monitor {
namespace {

using core::TraceEvent;
using core::TraceKind;
using Json = nlohmann::json;

TraceEvent event(TraceKind kind, std::string_view name, int64_t begin_ns, int64_t end_ns) {
  TraceEvent result;
  result.kind = kind;
  result.set_name(name);
  result.begin_ns = begin_ns;
  result.end_ns = end_ns;
  result.step = 10;
  return result;
}

TimelineNames names() {
  return {.rank = 3, .threads = {"training"}, .channels = {"reductions", "gathers of parameters"}};
}

TEST(ChromeTrace, RowsAreReusedAndNothingOverlapsInOne) {
  EXPECT_EQ(assign_rows({{0, 10}, {5, 15}, {10, 12}, {11, 20}}), (std::vector<int>{0, 1, 0, 2}));
  EXPECT_EQ(assign_rows({{8, 9}, {0, 10}}), (std::vector<int>{1, 0})) << "in order of begins";
}

TEST(ChromeTrace, EveryEventIsThereWithItsProcessTrackAndTime) {
  TraceEvent reduction = event(TraceKind::kReduce, "layers.1", 2'000'500, 3'000'000);
  reduction.bytes = 4096;
  const Json trace = Json::parse(
      chrome_trace({event(TraceKind::kForward, "forward", 1'000'000, 2'000'000), reduction}, names(), 1000));
  std::map<std::string, Json> found;
  std::map<int, std::string> tracks;
  for (const Json& each : trace["traceEvents"]) {
    EXPECT_EQ(each["pid"], 3);
    if (each["ph"] == "X") found[each["name"]] = each;
    if (each["name"] == "thread_name") tracks[each["tid"]] = each["args"]["name"];
    if (each["name"] == "process_name") {
      EXPECT_EQ(each["args"]["name"], "rank 3");
    }
  }
  ASSERT_EQ(found.size(), 2U);
  EXPECT_DOUBLE_EQ(found["forward"]["ts"].get<double>(), 1001.0);
  EXPECT_DOUBLE_EQ(found["forward"]["dur"].get<double>(), 1000.0);
  EXPECT_EQ(found["forward"]["args"]["step"], 10);
  EXPECT_EQ(tracks[found["forward"]["tid"]], "training");
  EXPECT_DOUBLE_EQ(found["layers.1"]["ts"].get<double>(), 2001.0);
  EXPECT_EQ(found["layers.1"]["args"]["bytes"], 4096);
  EXPECT_EQ(found["layers.1"]["cat"], "reduce");
  EXPECT_EQ(tracks[found["layers.1"]["tid"]], "reductions");
}

TEST(ChromeTrace, CollectivesThatOverlapGetTracksOfTheirOwn) {
  TraceEvent gather = event(TraceKind::kGather, "c", 0, 5);
  gather.channel = 1;
  const Json trace = Json::parse(
      chrome_trace({event(TraceKind::kReduce, "a", 0, 10), event(TraceKind::kReduce, "b", 5, 20), gather}, names(), 0));
  std::map<std::string, int> track;
  std::map<int, std::string> name;
  for (const Json& each : trace["traceEvents"]) {
    if (each["ph"] == "X") track[each["name"]] = each["tid"];
    if (each["name"] == "thread_name") name[each["tid"]] = each["args"]["name"];
  }
  EXPECT_EQ(name[track["a"]], "reductions");
  EXPECT_EQ(name[track["b"]], "reductions (2)");
  EXPECT_EQ(name[track["c"]], "gathers of parameters");
}

TEST(ChromeTrace, NamesOfAnyCharactersStayValidJson) {
  const std::string odd = "a\"b\\c\n\xff";
  EXPECT_NO_THROW(Json::parse(chrome_trace({event(TraceKind::kForward, odd, 0, 1)}, names(), 0)));
  EXPECT_NO_THROW(Json::parse(chrome_trace({}, names(), 0)));
  TimelineNames cut = names();
  cut.threads = {"Entra\xc3"};  // a thread's name of 15 bytes may end inside a character
  EXPECT_NO_THROW(Json::parse(chrome_trace({event(TraceKind::kForward, "forward", 0, 1)}, cut, 0)));
}

// Readers drop what overlaps another interval in part. They take whole numbers as they are, and others for doubles.
TEST(ChromeTrace, WhatIsInsideOrBehindStaysThereForReaders) {
  constexpr int64_t kToday = 1'764'000'000'000'000'000;
  for (int64_t shift = 0; shift < 3'000; shift += 7) {
    const int64_t begin = kToday + shift;
    const Json trace = Json::parse(chrome_trace({event(TraceKind::kStep, "step", begin, begin + 10'000),
                                                 event(TraceKind::kNorm, "norm", begin + 40, begin + 4'000),
                                                 event(TraceKind::kUpdate, "update", begin + 4'050, begin + 9'930)},
                                                names(), 0));
    std::map<std::string, std::pair<double, double>> found;  // microseconds
    for (const Json& each : trace["traceEvents"]) {
      if (each["ph"] != "X") continue;
      EXPECT_TRUE(each["ts"].is_number_integer() && each["dur"].is_number_integer());
      const auto begin_us = each["ts"].get<double>();
      found[each["name"]] = {begin_us, begin_us + each["dur"].get<double>()};
      EXPECT_GE(each["tid"], 1);
    }
    EXPECT_LE(found["step"].first, found["norm"].first);
    EXPECT_LE(found["norm"].second, found["update"].first);
    EXPECT_LE(found["update"].second, found["step"].second);
    EXPECT_EQ(static_cast<int64_t>(found["step"].first), begin / 1000);
  }
}

TEST(ChromeTrace, ManyCollectivesAtOnceKeepTracksOfTheirOwn) {
  std::vector<TraceEvent> events(300, event(TraceKind::kReduce, "bucket", 0, 10'000));
  events.push_back(event(TraceKind::kGather, "gather", 0, 10'000));
  events.back().channel = 1;
  std::set<int> tracks;
  const Json trace = Json::parse(chrome_trace(events, names(), 0));
  for (const Json& each : trace["traceEvents"]) {
    if (each["ph"] != "X") continue;
    EXPECT_TRUE(tracks.insert(each["tid"].get<int>()).second);
  }
}

}  // namespace
}  // namespace deepspeed::monitor

#include "core/trace.h"

#include <gtest/gtest.h>

#include <thread>

namespace deepspeed::core {
namespace {

TraceEvent event(std::string_view name, int64_t begin_ns = 0) {
  TraceEvent result;
  result.begin_ns = begin_ns;
  result.end_ns = begin_ns + 1;
  result.set_name(name);
  return result;
}

std::vector<TraceEvent> drained(Tracer& tracer) {
  std::vector<TraceEvent> events;
  tracer.drain(events);
  return events;
}

TEST(Tracer, NotesNothingWhileItIsOff) {
  Tracer tracer;
  { const TraceScope scope(&tracer, TraceKind::kForward, "forward"); }
  { const TraceScope scope(nullptr, TraceKind::kForward, "forward"); }
  EXPECT_TRUE(drained(tracer).empty());
  EXPECT_TRUE(tracer.thread_names().empty()) << "no ring was made";
}

TEST(Tracer, AScopeIsAnIntervalOfTheClockWithItsPosition) {
  int64_t now = 100;
  Tracer tracer([&now] { return now; });
  tracer.turn(true);
  tracer.set_position(7, 2);
  {
    const TraceScope scope(&tracer, TraceKind::kStep, "step");
    now = 150;
  }
  const auto events = drained(tracer);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].begin_ns, 100);
  EXPECT_EQ(events[0].end_ns, 150);
  EXPECT_EQ(events[0].kind, TraceKind::kStep);
  EXPECT_EQ(events[0].name(), "step");
  EXPECT_EQ(events[0].step, 7);
  EXPECT_EQ(events[0].micro_batch, 2);
  EXPECT_TRUE(drained(tracer).empty()) << "drained once";
}

TEST(Tracer, LongNamesAreCut) {
  const std::string long_name(200, 'x');
  EXPECT_EQ(event(long_name).name(), std::string(44, 'x') + "...");
  EXPECT_EQ(event(std::string(47, 'y')).name(), std::string(47, 'y'));
}

TEST(Tracer, AFullRingDropsWhatIsNewAndCountsIt) {
  Tracer tracer;
  for (int64_t i = 0; i < 10'000; ++i) tracer.record(event("e", i));
  const auto events = drained(tracer);
  EXPECT_EQ(static_cast<int64_t>(events.size()) + tracer.dropped(), 10'000);
  EXPECT_GT(tracer.dropped(), 0);
  EXPECT_EQ(events.front().begin_ns, 0);
  tracer.record(event("after", 5));
  EXPECT_EQ(drained(tracer).size(), 1U) << "there is room again";
}

TEST(Tracer, ThreadsWriteWhileOneDrains) {
  constexpr int kThreads = 3;
  constexpr int64_t kEach = 20'000;
  Tracer tracer;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&tracer] {
      for (int64_t i = 0; i < kEach; ++i) tracer.record(event("e", i));
    });
  }
  std::vector<TraceEvent> events;
  for (int round = 0; round < 50; ++round) tracer.drain(events);
  for (std::thread& thread : threads) thread.join();
  tracer.drain(events);
  EXPECT_EQ(static_cast<int64_t>(events.size()) + tracer.dropped(), kThreads * kEach);
  std::vector<int64_t> last(tracer.thread_names().size(), -1);
  for (const TraceEvent& each : events) {
    EXPECT_GT(each.begin_ns, last.at(each.thread)) << "a thread's events keep their order";
    last[each.thread] = each.begin_ns;
  }
}

TEST(Tracer, OneThreadNotesForTwoTracersInTurn) {
  Tracer first;
  Tracer second;
  for (int round = 0; round < 3; ++round) {
    first.record(event("a"));
    second.record(event("b"));
  }
  EXPECT_EQ(drained(first).size(), 3U);
  EXPECT_EQ(drained(second).size(), 3U);
  EXPECT_EQ(first.thread_names().size(), 1U);
}

}  // namespace
}  // namespace deepspeed::core

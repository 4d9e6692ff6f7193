#include "comm/traced_communicator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "comm/factory.h"
#include "deepspeed/error.h"
#include "support/ranks.h"
#include "support/virtual_link.h"

namespace deepspeed::comm {
namespace {

using testing::ThrottledCommunicator;
using testing::VirtualClock;
using testing::VirtualLink;

constexpr Tag kReduction{.step = 3, .phase = Phase::kReduce, .unit = 1, .name = "layers.1"};

struct Traced {
  VirtualClock clock;
  VirtualLink link{clock, 1e9};  // a byte a nanosecond
  std::shared_ptr<core::Tracer> tracer = std::make_shared<core::Tracer>([this] { return clock.now_ns(); });
  std::unique_ptr<Communicator> communicator =
      make_traced_communicator(std::make_unique<ThrottledCommunicator>(link), tracer, 5);

  std::vector<core::TraceEvent> events() {
    std::vector<core::TraceEvent> found;
    tracer->drain(found);
    return found;
  }
};

TEST(TracedCommunicator, NotesACollectiveFromLaunchToDoneAndTheWaitForIt) {
  Traced traced;
  traced.tracer->turn(true);
  const at::Tensor lane = at::ones({250});  // 1000 bytes
  traced.clock.advance(100);
  Work work = traced.communicator->reduce_scatter(lane, 0.5, at::kFloat, kReduction);
  traced.clock.advance(400);
  EXPECT_FALSE(work.is_done());
  work.wait();
  work.wait();
  const auto events = traced.events();
  ASSERT_EQ(events.size(), 2U) << "once each";
  EXPECT_EQ(events[0].kind, core::TraceKind::kReduce);
  EXPECT_EQ(events[0].name(), "layers.1");
  EXPECT_EQ(events[0].begin_ns, 100);
  EXPECT_EQ(events[0].end_ns, 1100);
  EXPECT_EQ(events[0].bytes, 1000);
  EXPECT_EQ(events[0].channel, 5);
  EXPECT_EQ(events[1].kind, core::TraceKind::kWait);
  EXPECT_EQ(events[1].begin_ns, 500);
  EXPECT_EQ(events[1].end_ns, 1100);
}

TEST(TracedCommunicator, WhatIsDoneWhenItIsNeededWasNotWaitedFor) {
  Traced traced;
  traced.tracer->turn(true);
  Work work = traced.communicator->all_gather(at::ones({250}), {.phase = Phase::kGather, .name = "head"});
  traced.clock.advance(5000);
  work.wait();
  const auto events = traced.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].kind, core::TraceKind::kGather);
  EXPECT_EQ(events[0].end_ns, 1000) << "the transport knows when it was done, though nobody looked";
}

TEST(TracedCommunicator, WorkThatNobodyWaitsForIsNotedWhenItGoes) {
  Traced traced;
  traced.tracer->turn(true);
  traced.communicator->broadcast(at::ones({2}), 0, {});
  ASSERT_EQ(traced.events().size(), 1U);
}

TEST(TracedCommunicator, WhileItIsOffNothingIsNoted) {
  Traced traced;
  traced.communicator->all_reduce(at::ones({2}), 1.0, {}).wait();
  EXPECT_TRUE(traced.events().empty());
}

TEST(TracedCommunicator, TheCollectivesAreThoseOfTheOneInside) {
  testing::run_on_ranks(2, [](testing::RankContext& context) {
    const auto tracer = std::make_shared<core::Tracer>();
    tracer->turn(true);
    const auto communicator = make_traced_communicator(make_communicator(context.new_group(), at::kCPU), tracer, 0);
    EXPECT_EQ(communicator->rank(), context.rank());
    EXPECT_EQ(communicator->size(), 2);
    const at::Tensor lane = at::full({100}, context.rank() + 1.0);
    communicator->reduce_scatter(lane, 0.5, at::kFloat, kReduction).wait();
    communicator->all_gather(lane, kReduction).wait();
    EXPECT_TRUE(at::equal(lane, at::full({100}, 1.5)));
    EXPECT_EQ(communicator->broadcast_string(context.rank() == 1 ? "from 1" : "", 1, {}), "from 1");
    std::vector<core::TraceEvent> events;
    tracer->drain(events);
    for (const core::TraceEvent& event : events) EXPECT_LE(event.begin_ns, event.end_ns) << event.name();
    EXPECT_GE(events.size(), 4U);
  });
}

TEST(TracedCommunicator, AFailedCollectiveThrowsItsErrorAndIsNoted) {
  class Failing final : public WorkState {
   public:
    void wait() override { throw CommError("[comm] broken"); }
    bool is_done() override { return false; }
  };
  class Broken final : public Communicator {
   public:
    int rank() const override { return 0; }
    int size() const override { return 2; }
    c10::Device control_device() const override { return at::kCPU; }
    Work reduce_scatter(at::TensorList, at::TensorList, double, c10::ScalarType, const Tag&) override {
      return fail();
    }
    Work all_gather(at::TensorList, const Tag&) override { return fail(); }
    Work all_reduce(const at::Tensor&, double, const Tag&) override { return fail(); }
    Work broadcast(const at::Tensor&, int, const Tag&) override { return fail(); }

   private:
    static Work fail() { return Work(std::make_shared<Failing>()); }
  };
  const auto tracer = std::make_shared<core::Tracer>();
  tracer->turn(true);
  const auto communicator = make_traced_communicator(std::make_unique<Broken>(), tracer, 0);
  EXPECT_THROW(communicator->all_reduce(at::ones({1}), 1.0, {}).wait(), CommError);
  std::vector<core::TraceEvent> events;
  tracer->drain(events);
  EXPECT_EQ(events.size(), 2U);
}

}  // namespace
}  // namespace deepspeed::comm

// After the second step nothing is allocated: not by the reduction, the step, or the exchange between ranks.
#include <gtest/gtest.h>

#include "comm/factory.h"
#include "support/counting_allocator.h"
#include "support/ranks.h"
#include "zero/boundary_step.h"
#include "zero/reducer.h"
#include "zero/small_model.h"

namespace deepspeed::zero {
namespace {

using deepspeed::testing::RankContext;
using deepspeed::testing::run_on_ranks;
using testing::SmallModel;

struct Bench {
  Bench(const SmallModel& model, int stage, const std::string& type, comm::Communicator& data)
      : group(optim::default_hyperparameters(type)), optimizer(optim::make_optimizer(type, group)) {
    Options options;
    options.lifetimes = plan::stage_lifetimes(stage);
    store = std::make_unique<LaneStore>(model.parameters, model.units, options, optimizer->state_specs(), data);
    reducer = std::make_unique<Reducer>(*store, data);
    boundary = std::make_unique<BoundaryStep>(*store, data);
    for (const tensor::NamedParameter& parameter : model.parameters)
      gradients.push_back(at::ones_like(parameter.tensor));
  }
  /// One whole step, its gradients as if autograd had just written them.
  void run(int64_t step) {
    reducer->begin_backward({.policy = ReducePolicy::kNow, .scale = 1.0, .step = step});
    for (int index = static_cast<int>(gradients.size()) - 1; index >= 0; --index) {
      store->parameters()[index].tensor.mutable_grad() = gradients[index];
      reducer->gradient_ready(index);
    }
    reducer->backward_done();
    reducer->fill_missing();
    const StepResult result = boundary->inspect({.gradient_clipping = 1.0, .step = step});
    boundary->apply(*optimizer, std::span(&group, 1), result, step);
    reducer->start_window();
  }

  optim::Hyperparameters group;
  std::unique_ptr<optim::RangeOptimizer> optimizer;
  std::unique_ptr<LaneStore> store;
  std::unique_ptr<Reducer> reducer;
  std::unique_ptr<BoundaryStep> boundary;
  std::vector<at::Tensor> gradients;
};

TEST(SteadyState, NothingIsAllocatedAfterTheSecondStep) {
  run_on_ranks(2, [](RankContext& context) {
    const at::NoGradGuard no_grad;
    const auto data = comm::make_communicator(context.new_group(), at::kCPU);
    const deepspeed::testing::CountingAllocator counting;
    for (const int stage : {0, 1, 2}) {
      for (const char* type : {"adamw", "lamb"}) {
        const SmallModel model({50'000, 3'000, 3'000, 700'000, 16}, context.world());
        Bench bench(model, stage, type, *data);
        bench.run(0);
        bench.run(1);
        const int64_t settled = counting.count();
        EXPECT_GT(settled, 0) << "the counter counts";
        bench.run(2);
        bench.run(3);
        EXPECT_EQ(counting.count() - settled, 0) << type << ", stage " << stage;
      }
    }
    data->barrier({});
  });
}

}  // namespace
}  // namespace deepspeed::zero

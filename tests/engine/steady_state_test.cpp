// From the third step on the engine allocates nothing: a whole step takes what torch's own forward and backward take.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include "deepspeed/deepspeed.h"
#include "support/counting_allocator.h"
#include "support/ranks.h"

namespace deepspeed::testing {
namespace {

namespace nn = torch::nn;

struct EngineSetup {
  int stage = 0;
  bool bf16 = false;
  int accumulation = 1;
  std::string optimizer = "AdamW";
  bool traced = false;
};

nn::Sequential make_model() {
  at::manual_seed(1);
  return nn::Sequential(nn::Linear(32, 700), nn::Linear(700, 700), nn::Linear(700, 96), nn::Linear(96, 1));
}

std::string config_text(const EngineSetup& setup) {
  return concat(R"({"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": )", setup.accumulation,
                R"(, "optimizer": {"type": ")", setup.optimizer, R"(", "params": {"lr": 0.001}}, "bf16": {"enabled": )",
                setup.bf16 ? "true" : "false", R"(}, "gradient_clipping": 1.0, "wall_clock_breakdown": )",
                setup.traced ? "true" : "false", R"(, "zero_optimization": {"stage": )", setup.stage,
                R"(, "stage3_param_persistence_threshold": 1000}})");
}

at::Tensor loss_of(nn::Sequential& model, const at::Tensor& x) { return model->forward(x).sum(); }

/// What the micro-batches of one step allocate without an engine.
int64_t plain_allocations(const CountingAllocator& counting, const EngineSetup& setup, const at::Tensor& x) {
  nn::Sequential model = make_model();
  if (setup.bf16) model->to(at::kBFloat16);
  const auto step = [&] {
    for (int micro_batch = 0; micro_batch < setup.accumulation; ++micro_batch) {
      loss_of(model, x).backward();
      for (at::Tensor& parameter : model->parameters()) parameter.mutable_grad().reset();
    }
  };
  step();
  const int64_t before = counting.count();
  step();
  return counting.count() - before;
}

int64_t engine_allocations(const CountingAllocator& counting, const EngineSetup& setup, const at::Tensor& x,
                           RankContext& context) {
  nn::Sequential model = make_model();
  detail::TrainingEngine engine(detail::describe(*model, {}), config_text(setup), context.shared_group(),
                                context.shared_gather_group());
  const auto step = [&] {
    for (int micro_batch = 0; micro_batch < setup.accumulation; ++micro_batch) {
      engine.before_forward(0);
      engine.backward(loss_of(model, x), false, true);
      engine.step({});
    }
  };
  step();
  step();
  const int64_t before = counting.count();
  step();
  step();
  const int64_t taken = counting.count() - before;
  engine.destroy();
  EXPECT_EQ(taken % 2, 0);
  return taken / 2;
}

TEST(SteadyState, AStepAllocatesWhatTorchsOwnForwardAndBackwardDo) {
  run_on_ranks(2, [](RankContext& context) {
    const CountingAllocator counting;
    for (const bool bf16 : {false, true}) {
      const at::Tensor x = at::ones({4, 32}).to(bf16 ? at::kBFloat16 : at::kFloat);
      for (const int stage : {0, 1, 2, 3}) {
        for (const int accumulation : {1, 2}) {
          for (const char* optimizer : {"AdamW", "Lamb"}) {
            for (const bool traced : {false, true}) {
              const EngineSetup setup{stage, bf16, accumulation, optimizer, traced};
              EXPECT_EQ(engine_allocations(counting, setup, x, context), plain_allocations(counting, setup, x))
                  << "stage " << stage << (bf16 ? ", bf16, " : ", fp32, ") << accumulation << " micro-batches, "
                  << optimizer << (traced ? ", traced" : "");
            }
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace deepspeed::testing

// Engines that come and go: nothing is left behind.
#include <gtest/gtest.h>
#include <malloc.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <filesystem>

#include "deepspeed/deepspeed.h"
#include "deepspeed/detail/training_engine.h"
#include "support/ranks.h"

namespace deepspeed::testing {
namespace {

namespace nn = torch::nn;

struct Held {
  size_t bytes = 0;  ///< in use of the C++ heap, which resident pages follow with some noise
  int64_t threads = 0;
  int64_t files = 0;
};

int64_t count_entries(const char* folder) {
  return std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator());
}

Held held() {
  Held found;
  const struct mallinfo2 heap = ::mallinfo2();
  found.bytes = heap.uordblks + heap.hblkhd;
  found.threads = count_entries("/proc/self/task");
  found.files = count_entries("/proc/self/fd");
  return found;
}

std::string config_of(int stage) {
  return R"({"train_micro_batch_size_per_gpu": 1, "optimizer": {"type": "AdamW", "params": {"lr": 0.001}},
             "zero_optimization": {"stage": )" +
         std::to_string(stage) + R"(, "stage3_param_persistence_threshold": 0}})";
}

nn::Sequential make_model() { return nn::Sequential(nn::Linear(256, 256), nn::Linear(256, 256), nn::Linear(256, 256)); }

TEST(Lifetime, FiftyEnginesLeaveNoMemoryThreadFileOrGradient) {
  run_on_ranks(2, [](RankContext& context) {
    nn::Sequential kept = make_model();
    Held early;
    for (int turn = 0; turn < 50; ++turn) {
      nn::Sequential model = turn % 2 == 0 ? kept : make_model();
      {
        detail::TrainingEngine engine(detail::describe(*model, {}), config_of(turn % 4), context.new_group(),
                                      context.new_group());
        for (int step = 0; step < 2; ++step) {
          engine.before_forward(0);
          engine.backward(model->forward(at::ones({2, 256})).pow(2).mean(), false, true);
          engine.step({});
        }
        engine.destroy();
      }
      for (const at::Tensor& parameter : model->parameters()) {
        EXPECT_EQ(parameter.storage().nbytes(), parameter.nbytes()) << "a storage of its own, in turn " << turn;
        EXPECT_FALSE(parameter.grad().defined());
      }
      if (turn == 9) early = held();
    }
    const Held late = held();
    EXPECT_LE(late.bytes, early.bytes * 1.01);
    EXPECT_EQ(late.threads, early.threads);
    EXPECT_EQ(late.files, early.files);
  });
}

}  // namespace
}  // namespace deepspeed::testing

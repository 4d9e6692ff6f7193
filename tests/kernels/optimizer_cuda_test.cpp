// The CUDA optimizers' contract as far as a machine without a GPU can see it; tests/optim/cuda_lanes_test.cpp compares
// their numbers where there is one.
#include "kernels/optimizer_cuda_kernels.h"

#include <gtest/gtest.h>

#include <string>

#include "deepspeed/error.h"

namespace deepspeed::kernels {
namespace {

TEST(OptimizerCuda, WithoutTheKernelsTheErrorSaysHowToGetThem) {
  if (has_cuda_optimizers()) GTEST_SKIP() << "this build has the CUDA kernels";
  try {
    adam_cuda({}, nullptr, nullptr);
    FAIL() << "expected NotSupported";
  } catch (const NotSupported& error) {
    EXPECT_NE(std::string(error.what()).find("[kernels.adam] this build has no CUDA kernel"), std::string::npos);
  }
}

TEST(OptimizerCuda, NoRangeNeedsNoGpu) {
  if (!has_cuda_optimizers()) GTEST_SKIP() << "this build has no CUDA kernels";
  adam_cuda({}, nullptr, nullptr);
  sgd_cuda({}, nullptr, nullptr);
  adagrad_cuda({}, nullptr, nullptr);
  lion_cuda({}, nullptr, nullptr);
  lamb_prepare_cuda({}, nullptr, nullptr, nullptr, nullptr);
  lamb_apply_cuda({}, nullptr, nullptr);
}

TEST(OptimizerCuda, ARangeHasATileForEveryElement) {
  EXPECT_EQ(num_cuda_tiles(0), 0);
  EXPECT_EQ(num_cuda_tiles(1), 1);
  EXPECT_EQ(num_cuda_tiles(kCudaTileNumel), 1);
  EXPECT_EQ(num_cuda_tiles(kCudaTileNumel + 1), 2);
}

}  // namespace
}  // namespace deepspeed::kernels

// The CUDA kernel's contract as far as a machine without a GPU can see it. Its numbers are not checked yet.
#include "kernels/scale_cast_kernels.h"

#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::kernels {
namespace {

TEST(ScaleCast, WithoutTheKernelTheErrorSaysHowToGetIt) {
  if (has_cuda_scale_cast()) GTEST_SKIP() << "this build has the CUDA kernel";
  try {
    launch_scale_cast_cuda(nullptr, core::Dtype::kBFloat16, nullptr, 1, 1.0F, nullptr);
    FAIL() << "expected NotSupported";
  } catch (const NotSupported& error) {
    EXPECT_NE(std::string(error.what()).find("[kernels.scale_cast] this build has no CUDA kernel"), std::string::npos);
  }
}

TEST(ScaleCast, AFloat32DestinationIsRefused) {
  EXPECT_THROW(launch_scale_cast_cuda(nullptr, core::Dtype::kFloat32, nullptr, 1, 1.0F, nullptr), NotSupported);
}

TEST(ScaleCast, AnEmptyRangeNeedsNoGpu) {
  if (!has_cuda_scale_cast()) GTEST_SKIP() << "this build has no CUDA kernel";
  launch_scale_cast_cuda(nullptr, core::Dtype::kFloat16, nullptr, 0, 1.0F, nullptr);
}

}  // namespace
}  // namespace deepspeed::kernels

#include "tensor/huge_pages.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace deepspeed::tensor {
namespace {

TEST(HugePages, BuffersOfAnySizeHoldTheValueInTheirDtype) {
  for (const int64_t numel : {int64_t{0}, int64_t{1}, int64_t{1'000}, int64_t{3'000'001}}) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const at::Tensor tensor = full_on_huge_pages(numel, 0.5, at::TensorOptions().dtype(dtype));
      EXPECT_EQ(tensor.sizes(), at::IntArrayRef({numel}));
      EXPECT_TRUE(at::equal(tensor, at::full({numel}, 0.5, dtype)));
    }
  }
}

}  // namespace
}  // namespace deepspeed::tensor

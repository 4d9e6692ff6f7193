// The passes over a block: the first part is copied, the others are added, the sum is scaled on its way out.
#include "comm/rank_order_sum.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "kernels/accumulate_kernels.h"
#include "tensor/dtype.h"

namespace deepspeed::comm {
namespace {

constexpr int64_t kBlockNumel = int64_t{16} * 1024;

char* address(const at::Tensor& part, int64_t begin) {
  return static_cast<char*>(part.data_ptr()) + begin * part.element_size();
}

}  // namespace

RankOrderAdder::RankOrderAdder() : block_(new double[kBlockNumel]) {}

void RankOrderAdder::add(const Sum& sum) {
  const at::Tensor& own = sum.own;
  const core::Dtype dtype = tensor::to_dtype(own.scalar_type());
  for (int64_t begin = 0; begin < own.numel(); begin += kBlockNumel) {
    const int64_t numel = std::min(kBlockNumel, own.numel() - begin);
    for (size_t r = 0; r < sum.parts.size(); ++r) {
      const core::Dtype from = tensor::to_dtype(sum.parts[r].scalar_type());
      const auto add = r == 0 ? &kernels::scale_copy : &kernels::scale_add;
      add(block_.get(), dtype, address(sum.parts[r], begin), from, numel, 1.0);
    }
    kernels::scale_copy(address(own, begin), dtype, block_.get(), dtype, numel, sum.scale);
  }
}

}  // namespace deepspeed::comm

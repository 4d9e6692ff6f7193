// The sum itself is a kernel.
#include "comm/rank_order_sum.h"

#include <ATen/ATen.h>

#include "kernels/rank_sum_kernels.h"
#include "tensor/dtype.h"

namespace deepspeed::comm {

void add_in_rank_order(const Sum& sum, int own_rank) {
  std::vector<const void*> parts;
  for (const at::Tensor& part : sum.parts) parts.push_back(part.const_data_ptr());
  kernels::rank_sum({.parts = parts,
                     .own_rank = own_rank,
                     .own_dtype = tensor::to_dtype(sum.own.scalar_type()),
                     .wire_dtype = tensor::to_dtype(sum.wire),
                     .result = sum.result.data_ptr(),
                     .numel = sum.own.numel(),
                     .scale = sum.scale});
}

}  // namespace deepspeed::comm

// torch's iterators are compiled with its pool, and take any loop: here over items that have no memory.
#include "tensor/parallel.h"

#include <ATen/TensorIterator.h>
#include <ATen/ops/from_blob.h>

namespace deepspeed::tensor {

void parallel_for(int64_t count, int64_t grain, c10::function_ref<void(int64_t begin, int64_t end)> body) {
  if (count <= 0) return;
  if (count <= grain) return body(0, count);
  char first = 0;  // only addresses behind it are counted, and none is read
  const at::Tensor items = at::from_blob(&first, {count}, at::TensorOptions(at::kByte));
  at::TensorIterator iterator =
      at::TensorIteratorConfig().set_check_mem_overlap(false).resize_outputs(false).add_borrowed_input(items).build();
  const auto run = [&](char** data, const int64_t*, int64_t num_items) {
    const int64_t begin = data[0] - &first;
    body(begin, begin + num_items);
  };
  iterator.for_each(run, grain);
}

}  // namespace deepspeed::tensor

// Asking for transparent huge pages.
#include "tensor/huge_pages.h"

#include <ATen/ATen.h>
#include <sys/mman.h>

namespace deepspeed::tensor {
namespace {

constexpr uintptr_t kPageBytes = uintptr_t{2} << 20;

/// Only for whole large pages inside the buffer: what lies beside it is not ours.
void ask_for_huge_pages(void* data, size_t bytes) {
#ifdef MADV_HUGEPAGE
  const auto begin = (reinterpret_cast<uintptr_t>(data) + kPageBytes - 1) / kPageBytes * kPageBytes;
  const auto end = (reinterpret_cast<uintptr_t>(data) + bytes) / kPageBytes * kPageBytes;
  // It may fail (a kernel without them): then the pages stay small, which is as good as not having asked.
  if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace

at::Tensor full_on_huge_pages(int64_t numel, double value, const at::TensorOptions& options) {
  const at::Tensor tensor = at::empty({numel}, options);
  if (tensor.is_cpu()) ask_for_huge_pages(tensor.data_ptr(), tensor.nbytes());
  return tensor.fill_(value);
}

}  // namespace deepspeed::tensor

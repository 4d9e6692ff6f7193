// Tensors as bytes for the transport: as they are where their elements lie one after the other, else through a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "comm/shared_memory_work.h"

namespace deepspeed::comm {

/// The tensors of one operation. Throws NotSupported for tensors that are not dense or not on the CPU, ValueError for
/// those to be written some of whose elements are one (expanded ones).
class PlainTensors {
 public:
  /// To be read.
  at::Tensor input(const at::Tensor& tensor);
  /// To be written, whole.
  at::Tensor output(const at::Tensor& tensor);
  /// To be read and written.
  at::Tensor in_place(const at::Tensor& tensor);

  /// Owns the memory of all of them, and no Python object: it is let go by threads that must not take the GIL.
  std::shared_ptr<const void> keeper() const { return std::make_shared<std::vector<c10::Storage>>(storages_); }
  std::vector<CopyBack> take_copies() { return std::move(copies_); }

 private:
  at::Tensor kept(const at::Tensor& tensor);

  std::vector<c10::Storage> storages_;
  std::vector<CopyBack> copies_;
};

inline std::byte* bytes_of(const at::Tensor& plain) { return static_cast<std::byte*>(plain.data_ptr()); }
inline int64_t num_bytes(const at::Tensor& plain) { return plain.numel() * static_cast<int64_t>(plain.itemsize()); }

}  // namespace deepspeed::comm

// A parameter whose data comes and goes: it keeps its TensorImpl and one StorageImpl for good; the storage's data
// pointer is bound to a place for use and taken away after. Shape, dtype and strides stay. While it is released,
// touching the data raises an error with the given sentence. Views that others hold follow: they share the storage.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>

namespace deepspeed::tensor {

/// Replaces the parameter's storage by a released one of the same size; its old memory is free when nobody else holds
/// it. The parameter takes `type` and becomes contiguous. `why` is the sentence of the error.
void make_released(at::Tensor& parameter, c10::ScalarType type, const std::string& why);

/// The storage of `parameter`, which identifies it for as long as make_released's storage is in place.
c10::StorageImpl* storage_of(const at::Tensor& parameter);

/// Binds the storage to `place` (1-D, contiguous, as many elements, same type). The caller keeps `place` alive until
/// the storage is bound elsewhere or released.
void bind(c10::StorageImpl& storage, const at::Tensor& place);

void release(c10::StorageImpl& storage, const std::string& why);

}  // namespace deepspeed::tensor

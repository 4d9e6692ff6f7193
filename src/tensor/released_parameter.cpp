// Data pointers of storages that outlive them.
#include "tensor/released_parameter.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/StorageImpl.h>

#include "deepspeed/error.h"

namespace deepspeed::tensor {

void make_released(at::Tensor& parameter, c10::ScalarType type, const std::string& why) {
  const at::NoGradGuard no_grad;
  const auto bytes = parameter.numel() * static_cast<int64_t>(c10::elementSize(type));
  c10::Storage storage(
      c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), static_cast<size_t>(bytes),
                                            c10::DataPtr(nullptr, parameter.device()), nullptr, false));
  at::Tensor shell = at::empty({0}, parameter.options().dtype(type).requires_grad(false));
  shell.unsafeGetTensorImpl()->set_storage_keep_dtype(storage);
  shell.unsafeGetTensorImpl()->set_sizes_contiguous(parameter.sizes());
  release(*storage.unsafeGetStorageImpl(), why);
  parameter.set_data(shell);
}

c10::StorageImpl* storage_of(const at::Tensor& parameter) { return parameter.storage().unsafeGetStorageImpl(); }

void bind(c10::StorageImpl& storage, const at::Tensor& place) {
  DS_INTERNAL_CHECK(storage.nbytes() == place.nbytes(), "a place of ", place.nbytes(), " bytes for a storage of ",
                    storage.nbytes());
  storage.clear_data_ptr_access_error_msg_();
  storage.set_data_ptr_noswap(c10::DataPtr(place.data_ptr(), place.device()));
}

void release(c10::StorageImpl& storage, const std::string& why) {
  storage.clear_data_ptr_access_error_msg_();
  storage.set_data_ptr_noswap(c10::DataPtr(nullptr, storage.device()));
  storage.release_data_and_set_meta_custom_data_ptr_error_msg_(why);
}

}  // namespace deepspeed::tensor

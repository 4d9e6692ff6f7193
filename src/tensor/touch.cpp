// The fallback of the dispatch key that watched tensors carry.
#include "tensor/touch.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/StorageImpl.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "deepspeed/error.h"

namespace deepspeed::tensor {
namespace {

constexpr c10::DispatchKey kKey = c10::DispatchKey::TESTING_ONLY_GenericWrapper;

struct Watched {
  std::weak_ptr<TouchListener> listener;
  int index;
};

struct Registry {
  std::shared_mutex mutex;
  std::unordered_map<const c10::StorageImpl*, Watched> storages;
};

Registry& registry() {
  static auto* const instance = new Registry;  // outlives every tensor that exits with the process
  return *instance;
}

/// TensorImpl has no public way to add a functionality key to an existing tensor; a derived class may name the member.
struct KeySetOf : c10::TensorImpl {
  static c10::DispatchKeySet& get(c10::TensorImpl& impl) { return impl.*&KeySetOf::key_set_; }
};

/// Inside a transform (torch.func), a mode or autocast the thread's dispatch state would take the listener's operators
/// for the program's own.
struct OrdinaryDispatch {
  c10::InferenceMode no_inference{false};  // a slot that grows must not become an inference tensor
  c10::impl::ForceDispatchKeyGuard guard{c10::impl::LocalDispatchKeySet(c10::impl::PODLocalDispatchKeySet{})};
};

/// What one operator touches, by listener: nearly always one.
class TouchedArguments {
 public:
  void add(const at::Tensor& tensor, bool writes) {
    if (!tensor.defined() || !tensor.key_set().has(kKey) || !tensor.has_storage()) return;
    const std::shared_lock lock(registry().mutex);
    const auto found = registry().storages.find(storage(tensor));
    if (found == registry().storages.end()) return;
    std::shared_ptr<TouchListener> listener = found->second.listener.lock();
    if (listener) touches_of(std::move(listener)).push_back({found->second.index, writes});
  }

  void begin() {
    const OrdinaryDispatch guard;
    for (auto& [listener, touches] : listeners_) {
      listener->before_use(touches);
      ++begun_;
    }
  }
  ~TouchedArguments() {
    for (size_t i = 0; i < begun_; ++i) listeners_[i].first->after_use(listeners_[i].second);
  }

 private:
  static const c10::StorageImpl* storage(const at::Tensor& tensor) {
    return tensor.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl();
  }
  std::vector<Touch>& touches_of(std::shared_ptr<TouchListener> listener) {
    for (auto& [known, touches] : listeners_) {
      if (known == listener) return touches;
    }
    return listeners_.emplace_back(std::move(listener), std::vector<Touch>{}).second;
  }

  std::vector<std::pair<std::shared_ptr<TouchListener>, std::vector<Touch>>> listeners_;
  size_t begun_ = 0;
};

void collect(const c10::IValue& value, bool writes, TouchedArguments& touched) {
  if (value.isTensor()) {
    touched.add(value.toTensor(), writes);
  } else if (value.isTensorList()) {
    for (const at::Tensor& tensor : value.toTensorVector()) touched.add(tensor, writes);
  } else if (value.isOptionalTensorList()) {
    for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector()) {
      if (tensor) touched.add(*tensor, writes);
    }
  }
}

void touch_and_redispatch(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  TouchedArguments touched;
  const std::vector<c10::Argument>& arguments = op.schema().arguments();
  const size_t first = stack->size() - arguments.size();
  for (size_t i = 0; i < arguments.size(); ++i) {
    const c10::AliasInfo* alias = arguments[i].alias_info();
    collect((*stack)[first + i], alias != nullptr && alias->isWrite(), touched);
  }
  touched.begin();
  op.redispatchBoxed(keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, kKey), stack);
}

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericWrapper, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&touch_and_redispatch>());
}

}  // namespace

void watch(const at::Tensor& tensor, std::weak_ptr<TouchListener> listener, int index) {
  c10::TensorImpl& impl = *tensor.unsafeGetTensorImpl();
  {
    const std::unique_lock lock(registry().mutex);
    registry().storages[impl.unsafe_storage().unsafeGetStorageImpl()] = {std::move(listener), index};
  }
  c10::DispatchKeySet& keys = KeySetOf::get(impl);
  keys = keys.add(kKey);
}

void unwatch(const at::Tensor& tensor, const c10::StorageImpl* storage) {
  forget(storage);
  c10::DispatchKeySet& keys = KeySetOf::get(*tensor.unsafeGetTensorImpl());
  keys = keys.remove(kKey);
}

void forget(const c10::StorageImpl* storage) {
  const std::unique_lock lock(registry().mutex);
  registry().storages.erase(storage);
}

Watcher watcher_of(const at::Tensor& tensor) {
  if (!tensor.defined() || !is_watched(tensor)) return {};
  const std::shared_lock lock(registry().mutex);
  const auto found = registry().storages.find(tensor.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl());
  if (found == registry().storages.end()) return {};
  return {found->second.listener.lock(), found->second.index};
}

bool is_any_watched() {
  const std::shared_lock lock(registry().mutex);
  return !registry().storages.empty();
}

bool is_watched(const at::Tensor& tensor) { return tensor.key_set().has(kKey); }

}  // namespace deepspeed::tensor

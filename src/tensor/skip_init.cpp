// A mode key of the dispatcher: random operators that write in place have a kernel there that does nothing.
#include "deepspeed/skip_init.h"

#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

namespace deepspeed {
namespace {

constexpr c10::DispatchKey kKey = c10::DispatchKey::TESTING_ONLY_GenericMode;

/// Drops the arguments behind the first, which is returned as it is.
void leave_as_it_is(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  stack->resize(stack->size() - (op.schema().arguments().size() - 1));
}

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericMode, library) { library.fallback(torch::CppFunction::makeFallthrough()); }

TORCH_LIBRARY_IMPL(aten, TESTING_ONLY_GenericMode, library) {
  for (const char* name : {"uniform_", "normal_", "log_normal_", "exponential_", "cauchy_", "geometric_", "random_",
                           "random_.from", "random_.to", "bernoulli_.float", "bernoulli_.Tensor"})
    library.impl(name, torch::CppFunction::makeFromBoxedFunction<&leave_as_it_is>());
}

}  // namespace

struct SkipInit::Impl {
  c10::impl::IncludeDispatchKeyGuard guard{kKey};
};

SkipInit::SkipInit() : impl_(new Impl) {}
SkipInit::~SkipInit() = default;

}  // namespace deepspeed

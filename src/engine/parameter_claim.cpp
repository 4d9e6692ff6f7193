// A set behind a lock.
#include "engine/parameter_claim.h"

#include <mutex>
#include <unordered_set>

#include "deepspeed/error.h"

namespace deepspeed::engine {
namespace {

struct Registry {
  std::mutex mutex;
  std::unordered_set<const void*> parameters;
};

// Never destroyed: engines may go as late as at interpreter exit.
Registry& registry() {
  static auto* const instance = new Registry;
  return *instance;
}

}  // namespace

void ParameterClaim::claim(const std::vector<tensor::NamedParameter>& parameters) {
  const std::lock_guard lock(registry().mutex);
  for (const tensor::NamedParameter& parameter : parameters) {
    DS_CHECK(!registry().parameters.contains(parameter.tensor.unsafeGetTensorImpl()), ValueError, "[engine] parameter ",
             parameter.name,
             " belongs to another engine already. Call destroy() on that engine first, or give each "
             "engine a model of its own.");
  }
  for (const tensor::NamedParameter& parameter : parameters) {
    held_.push_back(parameter.tensor.unsafeGetTensorImpl());
    registry().parameters.insert(held_.back());
  }
}

void ParameterClaim::release() noexcept {
  const std::lock_guard lock(registry().mutex);
  for (const void* parameter : held_) registry().parameters.erase(parameter);
  held_.clear();
}

bool is_claimed(const at::Tensor& parameter) {
  const std::lock_guard lock(registry().mutex);
  return registry().parameters.contains(parameter.unsafeGetTensorImpl());
}

}  // namespace deepspeed::engine

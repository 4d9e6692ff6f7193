// The two operators. Tensors that nobody watches reach kernels that do nothing.
#include "tensor/graph_use.h"

#include <torch/library.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "tensor/touch.h"

namespace deepspeed::tensor {
namespace {

struct Touches {
  std::shared_ptr<TouchListener> listener;
  std::vector<Touch> touches;
};

/// By listener: nearly always one.
std::vector<Touches> watched_among(at::TensorList weights, at::IntArrayRef written) {
  std::vector<Touches> result;
  for (size_t i = 0; i < weights.size(); ++i) {
    Watcher watcher = watcher_of(weights[i]);
    if (!watcher.listener) continue;
    const bool writes = std::find(written.begin(), written.end(), static_cast<int64_t>(i)) != written.end();
    auto found = std::find_if(result.begin(), result.end(),
                              [&](const Touches& known) { return known.listener == watcher.listener; });
    if (found == result.end()) found = result.insert(found, {std::move(watcher.listener), {}});
    found->touches.push_back({watcher.index, writes});
  }
  return result;
}

void pin_nothing(at::TensorList, const at::Tensor&) {}
void unpin_nothing(at::TensorList, const at::Tensor&, at::IntArrayRef) {}

}  // namespace

void pin(at::TensorList weights, const at::Tensor&) {
  const std::vector<Touches> all = watched_among(weights, {});
  size_t pinned = 0;
  try {
    for (; pinned < all.size(); ++pinned) all[pinned].listener->pin(all[pinned].touches);
  } catch (...) {
    while (pinned-- > 0) all[pinned].listener->unpin(all[pinned].touches);
    throw;
  }
}

void unpin(at::TensorList weights, const at::Tensor&, at::IntArrayRef written) {
  for (const Touches& each : watched_among(weights, written)) each.listener->unpin(each.touches);
}

TORCH_LIBRARY_FRAGMENT(deepspeed, library) {
  library.def("pin(Tensor(a!)[] weights, Tensor(b!) order) -> ()");
  library.def("unpin(Tensor(a!)[] weights, Tensor(b!) order, int[] written) -> ()");
}

TORCH_LIBRARY_IMPL(deepspeed, CompositeExplicitAutograd, library) {
  library.impl("pin", &pin_nothing);
  library.impl("unpin", &unpin_nothing);
}

TORCH_LIBRARY_IMPL(deepspeed, TESTING_ONLY_GenericWrapper, library) {
  library.impl("pin", &pin);
  library.impl("unpin", &unpin);
}

}  // namespace deepspeed::tensor

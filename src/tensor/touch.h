// Being told when an operator is about to use a tensor.
//
// [Note: Touch] A watched parameter carries a dispatch key that stands above autograd. Every operator that gets it, or
// a view of it, as an argument passes through our fallback first: in forward, in backward (derivative formulas call
// operators on the saved weights), in a recomputation, in Python and in C++, inside a module or not. So no module needs
// a hook, and tied, functional and repeated use need no special case. The cost is about half a microsecond an operator
// on watched tensors, none on others. The key is the dispatcher's generic wrapper, which torch keeps for one user a
// process. Kernels that take raw pointers without an operator (data_ptr(), numpy()) are not seen; compiled graphs pin
// what their kernels use (graph_use.h).
#pragma once

#include <memory>
#include <span>

#include <ATen/core/Tensor.h>

namespace deepspeed::tensor {

/// One argument of an operator. `index` is what watch() was given.
struct Touch {
  int index;
  bool writes;  ///< the operator changes it in place
};

/// Called on the thread that runs the operator, without locks held; before_use may throw, which the operator's caller
/// gets.
class TouchListener {
 public:
  virtual ~TouchListener() = default;
  /// All watched arguments of one operator, duplicates included. They must stay usable until after_use.
  virtual void before_use(std::span<const Touch> touches) = 0;
  virtual void after_use(std::span<const Touch> touches) noexcept = 0;

  /// The same round a stretch of a compiled graph. Where the graph throws, unpin never comes: the listener decides when
  /// its pins fall, and passes over an unpin that comes after that.
  virtual void pin(std::span<const Touch> touches) = 0;
  virtual void unpin(std::span<const Touch> touches) noexcept = 0;
};

/// Watches `tensor` (by its storage) until unwatch(); `listener` may go before.
void watch(const at::Tensor& tensor, std::weak_ptr<TouchListener> listener, int index);

/// Takes the key off `tensor` and forgets the storage; views of it keep a key that nobody answers.
void unwatch(const at::Tensor& tensor, const c10::StorageImpl* storage);

/// The same where no tensor that we know has the storage any more.
void forget(const c10::StorageImpl* storage);

bool is_watched(const at::Tensor& tensor);

/// Whether any tensor of the process is.
bool is_any_watched();

/// Who is told of `tensor`, and by which index; a null listener where nobody is.
struct Watcher {
  std::shared_ptr<TouchListener> listener;
  int index = -1;
};
Watcher watcher_of(const at::Tensor& tensor);

}  // namespace deepspeed::tensor

// A few equal buffers that units take turns in: whole gradients at stages 2 and 3 (and whole parameters at stage 3).
// Kept for the engine's life: copying into fresh memory costs several times a kept buffer (page faults).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace deepspeed::tensor {

/// Not thread-safe; its user locks.
class SlotPool {
 public:
  /// Makes the memory of a slot: bytes [slot_bytes], of any content.
  using Allocate = std::function<at::Tensor(int64_t slot_bytes)>;

  /// `slot_bytes`: the largest unit. `count` slots are allocated now. `what` names the pool in messages.
  SlotPool(std::string what, int64_t slot_bytes, int count, Allocate allocate);

  /// A free slot's index of those that were planned, or -1 where all of them are taken.
  int try_acquire();
  /// Any free slot's index; where all are taken, a slot is added: counted, and logged once with `reason`.
  int acquire_or_grow(const std::string& reason);
  void release(int slot);
  /// Gives added slots back that nobody has needed since the last call. All slots must be free.
  void shrink();

  /// Makes every slot at least so large. All must be free.
  void raise(int64_t slot_bytes);

  /// The slot's memory as `numel` elements of `type`, `offset_bytes` from its start.
  at::Tensor view(int slot, int64_t offset_bytes, int64_t numel, c10::ScalarType type) const;

  int count() const { return static_cast<int>(slots_.size()); }
  int grown() const { return grown_; }
  int64_t bytes() const { return slot_bytes_ * count(); }

 private:
  void add_slot();
  int take_below(int end);

  std::string what_;
  int64_t slot_bytes_;
  Allocate allocate_;
  std::vector<at::Tensor> slots_;
  std::vector<bool> taken_;
  int planned_ = 0;
  int most_taken_ = 0;  // since the last shrink
  int grown_ = 0;
};

}  // namespace deepspeed::tensor

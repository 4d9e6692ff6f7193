// The pool of slots.
#include "tensor/slot_pool.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "deepspeed/error.h"

namespace deepspeed::tensor {

SlotPool::SlotPool(std::string what, int64_t slot_bytes, int count, Allocate allocate)
    : what_(std::move(what)), slot_bytes_(slot_bytes), allocate_(std::move(allocate)), planned_(count) {
  for (int i = 0; i < count; ++i) add_slot();
}

void SlotPool::add_slot() {
  slots_.push_back(allocate_(slot_bytes_));
  taken_.push_back(false);
}

int SlotPool::try_acquire() { return take_below(planned_); }

int SlotPool::take_below(int end) {
  for (int slot = 0; slot < end; ++slot) {
    if (taken_[slot]) continue;
    taken_[slot] = true;
    most_taken_ = std::max(most_taken_, slot + 1);
    return slot;
  }
  return -1;
}

int SlotPool::acquire_or_grow(const std::string& reason) {
  if (const int slot = take_below(count()); slot >= 0) return slot;
  add_slot();
  ++grown_;
  core::log_once("slot pool " + what_ + reason, core::LogLevel::kInfo,
                 concat("[tensor.slot_pool] ", what_, ": a slot of ", slot_bytes_, " bytes was added (", count(),
                        " now) for ", reason));
  return take_below(count());
}

void SlotPool::release(int slot) {
  DS_INTERNAL_CHECK(slot >= 0 && slot < count() && taken_[slot], "release of slot ", slot, " that is not taken in ",
                    what_);
  taken_[slot] = false;
}

void SlotPool::raise(int64_t slot_bytes) {
  if (slot_bytes <= slot_bytes_) return;
  for (const bool taken : taken_) DS_INTERNAL_CHECK(!taken, "slots of ", what_, " are replaced while one is in use");
  const int slots = count();
  slots_.clear();
  taken_.clear();
  slot_bytes_ = slot_bytes;
  for (int i = 0; i < slots; ++i) add_slot();
}

void SlotPool::shrink() {
  const int keep = std::max(planned_, std::exchange(most_taken_, 0));
  while (count() > keep) {
    DS_INTERNAL_CHECK(!taken_.back(), "slot ", count() - 1, " of ", what_, " is taken while the pool shrinks");
    slots_.pop_back();
    taken_.pop_back();
  }
}

at::Tensor SlotPool::view(int slot, int64_t offset_bytes, int64_t numel, c10::ScalarType type) const {
  const auto element_bytes = static_cast<int64_t>(c10::elementSize(type));
  return slots_[slot].narrow(0, offset_bytes, numel * element_bytes).view(type);
}

}  // namespace deepspeed::tensor

// Counts what tensors on the CPU allocate, on every thread.
#pragma once

#include <c10/core/CPUAllocator.h>

#include <atomic>
#include <cstdint>

namespace deepspeed::testing {

/// In torch's place from its making to its end.
class CountingAllocator final : public c10::Allocator {
 public:
  CountingAllocator() : inner_(c10::GetCPUAllocator()) { c10::SetCPUAllocator(this, kPriority); }
  ~CountingAllocator() override { c10::SetCPUAllocator(inner_, kPriority); }

  c10::DataPtr allocate(size_t bytes) override {
    ++count_;
    return inner_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return inner_->raw_deleter(); }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }
  int64_t count() const { return count_; }

 private:
  static constexpr uint8_t kPriority = 100;
  c10::Allocator* const inner_;
  std::atomic<int64_t> count_ = 0;
};

}  // namespace deepspeed::testing

// A table of blocks by address.
#include "transport/shared_blocks.h"

#include <utility>

namespace deepspeed::transport {

std::shared_ptr<std::byte> SharedBlocks::allocate(int64_t bytes) {
  auto block = std::make_shared<HostGroup::Block>(group_->share(bytes));
  std::byte* const data = block->segment.data();
  {
    const std::lock_guard lock(mutex_);
    entries_[data] = {bytes, block->number};
  }
  const auto forget = [self = shared_from_this(), block](std::byte* first) {
    if (self->group_->is_forked()) return;  // the lock may be another thread's, which is not here
    {
      const std::lock_guard lock(self->mutex_);
      self->entries_.erase(first);
    }
    self->group_->unshare(block->number);
  };
  return {data, forget};
}

SharedBlocks::Position SharedBlocks::find(const std::byte* data, int64_t bytes) const {
  const std::lock_guard lock(mutex_);
  auto after = entries_.upper_bound(data);
  if (after == entries_.begin()) return {};
  const auto& [first, entry] = *--after;
  if (data + bytes > first + entry.bytes) return {};
  return {.number = entry.number, .offset = static_cast<uint64_t>(data - first)};
}

}  // namespace deepspeed::transport

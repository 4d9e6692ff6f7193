// Memory of this rank's that the others of its host read in place: what is sent from it is copied only by its reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "transport/host_group.h"

namespace deepspeed::transport {

/// Any thread. Blocks may outlive it, and then are ordinary memory.
class SharedBlocks : public std::enable_shared_from_this<SharedBlocks> {
 public:
  explicit SharedBlocks(std::shared_ptr<HostGroup> group) : group_(std::move(group)) {}

  /// Zeroed memory, until the last copy of the pointer goes. Throws IoError.
  std::shared_ptr<std::byte> allocate(int64_t bytes);

  /// Where the others find [data, data + bytes); number 0: not in a block.
  struct Position {
    uint32_t number = 0;
    uint64_t offset = 0;
  };
  Position find(const std::byte* data, int64_t bytes) const;

 private:
  struct Entry {
    int64_t bytes;
    uint32_t number;
  };

  const std::shared_ptr<HostGroup> group_;
  mutable std::mutex mutex_;
  std::map<const std::byte*, Entry> entries_;  // by first byte
};

}  // namespace deepspeed::transport

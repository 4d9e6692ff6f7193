// The ranks of a group that run on one host, with each other's memory mapped.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "transport/layout.h"
#include "transport/local_socket.h"
#include "transport/shared_segment.h"

namespace deepspeed::transport {

/// A token that nobody else has; one rank makes it and tells the others.
std::string random_token();

struct HostGroupOptions {
  std::string token;  ///< the same on all ranks, and of no other group: at most 64 letters and digits
  int rank = 0;
  int size = 1;
  std::chrono::milliseconds timeout{60'000};  ///< for all to come
};

class HostGroup {
 public:
  /// Collective. Throws CommError that names the ranks which did not come, IoError without memory.
  explicit HostGroup(const HostGroupOptions& options);

  /// Leaves. In a forked child it does nothing but unmap.
  ~HostGroup();
  HostGroup(const HostGroup&) = delete;
  HostGroup& operator=(const HostGroup&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  const SegmentLayout& layout() const { return layout_; }
  bool is_forked() const;

  /// Tells the others that nothing more comes from this rank. Not in a forked child.
  void leave() noexcept;

  Control& control(int rank) const { return *reinterpret_cast<Control*>(segments_[rank].data()); }
  Queue& queue(int from, int to) const { return queue_at(from, layout_.queue(to)); }
  Queue& message_queue(int from, int to) const { return queue_at(from, layout_.message_queue(to)); }
  std::byte* staging() const { return segments_[rank_].data() + layout_.staging; }
  std::byte* message_staging(int to) const { return segments_[rank_].data() + layout_.message_staging(to); }

  /// What a descriptor of `peer` points at, checked against the bounds. Maps a block at its first use. For the thread
  /// that drives (Exchange).
  const std::byte* data_of(int peer, const Descriptor& descriptor);
  /// The same of a message's.
  const std::byte* message_data_of(int peer, const Descriptor& descriptor) const;

  /// Whether the process of `peer` still lives. Costs a system call.
  bool is_alive(int peer) const;

  /// Memory of this rank's that the others can read (SharedBlocks). A group is meant to have few: each is a packet to
  /// every rank, which waits there until that rank takes part in something. Any thread. In a forked child share()
  /// throws CommError.
  struct Block {
    SharedSegment segment;
    uint32_t number;  ///< from 1, never twice
  };
  Block share(int64_t bytes);
  void unshare(uint32_t number) noexcept;

  /// Unmaps what others have unshared meanwhile. For the thread that drives.
  void follow_notices();

 private:
  struct Peer {
    LocalSocket socket;
    std::map<uint32_t, SharedSegment> blocks;
    uint64_t notices = 0;  // that were read
  };

  Queue& queue_at(int rank, int64_t offset) const { return *reinterpret_cast<Queue*>(segments_[rank].data() + offset); }
  void meet(const HostGroupOptions& options);
  bool read_notice(int peer, Clock::time_point deadline);
  void tell(int64_t bytes, uint32_t number, int file);

  const int rank_;
  const int size_;
  const int pid_;
  const SegmentLayout layout_;
  std::vector<SharedSegment> segments_;  // by rank
  std::vector<Peer> peers_;              // by rank

  std::mutex mutex_;  // guards the next one, and sending
  uint32_t blocks_shared_ = 0;
};

}  // namespace deepspeed::transport

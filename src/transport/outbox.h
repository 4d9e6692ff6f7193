// The sending side of one rank's queues to the others, with the staging area behind them. For the thread that drives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "transport/host_group.h"
#include "transport/operation.h"
#include "transport/shared_blocks.h"
#include "transport/staging_ring.h"

namespace deepspeed::transport {

class Outbox {
 public:
  Outbox(HostGroup& group, const SharedBlocks& blocks);

  /// To every rank: `operation`, which is the number-th, begins. False: no room in a queue yet.
  bool open(uint64_t number, const Operation& operation);

  /// A chunk of a source, `numel` elements from `begin`. False: no room yet.
  bool post(uint64_t number, Kind kind, const Sending& sending, const Source& source, int64_t begin, int64_t numel);

  /// Whether everything that was sent in place has been read: then its owner may change it.
  bool is_read() const;
  /// Whether `peer` has read everything.
  bool is_read_by(int peer) const;

  /// Rings for what was posted since the last call.
  void ring();

 private:
  bool has_room(int peer) const;
  bool has_room_for(const Source& source) const;
  void put(int peer, const Descriptor& descriptor);
  void put_to(const Source& source, const Descriptor& descriptor, uint64_t part);
  bool is_part_read(uint64_t part) const;

  HostGroup& group_;
  const SharedBlocks& blocks_;
  StagingRing ring_;
  // Where each rank's queue stood when a staged part went into it, + 1; 0: the part was not for that rank.
  std::vector<uint64_t> part_positions_;
  std::vector<uint64_t> in_place_;  // by rank: how far its queue must be read before in-place data is free
  std::vector<bool> to_ring_;
};

}  // namespace deepspeed::transport

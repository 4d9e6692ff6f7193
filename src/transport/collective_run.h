// One collective under way on one rank: a state machine that moves a chunk at a time and never waits.
#pragma once

#include <cstdint>
#include <vector>

#include "transport/host_group.h"
#include "transport/operation.h"
#include "transport/outbox.h"

namespace deepspeed::transport {

/// For the thread that drives.
class CollectiveRun {
 public:
  CollectiveRun(HostGroup& group, Outbox& outbox);

  /// `operation` stays until the next begin(). Numbers count up on all ranks alike.
  void begin(uint64_t number, const Operation& operation);

  /// Moves what can be moved, about a chunk a rank; whether that was anything. Throws CommError where a rank is at
  /// another operation.
  bool advance();

  bool is_done() const;
  /// Whether everything of this rank's is out, and what is read in place has been read: then the others can finish
  /// without it.
  bool is_released() const;
  /// Whether it cannot end without more from `peer`.
  bool waits_for(int peer) const;

 private:
  bool is_sent() const;

  /// Walks through sendings, the chunks of each in turn.
  struct SendCursor {
    size_t sending = 0;
    int64_t chunk = 0;
    size_t source = 0;
  };
  struct PeerState {
    bool opened = false;
    size_t arrival = 0;
    int64_t arrived_bytes = 0;  // of that arrival
  };

  void copy_locally() const;
  int64_t chunk_numel(Element wire) const;
  bool send_chunk(const std::vector<Sending>& sendings, SendCursor& cursor, Kind kind);
  void keep_chunk(const Sending& sending, const Source& source, int64_t begin, int64_t numel) const;
  bool is_folded(int fold, int64_t chunk) const;
  bool has_left(int sending, int64_t chunk) const;
  const Descriptor* head(int peer) const;
  void pop(int peer);
  bool take(int peer);
  void compare_line(int peer) const;
  void compare_lengths(int peer, const Descriptor& opening) const;
  void copy_arrival(int peer, const Descriptor& descriptor);
  bool fold_chunk();

  HostGroup& group_;
  Outbox& outbox_;
  const Operation* operation_ = nullptr;
  uint64_t number_ = 0;
  bool opened_ = false;
  SendCursor contributions_;
  SendCursor copies_;
  std::vector<PeerState> peers_;
  size_t fold_ = 0;
  int64_t fold_chunk_ = 0;
  std::vector<const std::byte*> parts_;  // of a chunk, by rank
};

}  // namespace deepspeed::transport

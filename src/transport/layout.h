// What lies where in the memory that each rank shares with the others of its host. A rank writes its own segment only,
// but for `consumed` of the queues that it reads and for the bell.
//
// [Note: Queues] Data goes from rank a to rank b through descriptors in a queue of a's segment: a writes an entry and
// then counts `posted` up, b reads it and then counts `consumed` up. What a descriptor points at stays as it is until b
// has consumed it. It lies in a's staging area, where a copied it, or in a block that a shares (SharedBlocks), where it
// was made: then it is never copied but by its reader.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "transport/bell.h"

namespace deepspeed::transport {

constexpr int64_t kCacheLine = 64;

/// What a rank sends and receives up to here moves at once, in the launching thread, and never leaves in place: so its
/// receiver may look for it as late as somebody waits for it.
constexpr int64_t kSmallBytes = int64_t{32} << 10;

enum class Kind : uint32_t {
  kOpen,          ///< an operation begins: its line is in `lines`; no data of its own
  kContribution,  ///< to be reduced with the parts of all ranks
  kCopy,          ///< to be copied
  kMessage,       ///< of a send, in Messages' queues
};

struct Descriptor {
  uint64_t operation = 0;  ///< counted from 0 a group; of a message: its tag
  uint64_t offset = 0;     ///< in the sender's segment or block
  uint64_t whole = 0;      ///< of a message: all its bytes; of an opening: those of the copies that follow
  uint32_t bytes = 0;
  uint32_t block = 0;  ///< 0: the sender's staging area; others as SharedBlocks numbers them
  Kind kind = Kind::kOpen;
};

/// One direction between two ranks.
struct Queue {
  static constexpr uint64_t kEntries = 64;

  alignas(kCacheLine) std::atomic<uint64_t> posted{0};
  alignas(kCacheLine) std::atomic<uint64_t> consumed{0};
  alignas(kCacheLine) Descriptor entries[kEntries];
};

/// What an operation is, for comparison.
struct Line {
  static constexpr size_t kTextBytes = 504;
  uint64_t hash = 0;
  char text[kTextBytes] = {};
};

enum class Presence : uint32_t { kThere, kFailed, kLeft };

struct Control {
  /// Nobody is more than one operation ahead of another rank, so two lines are in use at most.
  static constexpr uint64_t kLines = 4;

  uint64_t process = 0;  ///< a number of the process's own
  alignas(kCacheLine) Bell bell;
  alignas(kCacheLine) std::atomic<uint32_t> wants_space{0};  ///< ring me when you consume
  alignas(kCacheLine) std::atomic<Presence> presence{Presence::kThere};
  std::atomic<uint64_t> notices{0};  ///< of blocks, sent over the sockets so far
  char reason[1024] = {};            ///< with kFailed, written before it
  alignas(kCacheLine) Line lines[kLines];
};

/// Where in a segment things are, in bytes from its start. Pure numbers of a group's size.
struct SegmentLayout {
  explicit SegmentLayout(int size);

  int64_t queue(int to) const { return queues + to * static_cast<int64_t>(sizeof(Queue)); }
  int64_t message_queue(int to) const { return message_queues + to * static_cast<int64_t>(sizeof(Queue)); }
  int64_t message_staging(int to) const { return message_stagings + to * message_staging_bytes; }

  int64_t queues = 0;
  int64_t message_queues = 0;
  int64_t message_stagings = 0;
  int64_t message_staging_bytes = 0;  ///< a peer
  int64_t message_chunk_bytes = 0;
  int64_t staging = 0;
  int64_t staging_bytes = 0;
  int64_t chunk_bytes = 0;  ///< what a collective moves at a time; stays in a core's L2 cache
  int64_t bytes = 0;
};

}  // namespace deepspeed::transport

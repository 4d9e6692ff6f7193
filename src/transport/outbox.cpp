// Posting: stage or point, write the descriptor, count.
#include "transport/outbox.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>

#include "transport/combine.h"

namespace deepspeed::transport {
namespace {

constexpr uint64_t kNoPart = UINT64_MAX;

// As many parts can be held as entries can be unread.
uint64_t row_of(uint64_t part, int size) { return part % (Queue::kEntries * static_cast<uint64_t>(size)); }

/// Bytes of all copies that go to `peer`.
uint64_t copied_to(int peer, const Operation& operation) {
  int64_t bytes = 0;
  for (const Sending& sending : operation.copies) {
    for (const Source& source : sending.sources) {
      if (source.peer == kEveryone || source.peer == peer) bytes += source.numel * element_bytes(sending.wire);
    }
  }
  return static_cast<uint64_t>(bytes);
}

}  // namespace

Outbox::Outbox(HostGroup& group, const SharedBlocks& blocks)
    : group_(group),
      blocks_(blocks),
      ring_(group.layout().staging_bytes),
      part_positions_(Queue::kEntries * static_cast<size_t>(group.size()) * static_cast<size_t>(group.size())),
      in_place_(static_cast<size_t>(group.size()), 0),
      to_ring_(static_cast<size_t>(group.size()), false) {}

bool Outbox::has_room(int peer) const {
  const Queue& queue = group_.queue(group_.rank(), peer);
  return queue.posted.load(std::memory_order_relaxed) - queue.consumed.load(std::memory_order_seq_cst) <
         Queue::kEntries;
}

bool Outbox::has_room_for(const Source& source) const {
  if (source.peer != kEveryone) return has_room(source.peer);
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (peer != group_.rank() && !has_room(peer)) return false;
  }
  return true;
}

void Outbox::put(int peer, const Descriptor& descriptor) {
  Queue& queue = group_.queue(group_.rank(), peer);
  const uint64_t position = queue.posted.load(std::memory_order_relaxed);
  queue.entries[position % Queue::kEntries] = descriptor;
  queue.posted.store(position + 1, std::memory_order_release);
  to_ring_[peer] = true;
}

bool Outbox::open(uint64_t number, const Operation& operation) {
  if (!has_room_for({})) return false;
  Line& mine = group_.control(group_.rank()).lines[number % Control::kLines];
  const std::string& line = operation.line;
  mine.hash = std::hash<std::string>()(line);
  const size_t length = std::min(line.size(), Line::kTextBytes - 1);
  std::memcpy(mine.text, line.data(), length);
  mine.text[length] = '\0';
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (peer == group_.rank()) continue;
    put(peer, {.operation = number, .whole = copied_to(peer, operation), .kind = Kind::kOpen});
  }
  return true;
}

bool Outbox::is_part_read(uint64_t part) const {
  const uint64_t* const positions = &part_positions_[row_of(part, group_.size()) * static_cast<size_t>(group_.size())];
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (positions[peer] == 0) continue;
    if (group_.queue(group_.rank(), peer).consumed.load(std::memory_order_seq_cst) < positions[peer]) return false;
  }
  return true;
}

bool Outbox::post(uint64_t number, Kind kind, const Sending& sending, const Source& source, int64_t begin,
                  int64_t numel) {
  if (!has_room_for(source)) return false;
  const std::byte* const from = source.data + begin * element_bytes(sending.element);
  const int64_t bytes = numel * element_bytes(sending.wire);
  Descriptor descriptor{.operation = number, .bytes = static_cast<uint32_t>(bytes), .kind = kind};
  const bool is_small = source.numel * element_bytes(sending.wire) <= kSmallBytes;
  if (sending.wire == sending.element && !sending.is_overwritten && !is_small) {
    const SharedBlocks::Position position = blocks_.find(from, bytes);
    if (position.number != 0) {
      descriptor.block = position.number;
      descriptor.offset = position.offset;
      put_to(source, descriptor, kNoPart);
      return true;
    }
  }
  ring_.free_read([this](uint64_t part) { return is_part_read(part); });
  const uint64_t part = ring_.next_index();
  const auto offset = ring_.reserve(bytes);
  if (!offset) return false;
  convert(group_.staging() + *offset, sending.wire, from, sending.element, numel);
  descriptor.offset = static_cast<uint64_t>(*offset);
  put_to(source, descriptor, part);
  return true;
}

void Outbox::put_to(const Source& source, const Descriptor& descriptor, uint64_t part) {
  const auto size = static_cast<size_t>(group_.size());
  uint64_t* const positions = part == kNoPart ? nullptr : &part_positions_[row_of(part, group_.size()) * size];
  if (positions != nullptr) std::fill_n(positions, size, 0);
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (peer == group_.rank() || (source.peer != kEveryone && source.peer != peer)) continue;
    put(peer, descriptor);
    const uint64_t after = group_.queue(group_.rank(), peer).posted.load(std::memory_order_relaxed);
    (positions != nullptr ? positions[peer] : in_place_[peer]) = after;
  }
}

bool Outbox::is_read_by(int peer) const {
  const Queue& queue = group_.queue(group_.rank(), peer);
  return queue.consumed.load(std::memory_order_seq_cst) == queue.posted.load(std::memory_order_relaxed);
}

bool Outbox::is_read() const {
  for (int peer = 0; peer < group_.size(); ++peer) {
    const Queue& queue = group_.queue(group_.rank(), peer);
    if (peer != group_.rank() && queue.consumed.load(std::memory_order_seq_cst) < in_place_[peer]) return false;
  }
  return true;
}

void Outbox::ring() {
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (to_ring_[peer]) group_.control(peer).bell.ring();
    to_ring_[peer] = false;
  }
}

}  // namespace deepspeed::transport

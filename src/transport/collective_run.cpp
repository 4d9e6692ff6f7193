// Sends first, so that the others have work; then takes what came; then adds.
#include "transport/collective_run.h"

#include <algorithm>
#include <cstring>

#include "deepspeed/error.h"
#include "kernels/copy_kernels.h"
#include "transport/combine.h"

namespace deepspeed::transport {
namespace {

// Longer results do not stay in the caches until they are read.
constexpr int64_t kBeyondCaches = int64_t{16} << 20;

void copy_past_cache_if_large(std::byte* to, const std::byte* from, int64_t bytes, int64_t whole) {
  if (whole > kBeyondCaches) {
    kernels::stream_bytes(to, from, bytes);
  } else {
    kernels::copy_bytes(to, from, bytes);
  }
}

}  // namespace

CollectiveRun::CollectiveRun(HostGroup& group, Outbox& outbox)
    : group_(group), outbox_(outbox), peers_(static_cast<size_t>(group.size())), parts_(peers_.size()) {}

void CollectiveRun::begin(uint64_t number, const Operation& operation) {
  operation_ = &operation;
  number_ = number;
  opened_ = false;
  contributions_ = copies_ = {};
  std::fill(peers_.begin(), peers_.end(), PeerState{});
  fold_ = 0;
  fold_chunk_ = 0;
}

void CollectiveRun::copy_locally() const {
  for (const LocalCopy& copy : operation_->local_copies) {
    std::memmove(copy.to, copy.from, static_cast<size_t>(copy.bytes));
  }
}

int64_t CollectiveRun::chunk_numel(Element wire) const { return group_.layout().chunk_bytes / element_bytes(wire); }

bool CollectiveRun::advance() {
  bool moved = false;
  if (!opened_) {
    if (!outbox_.open(number_, *operation_)) return false;
    copy_locally();
    opened_ = moved = true;
  }
  moved |= send_chunk(operation_->copies, copies_, Kind::kCopy);
  moved |= send_chunk(operation_->contributions, contributions_, Kind::kContribution);
  outbox_.ring();
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (peer != group_.rank()) moved |= take(peer);
  }
  moved |= fold_chunk();
  return moved;
}

bool CollectiveRun::send_chunk(const std::vector<Sending>& sendings, SendCursor& cursor, Kind kind) {
  bool moved = false;
  while (cursor.sending < sendings.size()) {
    const Sending& sending = sendings[cursor.sending];
    const int64_t length = chunk_numel(sending.wire);
    const int64_t begin = cursor.chunk * length;
    if (sending.after_fold >= 0 && !is_folded(sending.after_fold, cursor.chunk)) return moved;
    bool any_left = false;
    for (; cursor.source < sending.sources.size(); ++cursor.source) {
      const Source& source = sending.sources[cursor.source];
      if (begin >= source.numel) continue;
      const int64_t numel = std::min(length, source.numel - begin);
      if (!outbox_.post(number_, kind, sending, source, begin, numel)) return moved;
      keep_chunk(sending, source, begin, numel);
      moved = true;
    }
    for (const Source& source : sending.sources) any_left |= begin + length < source.numel;
    cursor.source = 0;
    cursor.chunk = any_left ? cursor.chunk + 1 : 0;
    if (!any_left) ++cursor.sending;
    if (moved) return true;
  }
  return moved;
}

void CollectiveRun::keep_chunk(const Sending& sending, const Source& source, int64_t begin, int64_t numel) const {
  if (source.kept_at == nullptr) return;
  const int64_t width = element_bytes(sending.element);
  copy_past_cache_if_large(source.kept_at + begin * width, source.data + begin * width, numel * width,
                           source.numel * width);
}

bool CollectiveRun::is_folded(int fold, int64_t chunk) const {
  return static_cast<size_t>(fold) < fold_ || (static_cast<size_t>(fold) == fold_ && chunk < fold_chunk_);
}

bool CollectiveRun::has_left(int sending, int64_t chunk) const {
  const auto index = static_cast<size_t>(sending);
  return index < contributions_.sending || (index == contributions_.sending && chunk < contributions_.chunk);
}

const Descriptor* CollectiveRun::head(int peer) const {
  const Queue& queue = group_.queue(peer, group_.rank());
  const uint64_t position = queue.consumed.load(std::memory_order_relaxed);
  if (position == queue.posted.load(std::memory_order_acquire)) return nullptr;
  const Descriptor& descriptor = queue.entries[position % Queue::kEntries];
  return descriptor.operation == number_ ? &descriptor : nullptr;  // the next one's wait
}

void CollectiveRun::pop(int peer) {
  Queue& queue = group_.queue(peer, group_.rank());
  queue.consumed.store(queue.consumed.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
  Control& control = group_.control(peer);
  if (control.wants_space.load(std::memory_order_seq_cst) != 0) control.bell.ring();
}

/// Takes what does not need the others' parts. Contributions stay at the head until all have theirs there.
bool CollectiveRun::take(int peer) {
  const Descriptor* const descriptor = head(peer);
  if (descriptor == nullptr || descriptor->kind == Kind::kContribution) return false;
  if (descriptor->kind == Kind::kOpen) {
    compare_line(peer);
    compare_lengths(peer, *descriptor);
    peers_[peer].opened = true;
  } else {
    copy_arrival(peer, *descriptor);
  }
  pop(peer);
  return true;
}

void CollectiveRun::compare_line(int peer) const {
  const Line& mine = group_.control(group_.rank()).lines[number_ % Control::kLines];
  const Line& theirs = group_.control(peer).lines[number_ % Control::kLines];
  if (mine.hash == theirs.hash) return;
  throw CommError(concat("the ranks disagree: rank ", peer, " is at: ", theirs.text, "; rank ", group_.rank(),
                         " is at: ", mine.text,
                         ". All ranks must do the same in the same order: look for a branch that only some ranks take, "
                         "an uneven number of batches, or something done under `if rank == 0`"));
}

/// Lines say how much, but where each pair of ranks agrees on its own lengths (an all-to-all).
void CollectiveRun::compare_lengths(int peer, const Descriptor& opening) const {
  int64_t expected = 0;
  for (const Arrival& arrival : operation_->arrivals[peer]) expected += arrival.bytes;
  DS_CHECK(opening.whole == static_cast<uint64_t>(expected), CommError, "rank ", peer, " sends ", opening.whole,
           " bytes, rank ", group_.rank(), " expects ", expected, ", in: ", operation_->line,
           ". Both must name the same split sizes for each other");
}

void CollectiveRun::copy_arrival(int peer, const Descriptor& descriptor) {
  PeerState& state = peers_[peer];
  const auto& arrivals = operation_->arrivals[peer];
  DS_CHECK(state.arrival < arrivals.size() && state.arrived_bytes + descriptor.bytes <= arrivals[state.arrival].bytes,
           CommError, "rank ", peer, " sent more than expected in: ", operation_->line);
  const Arrival& arrival = arrivals[state.arrival];
  copy_past_cache_if_large(arrival.to + state.arrived_bytes, group_.data_of(peer, descriptor), descriptor.bytes,
                           arrival.bytes);
  state.arrived_bytes += descriptor.bytes;
  if (state.arrived_bytes == arrival.bytes) {
    ++state.arrival;
    state.arrived_bytes = 0;
  }
}

bool CollectiveRun::fold_chunk() {
  if (fold_ == operation_->folds.size()) return false;
  const Fold& fold = operation_->folds[fold_];
  const int64_t begin = fold_chunk_ * chunk_numel(fold.wire);
  const int64_t numel = std::min(chunk_numel(fold.wire), fold.numel - begin);
  if (fold.after_sending >= 0 && !has_left(fold.after_sending, fold_chunk_)) return false;
  const int64_t offset = begin * element_bytes(fold.element);
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (peer == group_.rank()) {
      parts_[peer] = fold.own + offset;
      continue;
    }
    const Descriptor* const descriptor = head(peer);
    if (descriptor == nullptr || descriptor->kind != Kind::kContribution) return false;
    DS_CHECK(descriptor->bytes == static_cast<uint64_t>(numel * element_bytes(fold.wire)), CommError, "rank ", peer,
             " sent ", descriptor->bytes, " bytes where ", numel * element_bytes(fold.wire),
             " were expected, in: ", operation_->line);
    parts_[peer] = group_.data_of(peer, *descriptor);
  }
  combine({.parts = parts_,
           .own_rank = group_.rank(),
           .result = fold.result + offset,
           .numel = numel,
           .element = fold.element,
           .wire = fold.wire,
           .reduction = fold.reduction,
           .scale = fold.scale,
           .streams = fold.result != fold.own && fold.numel * element_bytes(fold.element) > kBeyondCaches});
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (peer != group_.rank()) pop(peer);
  }
  ++fold_chunk_;
  if (begin + numel == fold.numel) {
    ++fold_;
    fold_chunk_ = 0;
  }
  return true;
}

bool CollectiveRun::is_sent() const {
  return opened_ && copies_.sending == operation_->copies.size() &&
         contributions_.sending == operation_->contributions.size();
}

bool CollectiveRun::is_released() const { return is_sent() && outbox_.is_read(); }

bool CollectiveRun::is_done() const {
  if (!is_released() || fold_ < operation_->folds.size()) return false;
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (peer == group_.rank()) continue;
    if (!peers_[peer].opened || peers_[peer].arrival < operation_->arrivals[peer].size()) return false;
  }
  return true;
}

bool CollectiveRun::waits_for(int peer) const {
  const PeerState& state = peers_[peer];
  if (!state.opened || state.arrival < operation_->arrivals[peer].size()) return true;
  const bool adds = fold_ < operation_->folds.size() && head(peer) == nullptr;
  return adds || ((!is_sent() || !outbox_.is_read()) && !outbox_.is_read_by(peer));
}

}  // namespace deepspeed::transport

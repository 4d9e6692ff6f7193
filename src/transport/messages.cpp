// Each pair of ranks has a queue and a few chunks of staging of its own, so that no pair holds up another.
#include "transport/messages.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "deepspeed/error.h"
#include "kernels/copy_kernels.h"

namespace deepspeed::transport {

Messages::Messages(HostGroup& group) : group_(group), peers_(static_cast<size_t>(group.size())) {}

void Messages::add(Send send, std::shared_ptr<Pending> pending) {
  peers_[send.peer].sends.push_back({.send = std::move(send), .pending = std::move(pending)});
}

void Messages::add(Receive receive, std::shared_ptr<Pending> pending) {
  receives_.push_back({std::move(receive), std::move(pending)});
}

bool Messages::advance(std::vector<Finished>& finished) {
  bool moved = false;
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (peer == group_.rank()) continue;
    while (send_chunk(peer, finished)) moved = true;
    while (take_chunk(peer, finished)) moved = true;
  }
  return moved;
}

bool Messages::send_chunk(int peer, std::vector<Finished>& finished) {
  auto& sends = peers_[peer].sends;
  if (sends.empty()) return false;
  const SegmentLayout& layout = group_.layout();
  Queue& queue = group_.message_queue(group_.rank(), peer);
  const uint64_t position = queue.posted.load(std::memory_order_relaxed);
  const auto chunks = static_cast<uint64_t>(layout.message_staging_bytes / layout.message_chunk_bytes);
  if (position - queue.consumed.load(std::memory_order_seq_cst) >= chunks) return false;
  Sending& sending = sends.front();
  const int64_t bytes = std::min(layout.message_chunk_bytes, sending.send.bytes - sending.sent);
  const int64_t offset = static_cast<int64_t>(position % chunks) * layout.message_chunk_bytes;
  if (bytes > 0) {
    kernels::copy_bytes(group_.message_staging(peer) + offset, sending.send.data + sending.sent, bytes);
  }
  queue.entries[position % Queue::kEntries] = {.operation = sending.send.tag,
                                               .offset = static_cast<uint64_t>(offset),
                                               .whole = static_cast<uint64_t>(sending.send.bytes),
                                               .bytes = static_cast<uint32_t>(bytes),
                                               .kind = Kind::kMessage};
  queue.posted.store(position + 1, std::memory_order_release);
  group_.control(peer).bell.ring();
  sending.sent += bytes;
  if (sending.sent == sending.send.bytes) {
    sending.send.keeps.reset();
    finished.push_back({std::move(sending.pending), nullptr});
    sends.pop_front();
  }
  return true;
}

std::optional<Messages::Receiving> Messages::take_receive(int peer, uint64_t tag) {
  const auto fits = [&](const Receiving& each) {
    return each.receive.tag == tag && (each.receive.peer == peer || each.receive.peer == kAnyPeer);
  };
  const auto found = std::find_if(receives_.begin(), receives_.end(), fits);
  if (found == receives_.end()) return std::nullopt;
  Receiving receiving = std::move(*found);
  receives_.erase(found);
  return receiving;
}

/// Makes room for a message whose first chunk is here. False: it stays with its sender.
bool Messages::meet(int peer, const Descriptor& first) {
  Incoming message{.tag = first.operation, .bytes = static_cast<int64_t>(first.whole)};
  message.asked = take_receive(peer, message.tag);
  if (!message.asked) {
    const bool is_in_the_way = std::any_of(receives_.begin(), receives_.end(), [&](const Receiving& each) {
      return each.receive.peer == peer || each.receive.peer == kAnyPeer;
    });
    if (!is_in_the_way) return false;
  }
  if (!message.asked || message.asked->receive.bytes != message.bytes) {
    message.kept.resize(static_cast<size_t>(message.bytes));
  }
  peers_[peer].incoming = std::move(message);
  return true;
}

bool Messages::take_chunk(int peer, std::vector<Finished>& finished) {
  Peer& state = peers_[peer];
  // What came before anybody asked, first.
  for (auto message = state.unasked.begin(); message != state.unasked.end(); ++message) {
    auto receiving = take_receive(peer, message->tag);
    if (!receiving) continue;
    finished.push_back(deliver(peer, std::move(*receiving), *message));
    state.unasked.erase(message);
    return true;
  }
  Queue& queue = group_.message_queue(peer, group_.rank());
  const uint64_t position = queue.consumed.load(std::memory_order_relaxed);
  if (position == queue.posted.load(std::memory_order_acquire)) return false;
  const Descriptor& descriptor = queue.entries[position % Queue::kEntries];
  if (!state.incoming && !meet(peer, descriptor)) return false;
  Incoming& message = *state.incoming;
  std::byte* const to = message.kept.empty() && message.asked ? message.asked->receive.to : message.kept.data();
  if (descriptor.bytes > 0) {
    kernels::copy_bytes(to + message.arrived, group_.message_data_of(peer, descriptor), descriptor.bytes);
  }
  message.arrived += descriptor.bytes;
  queue.consumed.store(position + 1, std::memory_order_seq_cst);
  Control& control = group_.control(peer);
  if (control.wants_space.load(std::memory_order_seq_cst) != 0) control.bell.ring();
  if (message.arrived == message.bytes) complete(peer, finished);
  return true;
}

void Messages::complete(int peer, std::vector<Finished>& finished) {
  Peer& state = peers_[peer];
  Incoming message = std::move(*state.incoming);
  state.incoming.reset();
  if (message.asked) {
    Receiving receiving = std::move(*message.asked);
    finished.push_back(deliver(peer, std::move(receiving), message));
  } else {
    state.unasked.push_back(std::move(message));
  }
}

Finished Messages::deliver(int peer, Receiving receiving, const Incoming& message) {
  std::exception_ptr error;
  if (receiving.receive.bytes != message.bytes) {
    error = std::make_exception_ptr(CommError(concat("[transport.messages] rank ", peer, " sent ", message.bytes,
                                                     " bytes, the receive has room for ", receiving.receive.bytes,
                                                     ". Both sides must name the same shape and type.")));
  } else if (!message.kept.empty()) {
    std::memcpy(receiving.receive.to, message.kept.data(), message.kept.size());
  }
  receiving.receive.keeps.reset();
  receiving.pending->source = peer;
  return {std::move(receiving.pending), error};
}

bool Messages::is_idle() const {
  return receives_.empty() && std::all_of(peers_.begin(), peers_.end(),
                                          [](const Peer& peer) { return peer.sends.empty() && !peer.incoming; });
}

bool Messages::is_sending() const {
  return std::any_of(peers_.begin(), peers_.end(), [](const Peer& peer) { return !peer.sends.empty(); });
}

bool Messages::waits_for(int peer) const {
  const Peer& state = peers_[peer];
  return !state.sends.empty() || state.incoming ||
         std::any_of(receives_.begin(), receives_.end(),
                     [&](const Receiving& each) { return each.receive.peer == peer; });
}

bool Messages::waits_for_anyone() const {
  return std::any_of(receives_.begin(), receives_.end(),
                     [](const Receiving& each) { return each.receive.peer == kAnyPeer; });
}

void Messages::fail(const std::exception_ptr& error, std::vector<Finished>& finished) {
  for (Peer& peer : peers_) {
    for (Sending& sending : peer.sends) finished.push_back({std::move(sending.pending), error});
    if (peer.incoming && peer.incoming->asked) finished.push_back({std::move(peer.incoming->asked->pending), error});
    peer.sends.clear();
    peer.incoming.reset();
  }
  for (Receiving& receiving : receives_) finished.push_back({std::move(receiving.pending), error});
  receives_.clear();
}

}  // namespace deepspeed::transport

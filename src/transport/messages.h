// Sends and receives between two ranks, apart from collectives: matched by sender and tag, in the order in which they
// were launched. A message for which nobody has asked yet waits with its sender, or, where a later one is asked for,
// with its receiver.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "transport/host_group.h"
#include "transport/pending.h"

namespace deepspeed::transport {

constexpr int kAnyPeer = -1;

struct Send {
  int peer = 0;
  uint64_t tag = 0;
  const std::byte* data = nullptr;
  int64_t bytes = 0;
  std::shared_ptr<const void> keeps = nullptr;
};

struct Receive {
  int peer = kAnyPeer;
  uint64_t tag = 0;
  std::byte* to = nullptr;
  int64_t bytes = 0;  ///< exactly as long as the message
  std::shared_ptr<const void> keeps = nullptr;
};

/// What was done, to be finished once no lock is held.
struct Finished {
  std::shared_ptr<Pending> pending;
  std::exception_ptr error;
};

/// For the thread that drives.
class Messages {
 public:
  explicit Messages(HostGroup& group);

  void add(Send send, std::shared_ptr<Pending> pending);
  void add(Receive receive, std::shared_ptr<Pending> pending);

  /// Moves what can be moved; whether that was anything.
  bool advance(std::vector<Finished>& finished);

  bool is_idle() const;
  bool is_sending() const;
  bool waits_for(int peer) const;
  bool waits_for_anyone() const;
  void fail(const std::exception_ptr& error, std::vector<Finished>& finished);

 private:
  struct Sending {
    Send send;
    std::shared_ptr<Pending> pending;
    int64_t sent = 0;
    bool begun = false;
  };
  struct Receiving {
    Receive receive;
    std::shared_ptr<Pending> pending;
  };
  /// A message that comes in.
  struct Incoming {
    uint64_t tag = 0;
    int64_t bytes = 0;
    int64_t arrived = 0;
    std::optional<Receiving> asked;  // empty: nobody has asked for it
    std::vector<std::byte> kept;     // then it is here
  };
  struct Peer {
    std::deque<Sending> sends;
    std::optional<Incoming> incoming;
    std::deque<Incoming> unasked;  // whole
  };

  bool send_chunk(int peer, std::vector<Finished>& finished);
  bool take_chunk(int peer, std::vector<Finished>& finished);
  bool meet(int peer, const Descriptor& first);
  void complete(int peer, std::vector<Finished>& finished);
  std::optional<Receiving> take_receive(int peer, uint64_t tag);
  static Finished deliver(int peer, Receiving receiving, const Incoming& message);

  HostGroup& group_;
  std::vector<Peer> peers_;
  std::deque<Receiving> receives_;  // in the order of their launch
};

}  // namespace deepspeed::transport

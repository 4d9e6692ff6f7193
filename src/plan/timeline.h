// One rank's time: computing in program order, and collectives that travel meanwhile.
//
// A small simulation of events, exact and the same at every run. Each lane of traffic (reductions, gathers) is a queue
// whose first collective travels. Two that travel at once share the links; one that travels while the rank computes
// takes from both what `Contention` says.
#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <vector>

#include "plan/network.h"

namespace deepspeed::plan {

/// The part of its speed, 0 to below 1, that each loses while the other is at work. Two threads on one core lose a half
/// each; a device with hardware for its links loses next to nothing.
struct Contention {
  double compute = 0;
  double transfer = 0;
};

class Timeline {
 public:
  enum class Traffic { kReductions, kGathers };

  explicit Timeline(Contention contention) : contention_(contention) {}

  /// `seconds` of work, as long as it takes with nothing travelling.
  void compute(double seconds);

  /// Behind what was launched as the same traffic. The result names it.
  int launch(Traffic traffic, const CollectiveCost& cost);

  /// The rank does nothing until it has arrived.
  void wait_for(int collective);

  double now_s() const { return now_s_; }
  double computed_s() const { return computed_s_; }  ///< what was given to compute()
  double waited_s() const { return waited_s_; }
  /// Both directions count once: (sent a rank, sent a host), launched so far.
  double sent_rank_bytes() const { return sent_rank_bytes_; }
  double sent_host_bytes() const { return sent_host_bytes_; }
  int num_collectives() const { return static_cast<int>(done_.size()); }

 private:
  struct Travelling {
    int collective;
    double latency_s;
    double transfer_s;
  };

  double transfer_rate(bool computing) const;
  double until_next_event(bool computing) const;
  void advance(double seconds, bool computing);

  Contention contention_;
  std::array<std::deque<Travelling>, 2> queues_;
  std::vector<bool> done_;
  double now_s_ = 0;
  double computed_s_ = 0;
  double waited_s_ = 0;
  double sent_rank_bytes_ = 0;
  double sent_host_bytes_ = 0;
};

}  // namespace deepspeed::plan

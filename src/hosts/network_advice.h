// What a measured network means for a training step: bytes and seconds a ZeRO stage. Pure.
#pragma once

#include <string>
#include <vector>

namespace deepspeed::hosts {

struct NetworkQuestion {
  std::string model;  ///< a name that ds_plan knows
  int num_hosts = 2;
  int ranks_per_host = 1;
  bool on_gpus = false;
  double bytes_per_s = 0;  ///< of the slowest pair
  double latency_s = 0;
};

struct StageCost {
  int stage = 0;
  double sent_host_bytes = 0;  ///< a step, by each host to others
  double network_s = 0;        ///< that these take alone
  double step_s = 0;           ///< predicted, with what is hidden behind computing
  double efficiency = 0;       ///< of the step, the part that is left if the network between hosts costs nothing
};

struct NetworkAdvice {
  std::vector<StageCost> stages;
  std::string sentence;
};

/// By the plan that ds_plan makes, 16 bits with Adam, one sequence a rank.
/// Throws ValueError where the model is not known or nothing was measured.
NetworkAdvice advise(const NetworkQuestion& question);

}  // namespace deepspeed::hosts

// The step of one model predicted over many machines: numbers of hosts x network bandwidths x ZeRO stages.
#pragma once

#include <vector>

#include "plan/machine.h"
#include "plan/memory.h"
#include "plan/model_shape.h"
#include "plan/step_time.h"

namespace deepspeed::plan {

struct ScalingQuestion {
  ModelDescription model;
  core::Dtype dtype = core::Dtype::kBFloat16;
  HostKind host;
  int ranks_per_host = 1;
  std::vector<int> hosts = {1};
  std::vector<double> gigabits = {100};  ///< a second that a host sends to others
  std::vector<int> stages = {0, 1, 2, 3};
  double tokens = 0;  ///< a rank and micro-batch
  bool recomputes = false;
  StepOptions step;  ///< its stage and bytes are filled in
};

struct Prediction {
  double gigabits = 0;
  int hosts = 1;
  int world = 1;
  int stage = 0;
  StepTime time;
  double held_bytes = 0;  ///< a rank: parameters, gradients, states, slots; no activations
  bool fits = true;       ///< those into the memory of a rank
};

/// Bytes of an element with Adam: fp32 alone, or 16 bits with fp32 masters and accumulation.
ElementBytes adam_bytes(core::Dtype dtype);

/// In the order of the question: bandwidth, hosts, stage. Throws ValueError where a number makes no sense.
std::vector<Prediction> predict(const ScalingQuestion& question);

}  // namespace deepspeed::plan

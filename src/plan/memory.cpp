// The formula of the memory contract.
#include "plan/memory.h"

#include <algorithm>

#include "deepspeed/error.h"

namespace deepspeed::plan {

ModelSize measure(const std::vector<Unit>& units, const std::vector<bool>& persistent) {
  ModelSize size;
  for (size_t index = 0; index < units.size(); ++index) {
    const Unit& unit = units[index];
    const bool stays = !persistent.empty() && persistent[index];
    int64_t unit_numel = 0;
    int64_t all_numel = 0;
    for (const Lane& lane : unit.lanes) {
      all_numel += lane.numel;
      for (const Placement& placement : lane.placements) size.persistent_numel += stays ? placement.range.numel() : 0;
      for (const Placement& placement : lane.placements)
        (lane.trainable ? size.trainable_numel : size.frozen_numel) += placement.range.numel();
      if (lane.trainable) unit_numel += lane.numel;
    }
    size.largest_unit_numel = std::max(size.largest_unit_numel, unit_numel);
    if (!stays) size.largest_bound_numel = std::max(size.largest_bound_numel, all_numel);
  }
  return size;
}

MemoryEstimate estimate_memory(const ModelSize& size, const ElementBytes& bytes, const StageLifetimes& lifetimes,
                               int world, int slot_count) {
  const double trainable = static_cast<double>(size.trainable_numel);
  const double frozen = static_cast<double>(size.frozen_numel);
  const double slot = static_cast<double>(size.largest_unit_numel) * slot_count;
  MemoryEstimate estimate;
  estimate.parameters = (trainable + frozen) * bytes.compute;
  estimate.gradients = trainable * bytes.accumulation;
  estimate.states = trainable * (bytes.master + bytes.optimizer_states);
  if (lifetimes.states_sharded) estimate.states /= world;
  if (lifetimes.gradients == Lifetime::kUntilReduced) {
    estimate.gradients /= world;
    estimate.slots += slot * bytes.accumulation;
  }
  if (lifetimes.parameters == Lifetime::kBoundForUse) {
    const double persistent = static_cast<double>(size.persistent_numel);
    estimate.parameters = ((trainable + frozen - persistent) / world + persistent) * bytes.compute;
    estimate.slots += static_cast<double>(size.largest_bound_numel) * slot_count * bytes.compute;
  }
  return estimate;
}

NodeMemory estimate_node(const NodeQuestion& question, const StageLifetimes& lifetimes) {
  DS_CHECK(question.ranks_per_node >= 1 && question.nodes >= 1, ValueError, "[plan.memory] estimate for ",
           question.nodes, " nodes with ", question.ranks_per_node, " ranks each: expected at least 1 of both");
  constexpr ElementBytes k16Bit{.compute = 2, .accumulation = 4, .master = 4, .optimizer_states = 8};
  constexpr double kFloat32Bytes = 4;  // what a model is built in
  const int64_t world = question.ranks_per_node * question.nodes;
  const bool stays_whole = world == 1;
  const ModelSize size{.trainable_numel = question.numel,
                       .largest_unit_numel = question.largest_unit_numel,
                       .persistent_numel = stays_whole ? question.numel : 0,
                       .largest_bound_numel = stays_whole ? 0 : question.largest_unit_numel};
  const MemoryEstimate rank = estimate_memory(size, k16Bit, lifetimes, static_cast<int>(world), 2);
  const double ranks = static_cast<double>(question.ranks_per_node);
  const double built = static_cast<double>(question.builds_sharded ? question.largest_unit_numel : question.numel);
  double trained = 0;
  NodeMemory node{.device = rank.total(), .slots = rank.slots};
  const auto offload = [&](double bytes) {
    node.device -= bytes;
    trained += bytes * ranks;
  };
  if (question.offloads_optimizer) offload(rank.gradients + rank.states);
  if (question.offloads_parameters) offload(rank.parameters);
  node.host = std::max(kFloat32Bytes * built * ranks, trained) * question.host_factor;
  return node;
}

}  // namespace deepspeed::plan

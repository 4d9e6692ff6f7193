// Collectives as operations: pure functions of ranks, sizes and addresses. Everything goes straight from its owner to
// its reader, since all ranks of a host are equally near; sums are made by the owner of a part, in rank order, so that
// all ranks get the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "transport/operation.h"

namespace deepspeed::transport {

/// This process among the ranks of a group.
struct Place {
  int rank = 0;
  int size = 1;
};

/// How elements are reduced.
struct ReduceRule {
  Element element = Element::kFloat32;
  Element wire = Element::kFloat32;  ///< the type in which parts travel; the sum is made in `element`
  Reduction reduction = Reduction::kSum;
  double scale = 1.0;
};

/// A rank's part in every other rank's sum, and the place of its own sum. parts[r] holds `numel` elements for rank r.
struct ReduceScatterLane {
  std::vector<const std::byte*> parts;
  std::byte* result = nullptr;  ///< may be parts[rank]
  int64_t numel = 0;
  ReduceRule rule;
};

/// A block for everyone, and the places of the others'; blocks of one lane are equally long.
struct GatherLane {
  const std::byte* own = nullptr;
  std::vector<std::byte*> places;  ///< by rank; own place may be `own`
  int64_t bytes = 0;
};

Operation plan_reduce_scatter(Place place, std::span<const ReduceScatterLane> lanes);
Operation plan_all_gather(Place place, std::span<const GatherLane> lanes);

/// In place. Short vectors are sent whole to everyone, others in parts: summed by their owners, then gathered. Parts
/// travel as they are (rule.wire is rule.element): rounded ones would make another sum on each rank.
Operation plan_all_reduce(Place place, std::byte* values, int64_t numel, const ReduceRule& rule);

/// As all_reduce, but only `root` gets the sum; the values of others stay as they are.
Operation plan_reduce(Place place, int root, std::byte* values, int64_t numel, const ReduceRule& rule);

Operation plan_broadcast(Place place, int root, std::byte* values, int64_t bytes);

/// `places` by rank, of the root only.
Operation plan_gather(Place place, int root, const std::byte* own, std::span<std::byte* const> places, int64_t bytes);

/// `parts` by rank, of the root only.
Operation plan_scatter(Place place, int root, std::span<const std::byte* const> parts, std::byte* own, int64_t bytes);

/// One block to each rank and one from each; lengths may differ, and block r of rank s is as long as rank r expects it.
struct Exchanged {
  const std::byte* to_peer = nullptr;
  int64_t to_bytes = 0;
  std::byte* from_peer = nullptr;
  int64_t from_bytes = 0;
};
Operation plan_all_to_all(Place place, std::span<const Exchanged> by_rank);

/// Nothing but that everyone has come.
Operation plan_barrier(Place place);

}  // namespace deepspeed::transport

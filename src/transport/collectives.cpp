// The plans.
#include "transport/collectives.h"

#include <algorithm>

#include "deepspeed/error.h"

namespace deepspeed::transport {
namespace {

// Up to here an all-reduce is one hop: latency counts, not bytes.
constexpr int64_t kShortBytes = 16 * 1024;

Operation empty_operation(Place place) {
  Operation operation;
  operation.arrivals.resize(static_cast<size_t>(place.size));
  return operation;
}

// The others, nearest above first, so that not everyone sends to the same rank at once.
std::vector<int> peers_of(Place place) {
  std::vector<int> peers;
  for (int step = 1; step < place.size; ++step) peers.push_back((place.rank + step) % place.size);
  return peers;
}

void keep_own(Operation& operation, const std::byte* from, std::byte* to, int64_t bytes) {
  if (to != from && bytes > 0) operation.local_copies.push_back({from, to, bytes});
}

Sending to_everyone(const std::byte* data, int64_t numel, Element element) {
  return {.sources = {{.peer = kEveryone, .data = data, .numel = numel}}, .element = element, .wire = element};
}

Fold fold_of(const std::byte* own, std::byte* result, int64_t numel, const ReduceRule& rule) {
  return {.own = own,
          .result = result,
          .numel = numel,
          .element = rule.element,
          .wire = rule.wire,
          .reduction = rule.reduction,
          .scale = rule.scale};
}

/// Equal parts but for the last ones, each a whole number of cache lines long.
struct Cut {
  int64_t numel;
  int64_t part;
  Cut(int64_t numel, int size, int64_t element_bytes) : numel(numel) {
    const int64_t line = std::max<int64_t>(1, 64 / element_bytes);
    const int64_t even = (numel + size - 1) / size;
    part = (even + line - 1) / line * line;
  }
  int64_t begin(int rank) const { return std::min(rank * part, numel); }
  int64_t length(int rank) const { return std::min((rank + 1) * part, numel) - begin(rank); }
};

/// Everyone's contribution to every part of one vector, and the fold of the own part.
void add_cut_reduction(Operation& operation, Place place, std::byte* values, const Cut& cut, const ReduceRule& rule) {
  const int64_t width = element_bytes(rule.element);
  Sending sending{.sources = {}, .element = rule.element, .wire = rule.wire};
  for (const int peer : peers_of(place)) {
    if (cut.length(peer) > 0) sending.sources.push_back({peer, values + cut.begin(peer) * width, cut.length(peer)});
  }
  operation.contributions.push_back(std::move(sending));
  if (cut.length(place.rank) == 0) return;
  std::byte* const own = values + cut.begin(place.rank) * width;
  operation.folds.push_back(fold_of(own, own, cut.length(place.rank), rule));
}

}  // namespace

Operation plan_reduce_scatter(Place place, std::span<const ReduceScatterLane> lanes) {
  Operation operation = empty_operation(place);
  for (const ReduceScatterLane& lane : lanes) {
    if (lane.numel == 0) continue;
    Sending sending{.sources = {}, .element = lane.rule.element, .wire = lane.rule.wire};
    for (const int peer : peers_of(place)) sending.sources.push_back({peer, lane.parts[peer], lane.numel});
    operation.contributions.push_back(std::move(sending));
    operation.folds.push_back(fold_of(lane.parts[place.rank], lane.result, lane.numel, lane.rule));
  }
  return operation;
}

Operation plan_all_gather(Place place, std::span<const GatherLane> lanes) {
  Operation operation = empty_operation(place);
  for (const GatherLane& lane : lanes) {
    if (lane.bytes == 0) continue;
    std::byte* const own_place = lane.places[place.rank];
    if (place.size == 1) {
      keep_own(operation, lane.own, own_place, lane.bytes);
      continue;
    }
    Sending sending = to_everyone(lane.own, lane.bytes, Element::kUInt8);
    if (own_place != lane.own) sending.sources[0].kept_at = own_place;
    operation.copies.push_back(std::move(sending));
    for (const int peer : peers_of(place)) operation.arrivals[peer].push_back({lane.places[peer], lane.bytes});
  }
  return operation;
}

Operation plan_all_reduce(Place place, std::byte* values, int64_t numel, const ReduceRule& rule) {
  DS_INTERNAL_CHECK(rule.wire == rule.element, "an all-reduce of ", element_name(rule.element),
                    " parts that travel as ", element_name(rule.wire));
  Operation operation = empty_operation(place);
  if (numel == 0) return operation;
  const int64_t width = element_bytes(rule.element);
  if (place.size == 1 || numel * width <= kShortBytes) {
    Sending sending = to_everyone(values, numel, rule.element);
    sending.wire = rule.wire;
    sending.is_overwritten = true;
    operation.contributions.push_back(std::move(sending));
    operation.folds.push_back(fold_of(values, values, numel, rule));
    operation.folds.back().after_sending = 0;
    return operation;
  }
  const Cut cut(numel, place.size, width);
  add_cut_reduction(operation, place, values, cut, rule);
  if (cut.length(place.rank) > 0) {
    Sending results = to_everyone(values + cut.begin(place.rank) * width, cut.length(place.rank), rule.element);
    results.after_fold = 0;
    operation.copies.push_back(std::move(results));
  }
  for (const int peer : peers_of(place)) {
    if (cut.length(peer) > 0) {
      operation.arrivals[peer].push_back({values + cut.begin(peer) * width, cut.length(peer) * width});
    }
  }
  return operation;
}

Operation plan_reduce(Place place, int root, std::byte* values, int64_t numel, const ReduceRule& rule) {
  Operation operation = empty_operation(place);
  if (numel == 0) return operation;
  if (place.rank == root) {
    operation.folds.push_back(fold_of(values, values, numel, rule));
  } else {
    operation.contributions.push_back({.sources = {{root, values, numel}}, .element = rule.element, .wire = rule.wire});
  }
  return operation;
}

Operation plan_broadcast(Place place, int root, std::byte* values, int64_t bytes) {
  Operation operation = empty_operation(place);
  if (bytes == 0) return operation;
  if (place.rank == root) {
    operation.copies.push_back(to_everyone(values, bytes, Element::kUInt8));
  } else {
    operation.arrivals[root].push_back({values, bytes});
  }
  return operation;
}

Operation plan_gather(Place place, int root, const std::byte* own, std::span<std::byte* const> places, int64_t bytes) {
  Operation operation = empty_operation(place);
  if (bytes == 0) return operation;
  if (place.rank != root) {
    operation.copies.push_back({.sources = {{root, own, bytes}}});
    return operation;
  }
  keep_own(operation, own, places[root], bytes);
  for (const int peer : peers_of(place)) operation.arrivals[peer].push_back({places[peer], bytes});
  return operation;
}

Operation plan_scatter(Place place, int root, std::span<const std::byte* const> parts, std::byte* own, int64_t bytes) {
  Operation operation = empty_operation(place);
  if (bytes == 0) return operation;
  if (place.rank != root) {
    operation.arrivals[root].push_back({own, bytes});
    return operation;
  }
  keep_own(operation, parts[root], own, bytes);
  Sending sending;
  for (const int peer : peers_of(place)) sending.sources.push_back({peer, parts[peer], bytes});
  operation.copies.push_back(std::move(sending));
  return operation;
}

Operation plan_all_to_all(Place place, std::span<const Exchanged> by_rank) {
  Operation operation = empty_operation(place);
  const Exchanged& own = by_rank[place.rank];
  DS_CHECK(own.to_bytes == own.from_bytes, ValueError, "[transport.collectives] all-to-all: rank ", place.rank,
           " sends itself ", own.to_bytes, " bytes and expects ", own.from_bytes);
  keep_own(operation, own.to_peer, own.from_peer, own.to_bytes);
  Sending sending;
  for (const int peer : peers_of(place)) {
    const Exchanged& block = by_rank[peer];
    if (block.to_bytes > 0) sending.sources.push_back({peer, block.to_peer, block.to_bytes});
    if (block.from_bytes > 0) operation.arrivals[peer].push_back({block.from_peer, block.from_bytes});
  }
  if (!sending.sources.empty()) operation.copies.push_back(std::move(sending));
  return operation;
}

Operation plan_barrier(Place place) { return empty_operation(place); }

}  // namespace deepspeed::transport

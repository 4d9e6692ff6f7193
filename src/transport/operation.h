// What one rank does in a collective: what it sends, what it adds up, where it puts what comes. Made by collectives.h,
// carried out by CollectiveRun.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "transport/element.h"

namespace deepspeed::transport {

constexpr int kEveryone = -1;

/// Elements that leave, converted to `wire` on their way.
struct Source {
  int peer = kEveryone;  ///< to whom
  const std::byte* data = nullptr;
  int64_t numel = 0;
  /// This rank's own place for them, too: each chunk is copied there while the caches have it. Null: none.
  std::byte* kept_at = nullptr;
};

/// Sources that leave together, a chunk of each in turn.
struct Sending {
  std::vector<Source> sources;
  Element element = Element::kUInt8;
  Element wire = Element::kUInt8;
  /// Index of the Fold whose result this is: chunks leave as they are complete. -1: the data is there.
  int after_fold = -1;
  /// A fold of the same operation overwrites the data: it is copied out, also where the others could read it.
  bool is_overwritten = false;
};

/// Parts of all ranks become one: result = (part of rank 0 (+) part of rank 1 ...) * scale. All ranks send a part as
/// long as this one's, in chunks that arrive side by side.
struct Fold {
  const std::byte* own = nullptr;  ///< this rank's part; may be `result`
  std::byte* result = nullptr;
  int64_t numel = 0;
  Element element = Element::kFloat32;  ///< of own and result
  Element wire = Element::kFloat32;     ///< of the others' parts
  Reduction reduction = Reduction::kSum;
  double scale = 1.0;
  /// Index of the contribution that leaves from `result`: a chunk is folded once it has left. -1: none.
  int after_sending = -1;
};

/// Inside this rank, before anything else.
struct LocalCopy {
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  int64_t bytes = 0;
};

/// Where the next bytes go that a peer sends as copies.
struct Arrival {
  std::byte* to = nullptr;
  int64_t bytes = 0;
};

struct Operation {
  /// Compared over the ranks before any data is used: what it is for, which kind, how much.
  std::string line;
  std::vector<LocalCopy> local_copies;
  std::vector<Sending> contributions;  ///< parts for the folds of others, in the order of those
  std::vector<Fold> folds;
  std::vector<Sending> copies;
  std::vector<std::vector<Arrival>> arrivals;  ///< by rank, in the order in which that rank's copies leave
  std::shared_ptr<const void> keeps;           ///< owns the memory; let go before the operation counts as done
};

}  // namespace deepspeed::transport

// What a communicator launched, in order: for backends whose messages cannot be compared before they are used (NCCL).
// Ranks compare digests afterwards, and their last entries where those differ.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/tag.h"

namespace deepspeed::comm {

/// Not thread-safe: launching is for one thread at a time. Allocates nothing once its entries have held a name.
class LaunchHistory {
 public:
  /// `root`: of a broadcast.
  void note(const Tag& tag, int64_t bytes, int root = -1);

  int64_t count() const { return count_; }

  /// Of all launches since the start and their order. 0 before the first.
  uint64_t digest() const { return digest_; }

  /// A line for each of the last launches: its number from 0, a space, what it was.
  std::string recent() const;

 private:
  struct Entry {
    int64_t step = 0;
    Phase phase = Phase::kUser;
    std::string name;
    int64_t bytes = 0;
    int root = -1;
  };
  static constexpr size_t kKept = 1024;

  std::array<Entry, kKept> entries_;
  int64_t count_ = 0;
  uint64_t digest_ = 0;
};

/// Takes every rank's recent(), in rank order. "rank 0 is at: ...; rank 1 is at: ..." for the first launch that is not
/// the same on all; empty where they do not differ as far back as all of them reach.
std::string first_difference(const std::vector<std::string>& recents);

}  // namespace deepspeed::comm

// Real processes over real Gloo for a test body.
#pragma once

#include <functional>
#include <string>

#include <c10/util/intrusive_ptr.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

namespace deepspeed::testing {

/// What a test body knows of its rank. Groups are made on demand: every rank in the same order.
class RankContext {
 public:
  RankContext(int rank, int world, std::string folder) : rank_(rank), world_(world), folder_(std::move(folder)) {}
  int rank() const { return rank_; }
  int world() const { return world_; }
  /// Shared by the ranks, empty at the start, removed afterwards.
  const std::string& folder() const { return folder_; }
  /// A fresh Gloo group of all ranks; null for a world of one.
  c10::intrusive_ptr<c10d::ProcessGroup> new_group();
  /// One group for many engines, one after the other.
  c10::intrusive_ptr<c10d::ProcessGroup> shared_group();
  /// Its twin, for gathers.
  c10::intrusive_ptr<c10d::ProcessGroup> shared_gather_group();

 private:
  int rank_;
  int world_;
  std::string folder_;
  int groups_ = 0;
  c10::intrusive_ptr<c10d::ProcessGroup> shared_;
  c10::intrusive_ptr<c10d::ProcessGroup> shared_gather_;
};

/// Forks `world` processes that run `body` with one thread each, and waits for them. A failed expectation, an exception
/// or a crash of any rank fails the calling test, with the rank's output. Each has `timeout_seconds`, then it is
/// killed.
void run_on_ranks(int world, const std::function<void(RankContext&)>& body, int timeout_seconds = 300);

}  // namespace deepspeed::testing

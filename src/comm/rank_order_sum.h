// Sums over ranks whose bits do not depend on who adds, or when.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

namespace deepspeed::comm {

/// `own` becomes (part of rank 0 + part of rank 1 + ...) * scale. outgoing[r] is this rank's part of rank r's sum, sent
/// in the type `wire`; what arrives waits in a buffer of the transport's.
struct Sum {
  at::Tensor own;
  std::vector<at::Tensor> outgoing;
  c10::ScalarType wire;
  double scale;
  std::vector<at::Tensor> parts = {};  ///< by rank, once there is a place for them

  bool is_cast() const { return wire != own.scalar_type(); }
  int64_t part_bytes() const { return own.numel() * static_cast<int64_t>(c10::elementSize(wire)); }
};

/// Adds in blocks that stay in the cache between the passes over them. One thread.
class RankOrderAdder {
 public:
  RankOrderAdder();
  /// Parts may be of a narrower type than own; the sum is made in own's. All are contiguous.
  void add(const Sum& sum);

 private:
  const std::unique_ptr<double[]> block_;  // aligned for every type
};

}  // namespace deepspeed::comm

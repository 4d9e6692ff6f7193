// Sums over ranks whose bits do not depend on who adds, or when.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace deepspeed::comm {

/// `result` becomes (part of rank 0 + part of rank 1 + ...) * scale; it may be `own`, this rank's part. outgoing[r] is
/// this rank's part of rank r's sum, sent in the type `wire`; what arrives waits in a buffer of the transport's.
struct Sum {
  at::Tensor own;
  at::Tensor result;
  std::vector<at::Tensor> outgoing;
  c10::ScalarType wire;
  double scale;
  std::vector<at::Tensor> parts = {};  ///< by rank, once there is a place for them

  bool is_cast() const { return wire != own.scalar_type(); }
  int64_t part_bytes() const { return own.numel() * static_cast<int64_t>(c10::elementSize(wire)); }
};

/// Makes the sum, in float32 (of float64: in that), rounded once. parts[own_rank] is `own`, the others are of type
/// `wire`; all are contiguous.
void add_in_rank_order(const Sum& sum, int own_rank);

}  // namespace deepspeed::comm

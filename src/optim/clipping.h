// Gradient norms and clipping: local partial sums, and the two pure functions that turn them into one factor.
#pragma once

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

namespace deepspeed::optim {

/// Sum of squares of a contiguous tensor in float64, on the threads of torch; the same bits for any number
/// of threads and any alignment (fixed chunks from the tensor's start, added in order).
double sum_of_squares(const at::Tensor& values);

/// Index of the first element that is inf or NaN in a contiguous tensor, or -1.
int64_t first_nonfinite(const at::Tensor& values);

/// Square root of the partial sums added in the order given (rank order, for equal bits everywhere).
double global_norm(std::span<const double> squared_partials);

/// min(1, max_norm / (norm + 1e-6)), as torch's clip_grad_norm_. max_norm <= 0 means no clipping: 1.
/// A norm that is inf gives 0 and one that is NaN gives NaN: check for overflow first.
double clip_factor(double norm, double max_norm);

}  // namespace deepspeed::optim

// The optimizer kernels on a GPU: one launch updates all ranges of a lane, whatever their number, dtypes and
// hyperparameters. The arguments are those of the CPU kernels, with device pointers.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/adagrad_kernels.h"
#include "kernels/adam_kernels.h"
#include "kernels/lamb_kernels.h"
#include "kernels/lion_kernels.h"
#include "kernels/sgd_kernels.h"

namespace deepspeed::kernels {

/// Elements that one block of threads updates; a tile lies inside one range.
constexpr int64_t kCudaTileNumel = 2048;

/// What a launch finds on the GPU for each range.
template <class Args>
struct CudaRange {
  Args args;
  int64_t first_tile;
  unsigned finished_tiles;
};

/// Device memory that a launch over `num_ranges` wants for its table.
template <class Args>
constexpr int64_t cuda_table_bytes(int64_t num_ranges) {
  return num_ranges * static_cast<int64_t>(sizeof(CudaRange<Args>));
}

constexpr int64_t num_cuda_tiles(int64_t numel) { return (numel + kCudaTileNumel - 1) / kCudaTileNumel; }

/// True where this build has these kernels (target ds_kernels_cuda, built where nvcc is found).
bool has_cuda_optimizers();

/// Each enqueues a copy of the ranges into `table` (device memory of cuda_table_bytes(), for this launch alone) and one
/// launch on `stream` (a cudaStream_t) of the current device, and returns. Ranges do not overlap; where all pointers
/// of a range are 16-byte aligned its accesses are 16 bytes wide. The formulas and the order of operations are the CPU
/// kernels', without fused multiply-add. No range, no launch.
/// Throws NotSupported without the kernels, and InternalError with CUDA's text where a launch fails.
void adam_cuda(std::span<const AdamArgs> ranges, void* table, void* stream);
void sgd_cuda(std::span<const SgdArgs> ranges, void* table, void* stream);
void adagrad_cuda(std::span<const AdagradArgs> ranges, void* table, void* stream);
void lion_cuda(std::span<const LionArgs> ranges, void* table, void* stream);

/// LAMB's first pass, and the sums of squares of weights and directions in float64: of range i at sums[2 i] and
/// sums[2 i + 1], in device memory. `partials` is device memory of two float64 a tile (num_cuda_tiles() of each
/// range), added in order, so that the same ranges give the same bits.
void lamb_prepare_cuda(std::span<const LambPrepareArgs> ranges, void* table, double* partials, double* sums,
                       void* stream);
void lamb_apply_cuda(std::span<const LambApplyArgs> ranges, void* table, void* stream);

}  // namespace deepspeed::kernels

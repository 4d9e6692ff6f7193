// The frame of every optimizer kernel on a GPU: a block takes one tile of one range, a thread eight elements of it.
// A kernel is a Step: made from its arguments, it says which arrays it has and updates one element.
//   struct Step {
//     explicit __device__ Step(const Args&);
//     static constexpr int kStates;
//     UpdateRange range;             what is read and written, as in the CPU kernels
//     float* output;                 where results go: range.master, mostly
//     float* states[kStates];        null: this range has none
//     __device__ float operator()(float weight, float scaled_gradient, float* states) const;
//   };
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <span>
#include <vector>

#include "deepspeed/error.h"
#include "kernels/optimizer_cuda_kernels.h"

namespace deepspeed::kernels::cuda {

constexpr int kThreads = 256;
constexpr int kPerThread = 8;
static_assert(kThreads * kPerThread == kCudaTileNumel);

/// The last range that starts at or before `tile`.
template <class Args>
__device__ int range_of_tile(const CudaRange<Args>* table, int count, int64_t tile) {
  int low = 0;
  int high = count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (table[middle].first_tile <= tile) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

__device__ inline bool is_aligned(const void* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; }

__device__ inline float load_one(const void* from, core::Dtype dtype, int64_t i) {
  switch (dtype) {
    case core::Dtype::kBFloat16:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(from)[i]);
    case core::Dtype::kFloat16:
      return __half2float(static_cast<const __half*>(from)[i]);
    default:
      return static_cast<const float*>(from)[i];
  }
}

__device__ inline void store_one(void* to, core::Dtype dtype, int64_t i, float value) {
  switch (dtype) {
    case core::Dtype::kBFloat16:
      static_cast<__nv_bfloat16*>(to)[i] = __float2bfloat16_rn(value);
      return;
    case core::Dtype::kFloat16:
      static_cast<__half*>(to)[i] = __float2half_rn(value);
      return;
    default:
      static_cast<float*>(to)[i] = value;
  }
}

__device__ inline void load_eight(float* values, const float* from) {
  const float4 low = reinterpret_cast<const float4*>(from)[0];
  const float4 high = reinterpret_cast<const float4*>(from)[1];
  values[0] = low.x, values[1] = low.y, values[2] = low.z, values[3] = low.w;
  values[4] = high.x, values[5] = high.y, values[6] = high.z, values[7] = high.w;
}

__device__ inline void store_eight(float* to, const float* values) {
  reinterpret_cast<float4*>(to)[0] = make_float4(values[0], values[1], values[2], values[3]);
  reinterpret_cast<float4*>(to)[1] = make_float4(values[4], values[5], values[6], values[7]);
}

/// Eight elements of any dtype: 16 bytes at a time.
__device__ inline void load_eight(float* values, const void* from, core::Dtype dtype, int64_t i) {
  if (dtype == core::Dtype::kFloat32) return load_eight(values, static_cast<const float*>(from) + i);
  const uint4 bits = *reinterpret_cast<const uint4*>(static_cast<const uint16_t*>(from) + i);
  const auto* const elements = reinterpret_cast<const uint16_t*>(&bits);
  for (int k = 0; k < kPerThread; ++k) values[k] = load_one(elements, dtype, k);
}

__device__ inline void store_eight(void* to, core::Dtype dtype, int64_t i, const float* values) {
  if (dtype == core::Dtype::kFloat32) return store_eight(static_cast<float*>(to) + i, values);
  uint4 bits;
  auto* const elements = reinterpret_cast<uint16_t*>(&bits);
  for (int k = 0; k < kPerThread; ++k) store_one(elements, dtype, k, values[k]);
  *reinterpret_cast<uint4*>(static_cast<uint16_t*>(to) + i) = bits;
}

template <class Step>
__device__ bool is_wide(const Step& step) {
  bool aligned = is_aligned(step.range.master) && is_aligned(step.range.gradient) && is_aligned(step.output) &&
                 is_aligned(step.range.compute);
  for (int j = 0; j < Step::kStates; ++j) aligned = aligned && is_aligned(step.states[j]);
  return aligned;
}

/// Updates elements [i, i + 8) of a range, as far as it has them; sink(weight before, result) sees each.
template <class Step, class Sink>
__device__ void update_eight(const Step& step, int64_t i, Sink& sink) {
  constexpr int kArrays = Step::kStates == 0 ? 1 : Step::kStates;
  const UpdateRange& range = step.range;
  if (i + kPerThread > range.numel || !is_wide(step)) {
    for (int64_t end = min(i + kPerThread, range.numel); i < end; ++i) {
      float states[kArrays] = {};
      for (int j = 0; j < Step::kStates; ++j) states[j] = step.states[j] == nullptr ? 0.0F : step.states[j][i];
      const float weight = range.master[i];
      const float scaled = load_one(range.gradient, range.gradient_dtype, i) * range.gradient_scale;
      const float result = step(weight, scaled, states);
      for (int j = 0; j < Step::kStates; ++j) {
        if (step.states[j] != nullptr) step.states[j][i] = states[j];
      }
      step.output[i] = result;
      if (range.compute != nullptr) store_one(range.compute, range.compute_dtype, i, result);
      sink(weight, result);
    }
    return;
  }
  float weights[kPerThread], gradients[kPerThread], results[kPerThread], states[kArrays][kPerThread] = {};
  load_eight(weights, range.master + i);
  load_eight(gradients, range.gradient, range.gradient_dtype, i);
  for (int j = 0; j < Step::kStates; ++j) {
    if (step.states[j] != nullptr) load_eight(states[j], step.states[j] + i);
  }
  for (int k = 0; k < kPerThread; ++k) {
    float own[kArrays];
    for (int j = 0; j < kArrays; ++j) own[j] = states[j][k];
    results[k] = step(weights[k], gradients[k] * range.gradient_scale, own);
    for (int j = 0; j < kArrays; ++j) states[j][k] = own[j];
    sink(weights[k], results[k]);
  }
  for (int j = 0; j < Step::kStates; ++j) {
    if (step.states[j] != nullptr) store_eight(step.states[j] + i, states[j]);
  }
  store_eight(step.output + i, results);
  if (range.compute != nullptr) store_eight(range.compute, range.compute_dtype, i, results);
}

struct NoSink {
  __device__ void operator()(float, float) {}
};

template <class Step, class Args>
__global__ void __launch_bounds__(kThreads) update_tiles(const CudaRange<Args>* table, int count) {
  const CudaRange<Args>& entry = table[range_of_tile(table, count, blockIdx.x)];
  NoSink sink;
  update_eight(Step(entry.args), (blockIdx.x - entry.first_tile) * kCudaTileNumel + threadIdx.x * kPerThread, sink);
}

inline void check(cudaError_t status, const char* kernel, size_t num_ranges) {
  DS_CHECK(status == cudaSuccess, InternalError, "[kernels.", kernel, "] a launch over ", num_ranges,
           " ranges failed: ", cudaGetErrorString(status), ". It may come from an earlier kernel "
           "(CUDA_LAUNCH_BLOCKING=1 shows whose it is), or from a driver that is older than this build's CUDA.");
}

/// Enqueues the copy of the table; how many tiles it has. (From pageable memory, which CUDA stages before it returns.)
template <class Args>
int64_t upload(std::span<const Args> ranges, void* table, cudaStream_t stream, const char* kernel) {
  std::vector<CudaRange<Args>> entries;
  entries.reserve(ranges.size());
  int64_t num_tiles = 0;
  for (const Args& args : ranges) {
    entries.push_back({args, num_tiles, 0});
    num_tiles += num_cuda_tiles(args.range.numel);
  }
  const size_t bytes = entries.size() * sizeof(CudaRange<Args>);
  if (num_tiles > 0)
    check(cudaMemcpyAsync(table, entries.data(), bytes, cudaMemcpyHostToDevice, stream), kernel, ranges.size());
  return num_tiles;
}

template <class Step, class Args>
void launch(std::span<const Args> ranges, void* table, void* stream, const char* kernel) {
  const auto on = static_cast<cudaStream_t>(stream);
  const int64_t num_tiles = upload(ranges, table, on, kernel);
  if (num_tiles == 0) return;
  update_tiles<Step><<<static_cast<unsigned>(num_tiles), kThreads, 0, on>>>(static_cast<const CudaRange<Args>*>(table),
                                                                            static_cast<int>(ranges.size()));
  check(cudaGetLastError(), kernel, ranges.size());
}

}  // namespace deepspeed::kernels::cuda

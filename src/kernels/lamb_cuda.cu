// LAMB's two passes on a GPU. The first leaves sums of squares: each tile's at its place, added in order by the last
// tile of a range to finish, so that no sum depends on the order in which blocks run.
#include "kernels/update_cuda.cuh"

namespace deepspeed::kernels {
namespace {

struct PrepareStep {
  static constexpr int kStates = 2;
  UpdateRange range;
  float* output;
  float* states[kStates];
  LambPrepareArgs a;

  explicit __device__ PrepareStep(const LambPrepareArgs& args)
      : range(args.range), output(args.update), states{args.exp_avg, args.exp_avg_sq}, a(args) {
    range.compute = nullptr;
  }

  __device__ float operator()(float weight, float g, float* s) const {
    s[0] = a.beta1 * s[0] + a.one_minus_beta1 * g;
    s[1] = a.beta2 * s[1] + a.one_minus_beta2 * g * g;
    const float corrected = s[1] * a.inverse_correction2;
    const float denominator = a.eps_inside_sqrt ? sqrtf(corrected + a.eps) : sqrtf(corrected) + a.eps;
    return s[0] * a.inverse_correction1 / denominator + a.weight_decay * weight;
  }
};

struct ApplyStep {
  static constexpr int kStates = 0;
  UpdateRange range;
  float* output;
  float* states[1];

  explicit __device__ ApplyStep(const LambApplyArgs& args) : range(args.range), output(args.range.master), states{} {
    range.gradient = args.update;
    range.gradient_dtype = core::Dtype::kFloat32;
    range.gradient_scale = args.step_size;
  }

  __device__ float operator()(float weight, float step, float*) const { return weight - step; }
};

struct Squares {
  double weights = 0.0;
  double results = 0.0;

  __device__ void operator()(float weight, float result) {
    weights += static_cast<double>(weight) * weight;
    results += static_cast<double>(result) * result;
  }
  __device__ void operator+=(const Squares& other) {
    weights += other.weights;
    results += other.results;
  }
};

/// The sum over the block's threads, in a fixed order, in thread 0.
__device__ Squares sum_over_block(Squares own) {
  __shared__ double shared[2][cuda::kThreads];
  shared[0][threadIdx.x] = own.weights;
  shared[1][threadIdx.x] = own.results;
  for (int half = cuda::kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) {
      shared[0][threadIdx.x] += shared[0][threadIdx.x + half];
      shared[1][threadIdx.x] += shared[1][threadIdx.x + half];
    }
  }
  __syncthreads();
  const Squares total{shared[0][0], shared[1][0]};
  __syncthreads();  // before it is used again
  return total;
}

__global__ void __launch_bounds__(cuda::kThreads)
    prepare_tiles(CudaRange<LambPrepareArgs>* table, int count, double* partials, double* sums) {
  const int index = cuda::range_of_tile(table, count, blockIdx.x);
  CudaRange<LambPrepareArgs>& entry = table[index];
  Squares own;
  cuda::update_eight(PrepareStep(entry.args),
                     (blockIdx.x - entry.first_tile) * kCudaTileNumel + threadIdx.x * cuda::kPerThread, own);
  const Squares tile = sum_over_block(own);
  const auto num_tiles = static_cast<unsigned>((entry.args.range.numel + kCudaTileNumel - 1) / kCudaTileNumel);
  __shared__ bool is_last;
  if (threadIdx.x == 0) {
    partials[2 * blockIdx.x] = tile.weights;
    partials[2 * blockIdx.x + 1] = tile.results;
    __threadfence();
    is_last = atomicAdd(&entry.finished_tiles, 1U) + 1 == num_tiles;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  Squares mine;
  for (int64_t i = threadIdx.x; i < num_tiles; i += cuda::kThreads) {
    const int64_t at = entry.first_tile + i;
    mine += Squares{__ldcg(partials + 2 * at), __ldcg(partials + 2 * at + 1)};
  }
  const Squares total = sum_over_block(mine);
  if (threadIdx.x == 0) {
    sums[2 * index] = total.weights;
    sums[2 * index + 1] = total.results;
  }
}

}  // namespace

void lamb_prepare_cuda(std::span<const LambPrepareArgs> ranges, void* table, double* partials, double* sums,
                       void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  const int64_t num_tiles = cuda::upload(ranges, table, on, "lamb");
  if (num_tiles == 0) return;
  prepare_tiles<<<static_cast<unsigned>(num_tiles), cuda::kThreads, 0, on>>>(
      static_cast<CudaRange<LambPrepareArgs>*>(table), static_cast<int>(ranges.size()), partials, sums);
  cuda::check(cudaGetLastError(), "lamb", ranges.size());
}

void lamb_apply_cuda(std::span<const LambApplyArgs> ranges, void* table, void* stream) {
  cuda::launch<ApplyStep>(ranges, table, stream, "lamb");
}

}  // namespace deepspeed::kernels

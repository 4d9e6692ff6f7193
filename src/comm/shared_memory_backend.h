// torch.distributed's collectives between CPU ranks of one host, over memory that they share (transport/exchange.h).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "comm/plain_tensors.h"
#include "transport/exchange.h"

namespace deepspeed::comm {

/// Any thread; ranks call the same collectives in the same order, and a rank that differs is a CommError with both
/// sides on all. Sums are made in rank order, of 16-bit floats in float32, so that all ranks have the same bits. Dense
/// tensors of every type and layout on the CPU; what a reduction means nothing for is NotSupported, wrong shapes are
/// ValueError. Our threads never take Python's lock, but callbacks that users put on futures may.
class SharedMemoryBackend final : public c10d::Backend {
 public:
  using WorkPtr = c10::intrusive_ptr<c10d::Work>;
  using Tensors = std::vector<at::Tensor>;
  using TensorLists = std::vector<std::vector<at::Tensor>>;

  SharedMemoryBackend(std::unique_ptr<transport::Exchange> exchange, std::chrono::milliseconds timeout);

  const std::string getBackendName() const override { return "shm"; }
  c10::intrusive_ptr<Options> getBackendOptions() override { return options_; }
  void setSequenceNumberForGroup() override {}
  uint64_t getSequenceNumberForGroup() override { return launched_; }

  WorkPtr broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) override;
  WorkPtr allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) override;
  WorkPtr allreduce_coalesced(Tensors& tensors, const c10d::AllreduceCoalescedOptions& options) override;
  WorkPtr reduce(Tensors& tensors, const c10d::ReduceOptions& options) override;
  WorkPtr allgather(TensorLists& outputs, Tensors& inputs, const c10d::AllgatherOptions& options) override;
  WorkPtr _allgather_base(at::Tensor& output, at::Tensor& input, const c10d::AllgatherOptions& options) override;
  WorkPtr allgather_coalesced(TensorLists& outputs, Tensors& inputs, const c10d::AllgatherOptions& options) override;
  WorkPtr allgather_into_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                          const c10d::AllgatherOptions& options) override;
  WorkPtr gather(TensorLists& outputs, Tensors& inputs, const c10d::GatherOptions& options) override;
  WorkPtr scatter(Tensors& outputs, TensorLists& inputs, const c10d::ScatterOptions& options) override;
  WorkPtr reduce_scatter(Tensors& outputs, TensorLists& inputs, const c10d::ReduceScatterOptions& options) override;
  WorkPtr _reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                               const c10d::ReduceScatterOptions& options) override;
  WorkPtr reduce_scatter_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                          const c10d::ReduceScatterOptions& options) override;
  WorkPtr alltoall_base(at::Tensor& output, at::Tensor& input, std::vector<int64_t>& output_splits,
                        std::vector<int64_t>& input_splits, const c10d::AllToAllOptions& options) override;
  WorkPtr alltoall(Tensors& outputs, Tensors& inputs, const c10d::AllToAllOptions& options) override;
  WorkPtr barrier(const c10d::BarrierOptions& options) override;
  /// Throws CommError that names the ranks which did not come to rank 0; all of them where `all_ranks`.
  void monitoredBarrier(const c10d::BarrierOptions& options, bool all_ranks) override;

  WorkPtr send(Tensors& tensors, int peer, int tag) override;
  WorkPtr recv(Tensors& tensors, int peer, int tag) override;
  WorkPtr recvAnysource(Tensors& tensors, int tag) override;

  /// Everything fails, now and later.
  void abort() override;
  /// Finishes what was launched; everything after it fails.
  void shutdown() override;

 private:
  /// What one call launches: one operation, or several that follow each other.
  struct Call {
    c10d::OpType type;
    std::string line;
    PlainTensors plain = {};
    std::vector<transport::Operation> operations = {};
    Tensors outputs = {};
  };

  transport::Place place() const { return {.rank = rank_, .size = size_}; }
  std::shared_ptr<transport::Exchange> exchange() const;
  WorkPtr launch(Call call, std::chrono::milliseconds timeout);
  WorkPtr receive(Tensors& tensors, int peer, int tag, c10d::OpType type);
  WorkPtr gather_all(Call call, const std::vector<Tensors>& outputs, const Tensors& inputs,
                     std::chrono::milliseconds timeout);
  WorkPtr gather_whole(Call call, const Tensors& outputs, const Tensors& inputs, std::chrono::milliseconds timeout);
  WorkPtr reduce_scatter_whole(Call call, const Tensors& outputs, const Tensors& inputs, const c10d::ReduceOp& op,
                               std::chrono::milliseconds timeout);

  const std::chrono::milliseconds timeout_;
  const c10::intrusive_ptr<Options> options_;
  mutable std::mutex mutex_;  // guards the next one
  std::shared_ptr<transport::Exchange> exchange_;
  std::recursive_mutex launch_mutex_;  // one launch at a time; callbacks of finished ones may launch in it
  std::atomic<uint64_t> launched_{0};  // collectives
};

}  // namespace deepspeed::comm

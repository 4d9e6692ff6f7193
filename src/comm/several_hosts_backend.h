// torch.distributed's collectives between CPU ranks of several hosts. What DDP, FSDP and ZeRO live on (sums and means
// of floats, gathers to all, broadcasts, barriers) goes over shared memory inside each host and once over its network
// (hierarchical.h); messages and everything rare go over Gloo.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "comm/communicator.h"
#include "comm/plain_tensors.h"
#include "comm/several_hosts_work.h"

namespace deepspeed::comm {

/// Any thread; ranks call the same collectives in the same order. Dense tensors on the CPU. Sums are made in rank order
/// inside each host and then over hosts, of 16-bit floats in float32, so that all ranks have the same bits. A thread of
/// its own completes works in launch order; it runs the callbacks that users put on futures.
class SeveralHostsBackend final : public c10d::Backend {
 public:
  using WorkPtr = c10::intrusive_ptr<c10d::Work>;
  using Tensors = std::vector<at::Tensor>;
  using TensorLists = std::vector<std::vector<at::Tensor>>;

  /// Both over the same ranks, and used by nobody else.
  SeveralHostsBackend(std::unique_ptr<Communicator> communicator, c10::intrusive_ptr<c10d::Backend> gloo,
                      std::chrono::milliseconds timeout);
  ~SeveralHostsBackend() override {
    if (is_aborted_) leave();
  }

  const std::string getBackendName() const override { return "shm"; }
  c10::intrusive_ptr<Options> getBackendOptions() override { return options_; }
  void setSequenceNumberForGroup() override {}
  uint64_t getSequenceNumberForGroup() override { return launched_; }

  WorkPtr broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) override;
  WorkPtr allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) override;
  WorkPtr allreduce_coalesced(Tensors& tensors, const c10d::AllreduceCoalescedOptions& options) override;
  WorkPtr allgather(TensorLists& outputs, Tensors& inputs, const c10d::AllgatherOptions& options) override;
  WorkPtr _allgather_base(at::Tensor& output, at::Tensor& input, const c10d::AllgatherOptions& options) override;
  WorkPtr allgather_into_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                          const c10d::AllgatherOptions& options) override;
  WorkPtr reduce_scatter(Tensors& outputs, TensorLists& inputs, const c10d::ReduceScatterOptions& options) override;
  WorkPtr _reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                               const c10d::ReduceScatterOptions& options) override;
  WorkPtr reduce_scatter_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                          const c10d::ReduceScatterOptions& options) override;
  WorkPtr barrier(const c10d::BarrierOptions& options) override;

  WorkPtr reduce(Tensors& tensors, const c10d::ReduceOptions& options) override;
  WorkPtr allgather_coalesced(TensorLists& outputs, Tensors& inputs, const c10d::AllgatherOptions& options) override;
  WorkPtr gather(TensorLists& outputs, Tensors& inputs, const c10d::GatherOptions& options) override;
  WorkPtr scatter(Tensors& outputs, TensorLists& inputs, const c10d::ScatterOptions& options) override;
  WorkPtr alltoall_base(at::Tensor& output, at::Tensor& input, std::vector<int64_t>& output_splits,
                        std::vector<int64_t>& input_splits, const c10d::AllToAllOptions& options) override;
  WorkPtr alltoall(Tensors& outputs, Tensors& inputs, const c10d::AllToAllOptions& options) override;
  void monitoredBarrier(const c10d::BarrierOptions& options, bool all_ranks) override;
  WorkPtr send(Tensors& tensors, int peer, int tag) override;
  WorkPtr recv(Tensors& tensors, int peer, int tag) override;
  WorkPtr recvAnysource(Tensors& tensors, int tag) override;

  /// What is on its way ends with an error, and so does everything after it.
  void abort() override;
  /// Finishes what was launched; everything after it fails. After an abort it waits for nothing.
  void shutdown() override;

 private:
  /// One call on its way out.
  struct Call {
    c10::intrusive_ptr<SeveralHostsWork> work;
    PlainTensors plain = {};
    std::vector<Work> launched = {};
    std::vector<CopyBack> copies = {};  // before those of `plain`
  };

  Call begin(c10d::OpType type, std::string line, Tensors outputs, std::chrono::milliseconds timeout) const;
  void sum(Call& call, const at::Tensor& tensor, double scale);
  void gather(Call& call, const at::Tensor& output, const at::Tensor& input);
  void scatter_sum(Call& call, const at::Tensor& output, const at::Tensor& lane, double scale);
  WorkPtr finish(Call call);
  void leave();
  Tag tag_of(const Call& call) const;

  const std::chrono::milliseconds timeout_;
  const c10::intrusive_ptr<Options> options_;
  const c10::intrusive_ptr<c10d::Backend> gloo_;
  std::recursive_mutex launch_mutex_;  // one launch at a time; guards the next ones
  std::unique_ptr<Communicator> communicator_;
  WorkFinisher finisher_;  // ends before the communicator does
  std::atomic<uint64_t> launched_{0};
  std::atomic<bool> is_aborted_{false};
};

}  // namespace deepspeed::comm

// Tensors and options become launches of a communicator over several hosts.
#include "comm/several_hosts_backend.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

#include "comm/collective_arguments.h"
#include "comm/reduce_rule.h"
#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

using c10d::OpType;
using Milliseconds = std::chrono::milliseconds;

// Below it a sum is one message to each rank of the others, instead of a scatter and a gather.
constexpr int64_t kSmallBytes = int64_t{64} << 10;

bool is_sum(const c10d::ReduceOp& op) { return op == c10d::ReduceOp::SUM || op == c10d::ReduceOp::AVG; }

bool is_added(const at::Tensor& tensor) {
  const auto type = tensor.scalar_type();
  return type == at::kFloat || type == at::kDouble || type == at::kHalf || type == at::kBFloat16;
}

bool is_ours(const c10d::ReduceOp& op, const std::vector<at::Tensor>& tensors) {
  return is_sum(op) && std::all_of(tensors.begin(), tensors.end(), is_added);
}

double scale_of(const c10d::ReduceOp& op, int size) { return op == c10d::ReduceOp::AVG ? 1.0 / size : 1.0; }

at::Tensor as_bytes(const at::Tensor& plain) { return plain.view(-1).view(at::kByte); }

}  // namespace

using WorkPtr = SeveralHostsBackend::WorkPtr;

SeveralHostsBackend::SeveralHostsBackend(std::unique_ptr<Communicator> communicator,
                                         c10::intrusive_ptr<c10d::Backend> gloo, Milliseconds timeout)
    : Backend(communicator->rank(), communicator->size()),
      timeout_(timeout),
      options_(c10::make_intrusive<Options>("shm", timeout)),
      gloo_(std::move(gloo)),
      communicator_(std::move(communicator)) {}

SeveralHostsBackend::Call SeveralHostsBackend::begin(OpType type, std::string line, Tensors outputs,
                                                     Milliseconds timeout) const {
  DS_CHECK(communicator_, CommError, "[comm.shm] rank ", rank_, ": the process group was destroyed");
  if (timeout <= Milliseconds(0)) timeout = timeout_;
  return {c10::make_intrusive<SeveralHostsWork>(rank_, type, std::move(line), std::move(outputs), timeout)};
}

Tag SeveralHostsBackend::tag_of(const Call& call) const {
  return {.step = static_cast<int64_t>(launched_.load()), .phase = Phase::kUser, .unit = -1, .name = call.work->line()};
}

WorkPtr SeveralHostsBackend::finish(Call call) {
  call.work->set_number(++launched_);
  for (CopyBack& copy : call.plain.take_copies()) call.copies.push_back(std::move(copy));
  finisher_.add({.work = call.work,
                 .parts = std::move(call.launched),
                 .copies = std::move(call.copies),
                 .keeps = call.plain.keeper()});
  return call.work;
}

/// In place over all ranks.
void SeveralHostsBackend::sum(Call& call, const at::Tensor& tensor, double scale) {
  const at::Tensor whole = call.plain.in_place(tensor).view(-1);
  if (num_bytes(whole) <= kSmallBytes) {
    if (whole.numel() > 0) call.launched.push_back(communicator_->all_reduce(whole, scale, tag_of(call)));
    return;
  }
  const int64_t numel = whole.numel();
  const int64_t rest = (size_ - numel % size_) % size_;
  const at::Tensor lane = rest == 0 ? whole : at::constant_pad_nd(whole, {0, rest});
  call.launched.push_back(communicator_->reduce_scatter(lane, scale, lane.scalar_type(), tag_of(call)));
  call.launched.push_back(communicator_->all_gather(lane, tag_of(call)));
  if (rest != 0) call.copies.push_back({lane.narrow(0, 0, numel), whole});
}

/// `output` [size, input]; its own part may be the input.
void SeveralHostsBackend::gather(Call& call, const at::Tensor& output, const at::Tensor& input) {
  const at::Tensor whole = call.plain.output(output);
  if (whole.numel() == 0) return;
  const at::Tensor lane = as_bytes(whole);
  const int64_t bytes = lane.numel() / size_;
  lane.narrow(0, rank_ * bytes, bytes).copy_(as_bytes(call.plain.input(input)));
  call.launched.push_back(communicator_->all_gather(lane, tag_of(call)));
}

/// `lane` [size, output] is ours to spoil.
void SeveralHostsBackend::scatter_sum(Call& call, const at::Tensor& output, const at::Tensor& lane, double scale) {
  const at::Tensor own = call.plain.output(output).view(-1);
  if (own.numel() == 0) return;
  const at::Tensor whole = lane.view(-1);
  call.launched.push_back(communicator_->reduce_scatter(whole, own, scale, whole.scalar_type(), tag_of(call)));
}

WorkPtr SeveralHostsBackend::broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) {
  only(tensors, "broadcast");
  const int root = root_of(options.rootRank, size_, "broadcast");
  const at::NoGradGuard no_grad;
  const std::lock_guard lock(launch_mutex_);
  Call call =
      begin(OpType::BROADCAST, concat("broadcast of ", amount(tensors), " from rank ", root), tensors, options.timeout);
  const at::Tensor plain = call.plain.in_place(tensors[0]);
  if (plain.numel() > 0) call.launched.push_back(communicator_->broadcast(as_bytes(plain), root, tag_of(call)));
  return finish(std::move(call));
}

WorkPtr SeveralHostsBackend::allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) {
  if (!is_ours(options.reduceOp, tensors)) return gloo_->allreduce(tensors, options);
  c10d::AllreduceCoalescedOptions same;
  same.reduceOp = options.reduceOp;
  same.timeout = options.timeout;
  return allreduce_coalesced(tensors, same);
}

WorkPtr SeveralHostsBackend::allreduce_coalesced(Tensors& tensors, const c10d::AllreduceCoalescedOptions& options) {
  if (!is_ours(options.reduceOp, tensors)) return gloo_->allreduce_coalesced(tensors, options);
  const at::NoGradGuard no_grad;
  const std::lock_guard lock(launch_mutex_);
  Call call = begin(OpType::ALLREDUCE, concat("all_reduce of ", amount(tensors), ", ", name_of(options.reduceOp)),
                    tensors, options.timeout);
  for (const at::Tensor& tensor : tensors) sum(call, tensor, scale_of(options.reduceOp, size_));
  return finish(std::move(call));
}

WorkPtr SeveralHostsBackend::_allgather_base(at::Tensor& output, at::Tensor& input,
                                             const c10d::AllgatherOptions& options) {
  Tensors outputs{output};
  Tensors inputs{input};
  return allgather_into_tensor_coalesced(outputs, inputs, options);
}

WorkPtr SeveralHostsBackend::allgather_into_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                                             const c10d::AllgatherOptions& options) {
  require(outputs.size() == inputs.size(), "all_gather: got ", outputs.size(), " outputs for ", inputs.size(),
          " inputs");
  const at::NoGradGuard no_grad;
  const std::lock_guard lock(launch_mutex_);
  Call call =
      begin(OpType::_ALLGATHER_BASE, concat("all_gather_into_tensor of ", amount(inputs)), outputs, options.timeout);
  for (size_t i = 0; i < inputs.size(); ++i) {
    require_alike(outputs[i], inputs[i], size_, "all_gather");
    gather(call, outputs[i], inputs[i]);
  }
  return finish(std::move(call));
}

WorkPtr SeveralHostsBackend::allgather(TensorLists& outputs, Tensors& inputs, const c10d::AllgatherOptions& options) {
  const auto size = static_cast<size_t>(size_);
  require(inputs.size() == 1 && outputs.size() == 1 && outputs[0].size() == size, "all_gather: got ",
          outputs.empty() ? 0 : outputs[0].size(), " output tensors, expected ", size_);
  const at::NoGradGuard no_grad;
  const std::lock_guard lock(launch_mutex_);
  Call call = begin(OpType::ALLGATHER, concat("all_gather of ", amount(inputs)), outputs[0], options.timeout);
  const at::Tensor lane = at::empty({size_, inputs[0].numel()}, inputs[0].options());
  gather(call, lane, inputs[0]);
  for (size_t rank = 0; rank < size; ++rank) {
    const at::Tensor& output = outputs[0][rank];
    require_alike(output, inputs[0], 1, "all_gather");
    call.copies.push_back({lane[static_cast<int64_t>(rank)].view(output.sizes()), output.detach()});
  }
  return finish(std::move(call));
}

WorkPtr SeveralHostsBackend::_reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                                                  const c10d::ReduceScatterOptions& options) {
  if (!is_ours(options.reduceOp, {output})) return gloo_->_reduce_scatter_base(output, input, options);
  Tensors outputs{output};
  Tensors inputs{input};
  return reduce_scatter_tensor_coalesced(outputs, inputs, options);
}

WorkPtr SeveralHostsBackend::reduce_scatter_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                                             const c10d::ReduceScatterOptions& options) {
  if (!is_ours(options.reduceOp, outputs)) return gloo_->reduce_scatter_tensor_coalesced(outputs, inputs, options);
  require(outputs.size() == inputs.size(), "reduce_scatter: got ", outputs.size(), " outputs for ", inputs.size(),
          " inputs");
  const at::NoGradGuard no_grad;
  const std::lock_guard lock(launch_mutex_);
  Call call = begin(OpType::_REDUCE_SCATTER_BASE,
                    concat("reduce_scatter_tensor of ", amount(outputs), ", ", name_of(options.reduceOp)), outputs,
                    options.timeout);
  for (size_t i = 0; i < inputs.size(); ++i) {
    require_alike(inputs[i], outputs[i], size_, "reduce_scatter");
    scatter_sum(call, outputs[i], inputs[i].clone(at::MemoryFormat::Contiguous), scale_of(options.reduceOp, size_));
  }
  return finish(std::move(call));
}

WorkPtr SeveralHostsBackend::reduce_scatter(Tensors& outputs, TensorLists& inputs,
                                            const c10d::ReduceScatterOptions& options) {
  if (!is_ours(options.reduceOp, outputs)) return gloo_->reduce_scatter(outputs, inputs, options);
  require(outputs.size() == 1 && inputs.size() == 1 && inputs[0].size() == static_cast<size_t>(size_),
          "reduce_scatter: got ", inputs.empty() ? 0 : inputs[0].size(), " input tensors, expected ", size_);
  const at::NoGradGuard no_grad;
  const std::lock_guard lock(launch_mutex_);
  Call call =
      begin(OpType::REDUCE_SCATTER, concat("reduce_scatter of ", amount(outputs), ", ", name_of(options.reduceOp)),
            outputs, options.timeout);
  Tensors parts;
  for (const at::Tensor& input : inputs[0]) {
    require_alike(input, outputs[0], 1, "reduce_scatter");
    parts.push_back(input.reshape(-1));
  }
  scatter_sum(call, outputs[0], at::cat(parts), scale_of(options.reduceOp, size_));
  return finish(std::move(call));
}

WorkPtr SeveralHostsBackend::barrier(const c10d::BarrierOptions& options) {
  const std::lock_guard lock(launch_mutex_);
  Call call = begin(OpType::BARRIER, "barrier", {}, options.timeout);
  call.launched.push_back(communicator_->all_reduce(call.plain.in_place(at::zeros({1})), 1.0, tag_of(call)));
  return finish(std::move(call));
}

WorkPtr SeveralHostsBackend::reduce(Tensors& tensors, const c10d::ReduceOptions& options) {
  return gloo_->reduce(tensors, options);
}
WorkPtr SeveralHostsBackend::allgather_coalesced(TensorLists& outputs, Tensors& inputs,
                                                 const c10d::AllgatherOptions& options) {
  return gloo_->allgather_coalesced(outputs, inputs, options);
}
WorkPtr SeveralHostsBackend::gather(TensorLists& outputs, Tensors& inputs, const c10d::GatherOptions& options) {
  return gloo_->gather(outputs, inputs, options);
}
WorkPtr SeveralHostsBackend::scatter(Tensors& outputs, TensorLists& inputs, const c10d::ScatterOptions& options) {
  return gloo_->scatter(outputs, inputs, options);
}
WorkPtr SeveralHostsBackend::alltoall_base(at::Tensor& output, at::Tensor& input, std::vector<int64_t>& output_splits,
                                           std::vector<int64_t>& input_splits, const c10d::AllToAllOptions& options) {
  return gloo_->alltoall_base(output, input, output_splits, input_splits, options);
}
WorkPtr SeveralHostsBackend::alltoall(Tensors& outputs, Tensors& inputs, const c10d::AllToAllOptions& options) {
  return gloo_->alltoall(outputs, inputs, options);
}
void SeveralHostsBackend::monitoredBarrier(const c10d::BarrierOptions& options, bool all_ranks) {
  gloo_->monitoredBarrier(options, all_ranks);
}
WorkPtr SeveralHostsBackend::send(Tensors& tensors, int peer, int tag) { return gloo_->send(tensors, peer, tag); }
WorkPtr SeveralHostsBackend::recv(Tensors& tensors, int peer, int tag) { return gloo_->recv(tensors, peer, tag); }
WorkPtr SeveralHostsBackend::recvAnysource(Tensors& tensors, int tag) { return gloo_->recvAnysource(tensors, tag); }

void SeveralHostsBackend::abort() {
  is_aborted_ = true;
  finisher_.fail(
      std::make_exception_ptr(CommError(concat("[comm.shm] rank ", rank_, ": the process group was aborted"))));
  gloo_->abort();
}

void SeveralHostsBackend::shutdown() {
  if (is_aborted_) {
    leave();
    return;
  }
  finisher_.stop();  // without the lock: its callbacks may launch
  const std::lock_guard lock(launch_mutex_);
  communicator_.reset();
  gloo_->shutdown();
}

/// The communicator waits for ranks that may never come: on a thread that nobody waits for.
void SeveralHostsBackend::leave() {
  finisher_.abandon();
  const std::lock_guard lock(launch_mutex_);
  if (!communicator_) return;
  std::thread([last = communicator_.release()] { delete last; }).detach();
  gloo_->shutdown();
}

}  // namespace deepspeed::comm

// Tensors and options become the transport's operations.
#include "comm/shared_memory_backend.h"

#include <utility>

#include "comm/collective_arguments.h"
#include "comm/reduce_rule.h"
#include "deepspeed/error.h"
#include "transport/collectives.h"

namespace deepspeed::comm {
namespace {

using c10d::OpType;
using transport::GatherLane;
using transport::Operation;
using transport::ReduceScatterLane;

std::vector<int64_t> rows_of(const std::vector<int64_t>& splits, const at::Tensor& tensor, int size, const char* what) {
  const int64_t rows = tensor.dim() == 0 ? 1 : tensor.size(0);
  if (splits.empty()) {
    require(rows % size == 0, "all_to_all: got ", rows, " rows of ", what, " for ", size,
            " ranks, expected a multiple, or split sizes");
    return std::vector<int64_t>(static_cast<size_t>(size), rows / size);
  }
  int64_t sum = 0;
  for (const int64_t split : splits) {
    require(split >= 0, "all_to_all: got a split size of ", split, " of ", what, ", expected 0 or more");
    sum += split;
  }
  require(splits.size() == static_cast<size_t>(size) && sum == rows, "all_to_all: got ", splits.size(),
          " split sizes of ", what, " with a sum of ", sum, ", expected ", size, " with a sum of ", rows);
  return splits;
}

}  // namespace

using WorkPtr = SharedMemoryBackend::WorkPtr;
using Milliseconds = std::chrono::milliseconds;

SharedMemoryBackend::SharedMemoryBackend(std::unique_ptr<transport::Exchange> exchange, Milliseconds timeout)
    : Backend(exchange->place().rank, exchange->place().size),
      timeout_(timeout),
      options_(c10::make_intrusive<Options>("shm", timeout)),
      exchange_(exchange.release(), DeleteExchange()) {}

std::shared_ptr<transport::Exchange> SharedMemoryBackend::exchange() const {
  const std::lock_guard lock(mutex_);
  DS_CHECK(exchange_, CommError, "[comm.shm] rank ", rank_, ": the process group was destroyed");
  return exchange_;
}

WorkPtr SharedMemoryBackend::launch(Call call, Milliseconds timeout) {
  const std::shared_ptr<transport::Exchange> exchange = this->exchange();
  const auto keeper = call.plain.keeper();
  SharedMemoryWork::Launched launched{.type = call.type,
                                      .line = std::move(call.line),
                                      .pending = nullptr,
                                      .outputs = std::move(call.outputs),
                                      .copies = call.plain.take_copies(),
                                      .timeout = timeout.count() > 0 ? timeout : Milliseconds(0)};
  {
    const std::lock_guard lock(launch_mutex_);
    launched.number = ++launched_;
    for (Operation& operation : call.operations) {
      operation.line = launched.line;
      operation.keeps = keeper;
      launched.pending = exchange->launch(std::move(operation));  // the last one says for all
    }
  }
  auto work = c10::make_intrusive<SharedMemoryWork>(rank_, exchange, std::move(launched));
  work->copy_back_when_finished();
  return work;
}

WorkPtr SharedMemoryBackend::broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) {
  const at::Tensor& tensor = only(tensors, "broadcast");
  const int root = root_of(options.rootRank, size_, "broadcast");
  Call call{OpType::BROADCAST, concat("broadcast of ", amount(tensor), " from rank ", root)};
  const at::Tensor plain = rank_ == root ? call.plain.input(tensor) : call.plain.output(tensor);
  call.operations.push_back(transport::plan_broadcast(place(), root, bytes_of(plain), num_bytes(plain)));
  call.outputs = tensors;
  return launch(std::move(call), options.timeout);
}

WorkPtr SharedMemoryBackend::allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) {
  only(tensors, "all_reduce");
  c10d::AllreduceCoalescedOptions same;
  same.reduceOp = options.reduceOp;
  same.timeout = options.timeout;
  return allreduce_coalesced(tensors, same);
}

WorkPtr SharedMemoryBackend::allreduce_coalesced(Tensors& tensors, const c10d::AllreduceCoalescedOptions& options) {
  require(!tensors.empty(), "all_reduce: got no tensor");
  Call call{OpType::ALLREDUCE, concat("all_reduce of ", amount(tensors), ", ", name_of(options.reduceOp))};
  for (const at::Tensor& tensor : tensors) {
    const transport::ReduceRule rule = reduce_rule(options.reduceOp, tensor.scalar_type(), size_);
    const at::Tensor plain = call.plain.in_place(tensor);
    call.operations.push_back(transport::plan_all_reduce(place(), bytes_of(plain), plain.numel(), rule));
  }
  call.outputs = tensors;
  return launch(std::move(call), options.timeout);
}

WorkPtr SharedMemoryBackend::reduce(Tensors& tensors, const c10d::ReduceOptions& options) {
  const at::Tensor& tensor = only(tensors, "reduce");
  const int root = root_of(options.rootRank, size_, "reduce");
  const transport::ReduceRule rule = reduce_rule(options.reduceOp, tensor.scalar_type(), size_);
  Call call{OpType::REDUCE, concat("reduce of ", amount(tensor), ", ", name_of(options.reduceOp), ", to rank ", root)};
  const at::Tensor plain = rank_ == root ? call.plain.in_place(tensor) : call.plain.input(tensor);
  call.operations.push_back(transport::plan_reduce(place(), root, bytes_of(plain), plain.numel(), rule));
  call.outputs = tensors;
  return launch(std::move(call), options.timeout);
}

/// outputs[i][r] gets rank r's inputs[i].
WorkPtr SharedMemoryBackend::gather_all(Call call, const std::vector<Tensors>& outputs, const Tensors& inputs,
                                        Milliseconds timeout) {
  std::vector<GatherLane> lanes;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor own = call.plain.input(inputs[i]);
    GatherLane lane{.own = bytes_of(own), .places = {}, .bytes = num_bytes(own)};
    for (const at::Tensor& output : outputs[i]) {
      require_alike(output, inputs[i], 1, "all_gather");
      lane.places.push_back(bytes_of(call.plain.output(output)));
    }
    lanes.push_back(std::move(lane));
  }
  call.operations.push_back(transport::plan_all_gather(place(), lanes));
  return launch(std::move(call), timeout);
}

WorkPtr SharedMemoryBackend::gather_whole(Call call, const Tensors& outputs, const Tensors& inputs,
                                          Milliseconds timeout) {
  require(outputs.size() == inputs.size(), "all_gather: got ", outputs.size(), " outputs for ", inputs.size(),
          " inputs");
  std::vector<GatherLane> lanes;
  for (size_t i = 0; i < inputs.size(); ++i) {
    require_alike(outputs[i], inputs[i], size_, "all_gather");
    const at::Tensor own = call.plain.input(inputs[i]);
    std::byte* const whole = bytes_of(call.plain.output(outputs[i]));
    GatherLane lane{.own = bytes_of(own), .places = {}, .bytes = num_bytes(own)};
    for (int rank = 0; rank < size_; ++rank) lane.places.push_back(whole + rank * lane.bytes);
    lanes.push_back(std::move(lane));
  }
  call.operations.push_back(transport::plan_all_gather(place(), lanes));
  call.outputs = outputs;
  return launch(std::move(call), timeout);
}

WorkPtr SharedMemoryBackend::allgather(TensorLists& outputs, Tensors& inputs, const c10d::AllgatherOptions& options) {
  const at::Tensor& input = only(inputs, "all_gather");
  require(outputs.size() == 1 && outputs[0].size() == static_cast<size_t>(size_), "all_gather: got ",
          outputs.empty() ? 0 : outputs[0].size(), " output tensors, expected ", size_);
  Call call{OpType::ALLGATHER, concat("all_gather of ", amount(input))};
  call.outputs = outputs[0];
  return gather_all(std::move(call), outputs, inputs, options.timeout);
}

WorkPtr SharedMemoryBackend::_allgather_base(at::Tensor& output, at::Tensor& input,
                                             const c10d::AllgatherOptions& options) {
  Call call{OpType::_ALLGATHER_BASE, concat("all_gather_into_tensor of ", amount(input))};
  return gather_whole(std::move(call), {output}, {input}, options.timeout);
}

WorkPtr SharedMemoryBackend::allgather_coalesced(TensorLists& outputs, Tensors& inputs,
                                                 const c10d::AllgatherOptions& options) {
  require(outputs.size() == static_cast<size_t>(size_), "all_gather_coalesced: got ", outputs.size(),
          " output lists, expected ", size_);
  Call call{OpType::ALLGATHER_COALESCED, concat("all_gather_coalesced of ", amount(inputs))};
  std::vector<Tensors> by_input(inputs.size());
  for (const Tensors& of_rank : outputs) {
    require(of_rank.size() == inputs.size(), "all_gather_coalesced: got ", of_rank.size(), " outputs a rank for ",
            inputs.size(), " inputs");
    for (size_t i = 0; i < inputs.size(); ++i) by_input[i].push_back(of_rank[i]);
    call.outputs.insert(call.outputs.end(), of_rank.begin(), of_rank.end());
  }
  return gather_all(std::move(call), by_input, inputs, options.timeout);
}

WorkPtr SharedMemoryBackend::allgather_into_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                                             const c10d::AllgatherOptions& options) {
  Call call{OpType::COALESCED, concat("all_gather_into_tensor of ", amount(inputs))};
  return gather_whole(std::move(call), outputs, inputs, options.timeout);
}

WorkPtr SharedMemoryBackend::gather(TensorLists& outputs, Tensors& inputs, const c10d::GatherOptions& options) {
  const at::Tensor& input = only(inputs, "gather");
  const int root = root_of(options.rootRank, size_, "gather");
  Call call{OpType::GATHER, concat("gather of ", amount(input), " to rank ", root)};
  const at::Tensor own = call.plain.input(input);
  std::vector<std::byte*> places;
  if (rank_ == root) {
    require(outputs.size() == 1 && outputs[0].size() == static_cast<size_t>(size_), "gather: expected ", size_,
            " output tensors on rank ", root);
    for (const at::Tensor& output : outputs[0]) {
      require_alike(output, input, 1, "gather");
      places.push_back(bytes_of(call.plain.output(output)));
    }
    call.outputs = outputs[0];
  } else {
    require(outputs.empty() || outputs[0].empty(), "gather: got output tensors on rank ", rank_,
            ", expected them on rank ", root, " only");
  }
  call.operations.push_back(transport::plan_gather(place(), root, bytes_of(own), places, num_bytes(own)));
  return launch(std::move(call), options.timeout);
}

WorkPtr SharedMemoryBackend::scatter(Tensors& outputs, TensorLists& inputs, const c10d::ScatterOptions& options) {
  const at::Tensor& output = only(outputs, "scatter");
  const int root = root_of(options.rootRank, size_, "scatter");
  Call call{OpType::SCATTER, concat("scatter of ", amount(output), " from rank ", root)};
  const at::Tensor own = call.plain.output(output);
  std::vector<const std::byte*> parts;
  if (rank_ == root) {
    require(inputs.size() == 1 && inputs[0].size() == static_cast<size_t>(size_), "scatter: expected ", size_,
            " input tensors on rank ", root);
    for (const at::Tensor& input : inputs[0]) {
      require_alike(input, output, 1, "scatter");
      parts.push_back(bytes_of(call.plain.input(input)));
    }
  } else {
    require(inputs.empty() || inputs[0].empty(), "scatter: got input tensors on rank ", rank_,
            ", expected them on rank ", root, " only");
  }
  call.operations.push_back(transport::plan_scatter(place(), root, parts, bytes_of(own), num_bytes(own)));
  call.outputs = outputs;
  return launch(std::move(call), options.timeout);
}

WorkPtr SharedMemoryBackend::reduce_scatter(Tensors& outputs, TensorLists& inputs,
                                            const c10d::ReduceScatterOptions& options) {
  const at::Tensor& output = only(outputs, "reduce_scatter");
  require(inputs.size() == 1 && inputs[0].size() == static_cast<size_t>(size_), "reduce_scatter: got ",
          inputs.empty() ? 0 : inputs[0].size(), " input tensors, expected ", size_);
  const transport::ReduceRule rule = reduce_rule(options.reduceOp, output.scalar_type(), size_);
  Call call{OpType::REDUCE_SCATTER, concat("reduce_scatter of ", amount(output), ", ", name_of(options.reduceOp))};
  ReduceScatterLane lane{
      .parts = {}, .result = bytes_of(call.plain.output(output)), .numel = output.numel(), .rule = rule};
  for (const at::Tensor& input : inputs[0]) {
    require_alike(input, output, 1, "reduce_scatter");
    lane.parts.push_back(bytes_of(call.plain.input(input)));
  }
  call.operations.push_back(transport::plan_reduce_scatter(place(), std::span(&lane, 1)));
  call.outputs = outputs;
  return launch(std::move(call), options.timeout);
}

WorkPtr SharedMemoryBackend::reduce_scatter_whole(Call call, const Tensors& outputs, const Tensors& inputs,
                                                  const c10d::ReduceOp& op, Milliseconds timeout) {
  require(outputs.size() == inputs.size(), "reduce_scatter: got ", outputs.size(), " outputs for ", inputs.size(),
          " inputs");
  std::vector<ReduceScatterLane> lanes;
  for (size_t i = 0; i < inputs.size(); ++i) {
    require_alike(inputs[i], outputs[i], size_, "reduce_scatter");
    const transport::ReduceRule rule = reduce_rule(op, outputs[i].scalar_type(), size_);
    const at::Tensor whole = call.plain.input(inputs[i]);
    const at::Tensor own = call.plain.output(outputs[i]);
    ReduceScatterLane lane{.parts = {}, .result = bytes_of(own), .numel = own.numel(), .rule = rule};
    for (int rank = 0; rank < size_; ++rank) lane.parts.push_back(bytes_of(whole) + rank * num_bytes(own));
    lanes.push_back(std::move(lane));
  }
  call.operations.push_back(transport::plan_reduce_scatter(place(), lanes));
  call.outputs = outputs;
  return launch(std::move(call), timeout);
}

WorkPtr SharedMemoryBackend::_reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                                                  const c10d::ReduceScatterOptions& options) {
  Call call{OpType::_REDUCE_SCATTER_BASE,
            concat("reduce_scatter_tensor of ", amount(output), ", ", name_of(options.reduceOp))};
  return reduce_scatter_whole(std::move(call), {output}, {input}, options.reduceOp, options.timeout);
}

WorkPtr SharedMemoryBackend::reduce_scatter_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                                             const c10d::ReduceScatterOptions& options) {
  Call call{OpType::_REDUCE_SCATTER_BASE,
            concat("reduce_scatter_tensor of ", amount(outputs), ", ", name_of(options.reduceOp))};
  return reduce_scatter_whole(std::move(call), outputs, inputs, options.reduceOp, options.timeout);
}

WorkPtr SharedMemoryBackend::alltoall_base(at::Tensor& output, at::Tensor& input, std::vector<int64_t>& output_splits,
                                           std::vector<int64_t>& input_splits, const c10d::AllToAllOptions& options) {
  require(output.scalar_type() == input.scalar_type(), "all_to_all: input and output have different types");
  Call call{OpType::ALLTOALL_BASE, concat("all_to_all_single of ", c10::toString(input.scalar_type()))};
  const std::vector<int64_t> to = rows_of(input_splits, input, size_, "input");
  const std::vector<int64_t> from = rows_of(output_splits, output, size_, "output");
  const auto row_bytes = [](const at::Tensor& tensor) {
    const int64_t rows = tensor.dim() == 0 ? 1 : tensor.size(0);
    return rows == 0 ? 0 : num_bytes(tensor) / rows;
  };
  const std::byte* next_to = bytes_of(call.plain.input(input));
  std::byte* next_from = bytes_of(call.plain.output(output));
  std::vector<transport::Exchanged> blocks;
  for (int rank = 0; rank < size_; ++rank) {
    const int64_t to_bytes = to[rank] * row_bytes(input);
    const int64_t from_bytes = from[rank] * row_bytes(output);
    blocks.push_back({next_to, to_bytes, next_from, from_bytes});
    next_to += to_bytes;
    next_from += from_bytes;
  }
  call.operations.push_back(transport::plan_all_to_all(place(), blocks));
  call.outputs = {output};
  return launch(std::move(call), options.timeout);
}

WorkPtr SharedMemoryBackend::alltoall(Tensors& outputs, Tensors& inputs, const c10d::AllToAllOptions& options) {
  const auto size = static_cast<size_t>(size_);
  require(outputs.size() == size && inputs.size() == size, "all_to_all: got ", inputs.size(), " inputs and ",
          outputs.size(), " outputs, expected ", size_, " of both");
  Call call{OpType::ALLTOALL, concat("all_to_all of ", c10::toString(inputs[0].scalar_type()))};
  std::vector<transport::Exchanged> blocks;
  for (size_t rank = 0; rank < size; ++rank) {
    const at::Tensor to = call.plain.input(inputs[rank]);
    const at::Tensor from = call.plain.output(outputs[rank]);
    blocks.push_back({bytes_of(to), num_bytes(to), bytes_of(from), num_bytes(from)});
  }
  call.operations.push_back(transport::plan_all_to_all(place(), blocks));
  call.outputs = outputs;
  return launch(std::move(call), options.timeout);
}

WorkPtr SharedMemoryBackend::barrier(const c10d::BarrierOptions& options) {
  Call call{OpType::BARRIER, "barrier"};
  call.operations.push_back(transport::plan_barrier(place()));
  return launch(std::move(call), options.timeout);
}

void SharedMemoryBackend::abort() {
  exchange()->fail(concat("[comm.shm] rank ", rank_, ": the process group was aborted"));
}

void SharedMemoryBackend::shutdown() {
  std::shared_ptr<transport::Exchange> last;
  const std::lock_guard lock(mutex_);
  last.swap(exchange_);
}

}  // namespace deepspeed::comm

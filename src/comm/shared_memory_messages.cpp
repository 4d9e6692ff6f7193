// The backend's sends and receives, and the barrier that names who is missing.
#include <array>
#include <chrono>
#include <utility>

#include "comm/shared_memory_backend.h"
#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

// Beyond the tags of torch, which are ints.
constexpr uint64_t kMonitoredBarrier = uint64_t{1} << 40;

// A message that says nothing but that it came.
using Knock = std::array<std::byte, 1>;

const at::Tensor& only(const std::vector<at::Tensor>& tensors) {
  DS_CHECK(tensors.size() == 1, ValueError, "[comm.shm] message: got ", tensors.size(), " tensors, expected 1");
  return tensors[0];
}

}  // namespace

SharedMemoryBackend::WorkPtr SharedMemoryBackend::send(Tensors& tensors, int peer, int tag) {
  const at::Tensor& tensor = only(tensors);
  DS_CHECK(peer >= 0 && peer < size_ && peer != rank_ && tag >= 0, ValueError, "[comm.shm] send: got rank ", peer,
           " and tag ", tag, ", expected another of ", size_, " ranks and a tag of at least 0");
  PlainTensors plain;
  const at::Tensor bytes = plain.input(tensor);
  SharedMemoryWork::Launched launched{.type = c10d::OpType::SEND,
                                      .line = concat("send to rank ", peer),
                                      .pending = nullptr,
                                      .outputs = {},
                                      .copies = {},
                                      .timeout = timeout_};
  const auto exchange = this->exchange();
  launched.pending = exchange->send({.peer = peer,
                                     .tag = static_cast<uint64_t>(tag),
                                     .data = bytes_of(bytes),
                                     .bytes = num_bytes(bytes),
                                     .keeps = plain.keeper()});
  return c10::make_intrusive<SharedMemoryWork>(rank_, exchange, std::move(launched));
}

SharedMemoryBackend::WorkPtr SharedMemoryBackend::recv(Tensors& tensors, int peer, int tag) {
  DS_CHECK(peer >= 0 && peer < size_ && peer != rank_, ValueError, "[comm.shm] recv: got rank ", peer,
           ", expected another of ", size_, " ranks");
  return receive(tensors, peer, tag, c10d::OpType::RECV);
}

SharedMemoryBackend::WorkPtr SharedMemoryBackend::recvAnysource(Tensors& tensors, int tag) {
  return receive(tensors, transport::kAnyPeer, tag, c10d::OpType::RECVANYSOURCE);
}

SharedMemoryBackend::WorkPtr SharedMemoryBackend::receive(Tensors& tensors, int peer, int tag, c10d::OpType type) {
  DS_CHECK(tag >= 0, ValueError, "[comm.shm] recv: got tag ", tag, ", expected at least 0");
  PlainTensors plain;
  const at::Tensor bytes = plain.output(only(tensors));
  SharedMemoryWork::Launched launched{
      .type = type,
      .line = peer == transport::kAnyPeer ? "recv from any rank" : concat("recv from rank ", peer),
      .pending = nullptr,
      .outputs = tensors,
      .copies = plain.take_copies(),
      .timeout = timeout_};
  const auto exchange = this->exchange();
  launched.pending = exchange->receive({.peer = peer,
                                        .tag = static_cast<uint64_t>(tag),
                                        .to = bytes_of(bytes),
                                        .bytes = num_bytes(bytes),
                                        .keeps = plain.keeper()});
  auto work = c10::make_intrusive<SharedMemoryWork>(rank_, exchange, std::move(launched));
  work->copy_back_when_finished();
  return work;
}

void SharedMemoryBackend::monitoredBarrier(const c10d::BarrierOptions& options, bool all_ranks) {
  const auto exchange = this->exchange();
  const Milliseconds timeout = options.timeout.count() > 0 ? options.timeout : timeout_;
  const auto deadline = Clock::now() + timeout;
  const auto knock = std::make_shared<Knock>();
  const auto send = [&](int peer) {
    return exchange->send({.peer = peer, .tag = kMonitoredBarrier, .data = knock->data(), .bytes = 1, .keeps = knock});
  };
  // Buffers of their own: what did not come may still come.
  const auto receive = [&](int peer) {
    const auto place = std::make_shared<Knock>();
    return exchange->receive({.peer = peer, .tag = kMonitoredBarrier, .to = place->data(), .bytes = 1, .keeps = place});
  };
  const auto comes = [&](const transport::Exchange::Handle& pending) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - Clock::now());
    return exchange->wait_for(*pending, std::max(left, Milliseconds(0))) && !pending->error();
  };
  if (rank_ != 0) {
    send(0);
    DS_CHECK(comes(receive(0)), CommError, "[comm.shm] monitored_barrier: rank ", rank_, " of ", size_,
             ": rank 0 did not say within ", timeout.count(),
             " ms that all ranks came. Its error names those missing.");
    return;
  }
  std::string missing;
  std::vector<transport::Exchange::Handle> knocks;
  for (int peer = 1; peer < size_; ++peer) knocks.push_back(receive(peer));
  for (int peer = 1; peer < size_; ++peer) {
    if (comes(knocks[static_cast<size_t>(peer) - 1])) continue;
    missing += concat(missing.empty() ? "" : ", ", peer);
    if (!all_ranks) break;
  }
  DS_CHECK(missing.empty(), CommError, "[comm.shm] monitored_barrier: rank", all_ranks ? "s " : " ", missing, " of ",
           size_, " did not come within ", timeout.count(), " ms");
  for (int peer = 1; peer < size_; ++peer) exchange->wait(*send(peer));
}

}  // namespace deepspeed::comm

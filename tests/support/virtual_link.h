// A communicator over a link of a given bandwidth that sleeps instead of working, in time that only moves when told:
// what a schedule hides can be said exactly, on any machine.
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "comm/communicator.h"

namespace deepspeed::testing {

/// Nanoseconds from 0. Computing advances it, and so does whoever waits for the link.
class VirtualClock {
 public:
  int64_t now_ns() const { return now_ns_; }
  void advance(int64_t ns) { now_ns_ += ns; }
  void advance_to(int64_t ns) { now_ns_ = std::max(now_ns_.load(), ns); }

 private:
  std::atomic<int64_t> now_ns_ = 0;
};

/// One transfer at a time, in the order of sending.
class VirtualLink {
 public:
  VirtualLink(VirtualClock& clock, double bytes_per_second) : clock_(clock), ns_per_byte_(1e9 / bytes_per_second) {}
  VirtualClock& clock() { return clock_; }
  /// When the transfer will be through.
  int64_t send(int64_t bytes) {
    const auto duration_ns = static_cast<int64_t>(static_cast<double>(bytes) * ns_per_byte_);
    return free_at_ns_ = std::max(free_at_ns_, clock_.now_ns()) + duration_ns;
  }

 private:
  VirtualClock& clock_;
  const double ns_per_byte_;
  int64_t free_at_ns_ = 0;
};

/// Rank 0 of two, whose other rank always has the same values. Each collective carries its buffers' bytes once.
class ThrottledCommunicator final : public comm::Communicator {
 public:
  explicit ThrottledCommunicator(VirtualLink& link) : link_(link) {}

  int rank() const override { return 0; }
  int size() const override { return 2; }
  c10::Device control_device() const override { return at::kCPU; }

  comm::Work reduce_scatter(at::TensorList lanes, at::TensorList results, double scale, c10::ScalarType,
                            const comm::Tag&) override {
    for (size_t lane = 0; lane < lanes.size(); ++lane) {
      lanes[lane].mul_(2.0 * scale);
      const at::Tensor own = lanes[lane].narrow(0, 0, lanes[lane].numel() / 2);
      if (results[lane].data_ptr() != own.data_ptr()) results[lane].copy_(own);
    }
    return travel(lanes);
  }
  comm::Work all_gather(at::TensorList lanes, const comm::Tag&) override {
    for (const at::Tensor& lane : lanes) {
      const int64_t half = lane.numel() / 2;
      lane.narrow(0, half, half).copy_(lane.narrow(0, 0, half));
    }
    return travel(lanes);
  }
  comm::Work all_reduce(const at::Tensor& values, double scale, const comm::Tag&) override {
    values.mul_(2.0 * scale);
    return travel(values);
  }
  comm::Work broadcast(const at::Tensor& values, int, const comm::Tag&) override { return travel(values); }

 private:
  class Transfer final : public comm::WorkState {
   public:
    Transfer(VirtualClock& clock, int64_t done_at_ns) : clock_(clock), done_at_ns_(done_at_ns) {}
    void wait() override { clock_.advance_to(done_at_ns_); }
    bool is_done() override { return clock_.now_ns() >= done_at_ns_; }
    std::optional<int64_t> done_at_ns() override { return is_done() ? std::optional(done_at_ns_) : std::nullopt; }

   private:
    VirtualClock& clock_;
    const int64_t done_at_ns_;
  };

  comm::Work travel(at::TensorList tensors) {
    int64_t bytes = 0;
    for (const at::Tensor& tensor : tensors) bytes += static_cast<int64_t>(tensor.nbytes());
    return comm::Work(std::make_shared<Transfer>(link_.clock(), link_.send(bytes)));
  }

  VirtualLink& link_;
};

}  // namespace deepspeed::testing

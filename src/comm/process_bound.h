// A communicator in the process that made it. A forked child has neither its threads nor its group's, so that their
// locks and joins would wait for ever: there it is let go, not destroyed.
#pragma once

#include <unistd.h>

#include <memory>
#include <utility>

#include "comm/communicator.h"

namespace deepspeed::comm {

class ProcessBound final : public Communicator {
 public:
  explicit ProcessBound(std::unique_ptr<Communicator> inner) : pid_(::getpid()), inner_(std::move(inner)) {}
  ~ProcessBound() override {
    if (::getpid() != pid_) static_cast<void>(inner_.release());
  }

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  c10::Device control_device() const override { return inner_->control_device(); }
  Work reduce_scatter(at::TensorList lanes, at::TensorList results, double scale, c10::ScalarType wire,
                      const Tag& tag) override {
    return inner_->reduce_scatter(lanes, results, scale, wire, tag);
  }
  Work all_gather(at::TensorList lanes, const Tag& tag) override { return inner_->all_gather(lanes, tag); }
  Work all_reduce(const at::Tensor& values, double scale, const Tag& tag) override {
    return inner_->all_reduce(values, scale, tag);
  }
  Work broadcast(const at::Tensor& values, int root, const Tag& tag) override {
    return inner_->broadcast(values, root, tag);
  }
  at::Tensor make_buffer(int64_t numel, const at::TensorOptions& options) override {
    return inner_->make_buffer(numel, options);
  }
  const LaunchHistory* history() const override { return inner_->history(); }

 private:
  const int pid_;
  std::unique_ptr<Communicator> inner_;
};

}  // namespace deepspeed::comm

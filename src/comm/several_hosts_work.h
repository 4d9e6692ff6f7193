// The c10d::Work of a collective over several hosts, and the thread that completes them in order.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/distributed/c10d/Work.hpp>

#include "comm/plain_tensors.h"
#include "comm/work.h"

namespace deepspeed::comm {

/// Any thread.
class SeveralHostsWork final : public c10d::Work {
 public:
  SeveralHostsWork(int rank, c10d::OpType type, std::string line, std::vector<at::Tensor> outputs,
                   std::chrono::milliseconds timeout);

  const std::string& line() const { return line_; }
  void set_number(uint64_t number) { number_ = number; }
  /// Once: waiters and the future learn of it. Later calls change nothing.
  void end(std::exception_ptr error);

  std::vector<at::Tensor> result() override { return outputs_; }
  void synchronize() override {}
  /// Throws CommError where the time is over.
  bool wait(std::chrono::milliseconds timeout) override;
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override { return future_; }
  uint64_t getSequencenumber() const override { return number_; }

 private:
  const std::string line_;
  const std::vector<at::Tensor> outputs_;
  const std::chrono::milliseconds timeout_;
  const c10::intrusive_ptr<c10::ivalue::Future> future_;
  uint64_t number_ = 0;
  bool has_ended_ = false;  // guarded by mutex_
};

/// A thread that waits for launches in their order. After an error all that follow end with the same one. In a forked
/// child it does nothing.
class WorkFinisher {
 public:
  struct Launch {
    c10::intrusive_ptr<SeveralHostsWork> work;
    std::vector<Work> parts;  ///< it is done when all of these are
    std::vector<CopyBack> copies;
    std::shared_ptr<const void> keeps;
  };

  WorkFinisher();
  ~WorkFinisher() { stop(); }
  WorkFinisher(const WorkFinisher&) = delete;
  WorkFinisher& operator=(const WorkFinisher&) = delete;

  void add(Launch launch);
  /// Ends what has not ended, and what comes, with `error`.
  void fail(std::exception_ptr error);
  /// Finishes what was added; not again.
  void stop();
  /// Nothing more is added, and the thread ends by itself, whenever what it waits for does.
  void abandon();

 private:
  struct State;
  std::shared_ptr<State> state_;  // outlives this where the last owner lets go in a callback, on the thread itself
};

}  // namespace deepspeed::comm

// The c10d::Work of something that was launched in an exchange.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/distributed/c10d/Work.hpp>

#include "transport/exchange.h"

namespace deepspeed::comm {

/// A result that was made beside the tensor which is to have it, which is not contiguous.
struct CopyBack {
  at::Tensor from;
  at::Tensor to;
};

/// Any thread. Waiting moves data in the calling thread; who only asks for the future leaves that to the exchange's.
class SharedMemoryWork final : public c10d::Work {
 public:
  struct Launched {
    c10d::OpType type = c10d::OpType::UNKNOWN;
    std::string line;
    transport::Exchange::Handle pending;
    std::vector<at::Tensor> outputs;
    std::vector<CopyBack> copies;
    std::chrono::milliseconds timeout{0};
    uint64_t number = 0;
  };

  /// An exchange that has ended has finished everything.
  SharedMemoryWork(int rank, std::weak_ptr<transport::Exchange> exchange, Launched launched);

  bool isCompleted() override;
  bool isSuccess() const override;
  std::exception_ptr exception() const override;
  int sourceRank() const override;
  std::vector<at::Tensor> result() override { return launched_.outputs; }
  void synchronize() override {}
  /// Throws CommError, also where the time is over.
  bool wait(std::chrono::milliseconds timeout) override;
  /// Breaks its whole group off: what is on its way cannot be called back.
  void abort() override;
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override;
  uint64_t getSequencenumber() const override { return launched_.number; }

  /// Once, after it was launched: results that were made beside their tensors get there though nobody waits.
  void copy_back_when_finished();

 private:
  c10::intrusive_ptr<SharedMemoryWork> self() { return c10::intrusive_ptr<SharedMemoryWork>::reclaim_copy(this); }
  void notify(transport::Pending::Callback callback);
  void copy_back();
  std::exception_ptr try_to_copy_back() noexcept;
  void wait_for_the_end();

  const std::weak_ptr<transport::Exchange> exchange_;
  Launched launched_;
  std::once_flag copied_;
  std::mutex future_mutex_;  // guards the next one
  c10::intrusive_ptr<c10::ivalue::Future> future_;
};

/// Deletes an exchange, in a thread of its own where the caller is one of the exchange's: it joins its threads.
struct DeleteExchange {
  void operator()(transport::Exchange* exchange) const;
};

}  // namespace deepspeed::comm

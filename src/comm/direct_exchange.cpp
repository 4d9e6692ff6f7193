// Direct exchange: one FIFO of operations, one thread that carries them out.
#include "comm/direct_exchange.h"

#include <ATen/ATen.h>
#include <unistd.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/log.h"
#include "deepspeed/error.h"
#include "kernels/accumulate_kernels.h"
#include "tensor/dtype.h"

namespace deepspeed::comm {
namespace {

// Sums are made in blocks that stay in the cache between the passes over them.
constexpr int64_t kBlockNumel = int64_t{16} * 1024;

// Every part starts on a cache line of the staging buffer.
constexpr int64_t kStagingAlignment = 64;

// How many operations have their messages posted at once: the next one's travel while this one's are added.
constexpr size_t kPostedAtOnce = 2;

class ExchangeWork final : public WorkState {
 public:
  void wait() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_; });
    if (error_) std::rethrow_exception(error_);
  }
  bool is_done() override {
    const std::lock_guard lock(mutex_);
    return done_;
  }
  void finish(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    done_ = true;
    error_ = std::move(error);
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::exception_ptr error_;
};

/// One message to or from a peer. Messages of one operation and peer are told apart by `lane`.
struct Message {
  int peer;
  int lane;
  at::Tensor buffer;
};

/// A sum over ranks: `own` becomes (part of rank 0 + part of rank 1 + ...) * scale. outgoing[r] is this rank's part of
/// rank r's sum, sent in the type `wire`; what arrives waits in the staging buffer.
struct Sum {
  at::Tensor own;
  std::vector<at::Tensor> outgoing;
  c10::ScalarType wire;
  double scale;
  std::vector<at::Tensor> parts = {};  ///< by rank, once posted

  bool is_cast() const { return wire != own.scalar_type(); }
  int64_t part_bytes() const { return own.numel() * static_cast<int64_t>(c10::elementSize(wire)); }
};

/// What one launch sends and receives, and what it adds once all has arrived.
struct Operation {
  std::string what;
  int tag = 0;
  int lanes = 0;
  bool sends_results = false;  ///< of sums before it: not posted until those are complete
  std::vector<Message> sends;
  std::vector<Message> receives;
  std::vector<Sum> sums;
  std::shared_ptr<ExchangeWork> work = std::make_shared<ExchangeWork>();

  at::Tensor staging;
  std::vector<c10::intrusive_ptr<c10d::Work>> in_flight;
};

/// The others' parts may be of a narrower type; the sum is made in own's. `block` holds kBlockNumel of any type.
void sum_in_rank_order(const Sum& sum, double* block) {
  const at::Tensor& own = sum.own;
  const std::vector<at::Tensor>& parts = sum.parts;
  const core::Dtype dtype = tensor::to_dtype(own.scalar_type());
  const auto address = [](const at::Tensor& part, int64_t begin) {
    return static_cast<char*>(part.data_ptr()) + begin * part.element_size();
  };
  for (int64_t begin = 0; begin < own.numel(); begin += kBlockNumel) {
    const int64_t numel = std::min(kBlockNumel, own.numel() - begin);
    for (size_t r = 0; r < parts.size(); ++r) {
      const core::Dtype from = tensor::to_dtype(parts[r].scalar_type());
      const auto add = r == 0 ? &kernels::scale_copy : &kernels::scale_add;
      add(block, dtype, address(parts[r], begin), from, numel, 1.0);
    }
    kernels::scale_copy(address(own, begin), dtype, block, dtype, numel, sum.scale);
  }
}

/// Thread, group and queue. Only the process that made it may destroy it.
class Exchange final : public Communicator {
 public:
  explicit Exchange(c10::intrusive_ptr<c10d::ProcessGroup> group)
      : group_(std::move(group)), rank_(group_->getRank()), size_(group_->getSize()), pid_(::getpid()), thread_([this] {
          run();
        }) {}

  ~Exchange() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  c10::Device control_device() const override { return at::kCPU; }

  Work reduce_scatter(at::TensorList lanes, double scale, c10::ScalarType wire, const Tag& tag) override {
    Operation operation;
    for (const at::Tensor& lane : lanes) {
      Sum sum{.own = part(lane, rank_), .outgoing = {}, .wire = wire, .scale = scale};
      for (int rank = 0; rank < size_; ++rank) sum.outgoing.push_back(part(lane, rank));
      operation.sums.push_back(std::move(sum));
    }
    return launch(std::move(operation), tag);
  }

  Work all_gather(at::TensorList lanes, const Tag& tag) override {
    Operation operation;
    operation.sends_results = true;  // a reduce-scatter of the same lanes may be right before it
    for (const at::Tensor& lane : lanes) {
      for (const int peer : peers()) {
        operation.sends.push_back({peer, operation.lanes, part(lane, rank_)});
        operation.receives.push_back({peer, operation.lanes, part(lane, peer)});
      }
      ++operation.lanes;
    }
    return launch(std::move(operation), tag);
  }

  Work all_reduce(const at::Tensor& values, double scale, const Tag& tag) override {
    // The sum is made in place only after the sends are through: they read the same memory.
    Operation operation;
    operation.sums.push_back({.own = values,
                              .outgoing = std::vector<at::Tensor>(size_, values),
                              .wire = values.scalar_type(),
                              .scale = scale});
    return launch(std::move(operation), tag);
  }

  Work broadcast(const at::Tensor& values, int root, const Tag& tag) override {
    Operation operation;
    operation.lanes = 1;
    if (rank_ == root) {
      for (const int peer : peers()) operation.sends.push_back({peer, 0, values});
    } else {
      operation.receives.push_back({root, 0, values});
    }
    return launch(std::move(operation), tag);
  }

 private:
  /// The others, nearest above first, so that not everyone sends to the same rank at once.
  std::vector<int> peers() const {
    std::vector<int> result;
    for (int step = 1; step < size_; ++step) result.push_back((rank_ + step) % size_);
    return result;
  }

  at::Tensor part(const at::Tensor& lane, int rank) const {
    DS_INTERNAL_CHECK(lane.numel() % size_ == 0, "lane of ", lane.numel(), " elements over ", size_, " ranks");
    const int64_t part_numel = lane.numel() / size_;
    return lane.narrow(0, rank * part_numel, part_numel);
  }

  /// Staging for what arrives and, where the wire is narrower, for what leaves.
  int64_t staging_bytes(const Operation& operation) const {
    int64_t bytes = 0;
    for (const Sum& sum : operation.sums) bytes += aligned(sum.part_bytes()) * (size_ - 1) * (sum.is_cast() ? 2 : 1);
    return bytes;
  }

  static int64_t aligned(int64_t bytes) {
    return (bytes + kStagingAlignment - 1) / kStagingAlignment * kStagingAlignment;
  }

  /// Lays the messages of all sums out in the staging buffer; casts what leaves.
  void place_sums(Operation& operation) const {
    int64_t offset = 0;
    const auto take = [&](const Sum& sum) {
      const at::Tensor view = operation.staging.narrow(0, offset, sum.part_bytes()).view(sum.wire);
      offset += aligned(sum.part_bytes());
      return view;
    };
    for (Sum& sum : operation.sums) {
      sum.parts.resize(size_);
      sum.parts[rank_] = sum.own;
      for (const int peer : peers()) {
        at::Tensor outgoing = sum.outgoing[peer];
        if (sum.is_cast()) {
          const at::Tensor narrow = take(sum);
          kernels::convert(narrow.data_ptr(), tensor::to_dtype(sum.wire), outgoing.data_ptr(),
                           tensor::to_dtype(outgoing.scalar_type()), outgoing.numel());
          outgoing = narrow;
        }
        sum.parts[peer] = take(sum);
        operation.sends.push_back({peer, operation.lanes, outgoing});
        operation.receives.push_back({peer, operation.lanes, sum.parts[peer]});
      }
      ++operation.lanes;
    }
  }

  Work launch(Operation operation, const Tag& tag) {
    DS_CHECK(::getpid() == pid_, CommError, "[comm] ", describe(tag),
             ": this process was forked after the process group was made. ",
             "Use the engine only in the process that made it.");
    operation.what = describe(tag);
    std::shared_ptr<ExchangeWork> work = operation.work;
    {
      const std::lock_guard lock(mutex_);
      operation.tag = static_cast<int>(next_tag_ & 0x3fffffff);
      next_tag_ += std::max<int64_t>(operation.lanes, static_cast<int64_t>(operation.sums.size()));
      queue_.push_back(std::move(operation));
    }
    changed_.notify_all();
    return Work(work);
  }

  static bool may_post(const Operation& next, const std::deque<Operation>& posted) {
    const auto sums = [](const Operation& operation) { return !operation.sums.empty(); };
    return !next.sends_results || std::none_of(posted.begin(), posted.end(), sums);
  }

  void run() {
    std::deque<Operation> posted;
    auto& queue = queue_;
    while (true) {
      {
        std::unique_lock lock(mutex_);
        if (posted.empty()) changed_.wait(lock, [&] { return stopping_ || !queue.empty(); });
        while (posted.size() < kPostedAtOnce && !queue.empty() && may_post(queue.front(), posted)) {
          posted.push_back(std::move(queue.front()));
          queue.pop_front();
          lock.unlock();
          post(posted.back());
          lock.lock();
        }
        if (posted.empty()) return;  // stopping, nothing left
      }
      finish(posted.front());
      posted.pop_front();
    }
  }

  void post(Operation& operation) {
    if (broken_) return;
    try {
      if (!operation.sums.empty()) {
        operation.staging = take_staging(staging_bytes(operation));
        place_sums(operation);
      }
      for (const Message& message : operation.receives) {
        std::vector<at::Tensor> buffers = {message.buffer};
        operation.in_flight.push_back(group_->recv(buffers, message.peer, operation.tag + message.lane));
      }
      for (const Message& message : operation.sends) {
        std::vector<at::Tensor> buffers = {message.buffer};
        operation.in_flight.push_back(group_->send(buffers, message.peer, operation.tag + message.lane));
      }
    } catch (...) {
      fail(operation);
    }
  }

  void finish(Operation& operation) {
    if (!broken_) {
      try {
        for (const auto& message : operation.in_flight) message->wait();
        for (const Sum& sum : operation.sums) sum_in_rank_order(sum, block_.get());
      } catch (...) {
        fail(operation);
      }
    }
    if (operation.staging.defined()) staging_.push_back(std::move(operation.staging));
    // Before the caller goes on: it may then drop its tensors, and the last reference would be this thread's, which
    // for a tensor of Python's would have to take the GIL.
    operation.in_flight.clear();
    operation.receives.clear();
    operation.sends.clear();
    operation.sums.clear();
    operation.work->finish(broken_);
  }

  /// After a failure nothing more is sent: every later operation gets the first error, at once.
  void fail(const Operation& operation) {
    std::string reason = "unknown error";
    try {
      throw;
    } catch (const std::exception& error) {
      reason = error.what();
      reason = reason.substr(0, reason.find("\nException raised from"));
    }
    broken_ = std::make_exception_ptr(
        CommError(concat("[comm] rank ", rank_, " of ", size_, ": ", operation.what, " failed: ", reason,
                         ". Another rank has probably died or is stuck: look at the first error of the others.")));
  }

  at::Tensor take_staging(int64_t bytes) {
    const auto fits = [&](const at::Tensor& buffer) { return buffer.numel() >= bytes; };
    auto best = staging_.end();
    for (auto it = staging_.begin(); it != staging_.end(); ++it) {
      if (fits(*it) && (best == staging_.end() || it->numel() < best->numel())) best = it;
    }
    if (best == staging_.end()) return at::empty({bytes}, at::kByte);
    at::Tensor buffer = std::move(*best);
    staging_.erase(best);
    return buffer;
  }

  c10::intrusive_ptr<c10d::ProcessGroup> group_;
  const int rank_;
  const int size_;
  const int pid_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Operation> queue_;  // guarded by mutex_, as are the next two
  int64_t next_tag_ = 0;
  bool stopping_ = false;

  // Only the thread's own:
  std::exception_ptr broken_;
  std::vector<at::Tensor> staging_;  // kept buffers, at most kPostedAtOnce per size in use
  const std::unique_ptr<double[]> block_{new double[kBlockNumel]};  // of a sum; aligned for every type
  std::thread thread_;                                              // last: starts when everything else is there
};

/// A forked child has neither the thread nor the group's, so that their locks and joins would wait for ever: there the
/// exchange is let go, not destroyed.
class DirectExchange final : public Communicator {
 public:
  explicit DirectExchange(c10::intrusive_ptr<c10d::ProcessGroup> group)
      : pid_(::getpid()), exchange_(std::make_unique<Exchange>(std::move(group))) {}
  ~DirectExchange() override {
    if (::getpid() != pid_) static_cast<void>(exchange_.release());
  }

  int rank() const override { return exchange_->rank(); }
  int size() const override { return exchange_->size(); }
  c10::Device control_device() const override { return exchange_->control_device(); }
  Work reduce_scatter(at::TensorList lanes, double scale, c10::ScalarType wire, const Tag& tag) override {
    return exchange_->reduce_scatter(lanes, scale, wire, tag);
  }
  Work all_gather(at::TensorList lanes, const Tag& tag) override { return exchange_->all_gather(lanes, tag); }
  Work all_reduce(const at::Tensor& values, double scale, const Tag& tag) override {
    return exchange_->all_reduce(values, scale, tag);
  }
  Work broadcast(const at::Tensor& values, int root, const Tag& tag) override {
    return exchange_->broadcast(values, root, tag);
  }

 private:
  const int pid_;
  std::unique_ptr<Exchange> exchange_;
};

}  // namespace

std::unique_ptr<Communicator> make_direct_exchange(c10::intrusive_ptr<c10d::ProcessGroup> group) {
  return std::make_unique<DirectExchange>(std::move(group));
}

}  // namespace deepspeed::comm

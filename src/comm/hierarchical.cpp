// A lane [ranks, part] is brought into the order [local ranks, hosts, part], in which each step works on one piece.
#include "comm/hierarchical.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "comm/process_bound.h"
#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

/// A launch that a thread carries out.
class Job final : public WorkState {
 public:
  explicit Job(std::function<void()> run) : run_(std::move(run)) {}

  void run(std::exception_ptr error) {
    if (!error) {
      try {
        run_();
      } catch (...) {
        error = std::current_exception();
      }
    }
    run_ = nullptr;  // lets the buffers go before anybody is told
    const std::lock_guard lock(mutex_);
    error_ = error;
    done_ = true;
    changed_.notify_all();
  }
  std::exception_ptr error() {
    const std::lock_guard lock(mutex_);
    return error_;
  }
  void wait() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_; });
    if (error_) std::rethrow_exception(error_);
  }
  bool is_done() override {
    const std::lock_guard lock(mutex_);
    return done_;
  }

 private:
  std::function<void()> run_;
  std::mutex mutex_;  // guards the next ones
  std::condition_variable changed_;
  bool done_ = false;
  std::exception_ptr error_;
};

/// A tag whose texts live as long as it does.
struct OwnTag {
  explicit OwnTag(const Tag& from) : name(from.name), parameters(from.parameters), tag(from) {}
  Tag get() const {
    Tag result = tag;
    result.name = name;
    result.parameters = parameters;
    return result;
  }
  std::string name;
  std::string parameters;
  Tag tag;
};

class Hierarchical final : public Communicator {
 public:
  Hierarchical(const HostMap& hosts, int rank, std::unique_ptr<Communicator> local,
               std::unique_ptr<Communicator> across)
      : hosts_(hosts),
        rank_(rank),
        pid_(::getpid()),
        local_(std::move(local)),
        across_(std::move(across)),
        thread_([this] { work(); }) {}

  ~Hierarchical() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  int rank() const override { return rank_; }
  int size() const override { return local_->size() * across_->size(); }
  c10::Device control_device() const override { return at::kCPU; }

  Work reduce_scatter(at::TensorList lanes, at::TensorList results, double scale, c10::ScalarType wire,
                      const Tag& tag) override {
    return launch([this, lanes = lanes.vec(), results = results.vec(), scale, wire, tag = OwnTag(tag)] {
      for (size_t lane = 0; lane < lanes.size(); ++lane) {
        const at::Tensor pieces = arranged(lanes[lane]);
        local_->reduce_scatter(pieces, 1.0, wire, tag.get()).wait();
        const at::Tensor mine = piece(pieces);
        across_->reduce_scatter(mine, scale, wire, tag.get()).wait();
        results[lane].copy_(part_of_host(mine));
      }
    });
  }

  Work all_gather(at::TensorList lanes, const Tag& tag) override {
    return launch([this, lanes = lanes.vec(), tag = OwnTag(tag)] {
      for (const at::Tensor& lane : lanes) {
        const at::Tensor pieces = take_buffer(lane);
        const at::Tensor mine = piece(pieces);
        part_of_host(mine).copy_(part(lane, rank_));
        across_->all_gather(mine, tag.get()).wait();
        local_->all_gather(pieces, tag.get()).wait();
        for (int rank = 0; rank < size(); ++rank) part(lane, rank).copy_(place_of(pieces, rank));
      }
    });
  }

  Work all_reduce(const at::Tensor& values, double scale, const Tag& tag) override {
    return launch([this, values, scale, tag = OwnTag(tag)] {
      local_->all_reduce(values, 1.0, tag.get()).wait();
      across_->all_reduce(values, scale, tag.get()).wait();
    });
  }

  Work broadcast(const at::Tensor& values, int root, const Tag& tag) override {
    return launch([this, values, root, tag = OwnTag(tag)] {
      const int local_root = hosts_.local_rank_of(root);
      if (local_->rank() == local_root) across_->broadcast(values, hosts_.host_of(root), tag.get()).wait();
      local_->broadcast(values, local_root, tag.get()).wait();
    });
  }

 private:
  at::Tensor part(const at::Tensor& lane, int rank) const {
    const int64_t numel = lane.numel() / size();
    return lane.narrow(0, rank * numel, numel);
  }
  at::Tensor place_of(const at::Tensor& pieces, int rank) const {
    return part(pieces, hosts_.local_rank_of(rank) * across_->size() + hosts_.host_of(rank));
  }
  at::Tensor piece(const at::Tensor& pieces) const {
    const int64_t numel = pieces.numel() / local_->size();
    return pieces.narrow(0, local_->rank() * numel, numel);
  }
  at::Tensor part_of_host(const at::Tensor& mine) const {
    const int64_t numel = mine.numel() / across_->size();
    return mine.narrow(0, across_->rank() * numel, numel);
  }

  /// Of the thread: grows to the longest lane, and is shared memory inside the host.
  at::Tensor take_buffer(const at::Tensor& like) {
    DS_INTERNAL_CHECK(like.numel() % size() == 0, "lane of ", like.numel(), " elements over ", size(), " ranks");
    const auto bytes = static_cast<int64_t>(like.nbytes());
    if (!buffer_.defined() || buffer_.numel() < bytes)
      buffer_ = local_->make_buffer(bytes, at::TensorOptions(at::kByte));
    return buffer_.narrow(0, 0, bytes).view(like.scalar_type());
  }
  at::Tensor arranged(const at::Tensor& lane) {
    at::Tensor pieces = take_buffer(lane);
    for (int rank = 0; rank < size(); ++rank) place_of(pieces, rank).copy_(part(lane, rank));
    return pieces;
  }

  Work launch(std::function<void()> run) {
    DS_CHECK(::getpid() == pid_, CommError, "[comm.hierarchical] this process was forked after the process group was ",
             "made. Use the engine only in the process that made it.");
    auto job = std::make_shared<Job>(std::move(run));
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(job);
    }
    changed_.notify_all();
    return Work(job);
  }

  void work() {
    const at::NoGradGuard no_grad;
    std::exception_ptr error;  // the first one is everybody's
    while (true) {
      std::shared_ptr<Job> job;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job->run(error);
      error = job->error();
    }
  }

  const HostMap hosts_;
  const int rank_;
  const int pid_;
  const std::unique_ptr<Communicator> local_;
  const std::unique_ptr<Communicator> across_;
  at::Tensor buffer_;

  std::mutex mutex_;  // guards the next ones
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Communicator> make_hierarchical(const HostMap& hosts, int rank, std::unique_ptr<Communicator> local,
                                                std::unique_ptr<Communicator> across) {
  return std::make_unique<ProcessBound>(
      std::make_unique<Hierarchical>(hosts, rank, std::move(local), std::move(across)));
}

}  // namespace deepspeed::comm

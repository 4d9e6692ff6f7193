// Direct exchange: one FIFO of operations and two threads. The first agrees with the other ranks on what comes next and
// posts its messages; the second waits for them, adds, and completes works. So the messages of one operation travel
// while those of the one before are added.
// A wait in one of its works is under watch (wait_watch.h): where the other ranks will never come, everything fails at
// once.
#include "comm/direct_exchange.h"

#include <ATen/ATen.h>
#include <unistd.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "comm/agreement.h"
#include "comm/broken_pipe.h"
#include "comm/exchange_work.h"
#include "comm/peers.h"
#include "comm/process_bound.h"
#include "comm/rank_order_sum.h"
#include "comm/wait_watch.h"
#include "deepspeed/error.h"
#include "kernels/accumulate_kernels.h"
#include "tensor/dtype.h"

namespace deepspeed::comm {
namespace {

// Every part starts on a cache line of the staging buffer.
constexpr int64_t kStagingAlignment = 64;

// How many operations have their messages posted at once: the next one's travel while this one's are added.
constexpr size_t kPostedAtOnce = 2;

/// One message to or from a peer. Messages of one operation and peer are told apart by `lane`.
struct Message {
  int peer;
  int lane;
  at::Tensor buffer;
};

/// What one launch sends and receives, and what it adds once all has arrived.
struct Operation {
  std::string line;  ///< what, and how much: compared over the ranks
  int tag = 0;
  int lanes = 0;
  int root = -1;               ///< of a broadcast: all ranks must mean the same
  bool adds = false;           ///< has sums; never changes after the launch, so that both threads may ask
  bool sends_results = false;  ///< of sums before it: not posted until those are complete
  std::vector<Message> sends;
  std::vector<Message> receives;
  std::vector<Sum> sums;
  std::shared_ptr<ExchangeWork> work = nullptr;

  at::Tensor staging;
  std::vector<c10::intrusive_ptr<c10d::Work>> in_flight;
};

/// Threads, group and queues.
class Exchange final : public Communicator {
 public:
  explicit Exchange(c10::intrusive_ptr<c10d::ProcessGroup> group)
      : group_(std::move(group)),
        rank_(group_->getRank()),
        size_(group_->getSize()),
        pid_(::getpid()),
        agreement_(*group_),
        watched_(*group_, {.foresee = [this](const std::string& reason) { foresee(reason); },
                           .break_off = [this] { break_off(); }}),
        posting_thread_([this] { post_all(); }),
        finishing_thread_([this] { finish_all(); }) {}

  ~Exchange() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    WaitLedger& ledger = *watched_.ledger();
    const std::string what = "what was launched before the communicator ends";
    const WaitLedger::Waiting waiting(ledger, ledger.position().launched, what);
    posting_thread_.join();
    finishing_thread_.join();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  c10::Device control_device() const override { return at::kCPU; }

  Work reduce_scatter(at::TensorList lanes, at::TensorList results, double scale, c10::ScalarType wire,
                      const Tag& tag) override {
    Operation operation;
    for (size_t lane = 0; lane < lanes.size(); ++lane) {
      Sum sum{.own = part(lanes[lane], rank_), .result = results[lane], .outgoing = {}, .wire = wire, .scale = scale};
      for (int rank = 0; rank < size_; ++rank) sum.outgoing.push_back(part(lanes[lane], rank));
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
                              .result = values,
                              .outgoing = std::vector<at::Tensor>(size_, values),
                              .wire = values.scalar_type(),
                              .scale = scale});
    return launch(std::move(operation), tag);
  }

  Work broadcast(const at::Tensor& values, int root, const Tag& tag) override {
    Operation operation;
    operation.lanes = 1;
    operation.root = root;
    if (rank_ == root) {
      for (const int peer : peers()) operation.sends.push_back({peer, 0, values});
    } else {
      operation.receives.push_back({root, 0, values});
    }
    return launch(std::move(operation), tag);
  }

 private:
  std::vector<int> peers() const { return peers_of(rank_, size_); }

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
      at::Tensor view = operation.staging.narrow(0, offset, sum.part_bytes()).view(sum.wire);
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
    operation.work = std::make_shared<ExchangeWork>(describe(tag), watched_.ledger());
    operation.line = line_of(operation);
    operation.adds = !operation.sums.empty();
    std::shared_ptr<ExchangeWork> work = operation.work;
    {
      const std::lock_guard lock(mutex_);
      work->set_number(watched_.ledger()->note_launch());
      operation.tag = static_cast<int>(next_tag_ & 0x3fffffff);
      // The first is the line's.
      next_tag_ += 1 + std::max<int64_t>(operation.lanes, static_cast<int64_t>(operation.sums.size()));
      queue_.push_back(std::move(operation));
    }
    changed_.notify_all();
    return Work(work);
  }

  /// What all ranks must launch alike: what it is for, which kind, and how much.
  static std::string line_of(const Operation& operation) {
    std::string sizes;
    for (const Sum& sum : operation.sums) sizes += concat(" ", sum.part_bytes());
    if (!sizes.empty()) return concat(operation.work->what(), " (a sum, bytes a rank:", sizes, ")");
    // A broadcast's root sends only, the others receive only.
    const auto& messages = operation.receives.empty() ? operation.sends : operation.receives;
    int lane = -1;
    for (const Message& message : messages) {
      if (message.lane == lane) continue;  // the same to or from another rank
      lane = message.lane;
      sizes += concat(" ", message.buffer.nbytes());
    }
    const std::string from = operation.root < 0 ? "" : concat(", from rank ", operation.root);
    return concat(operation.work->what(), " (bytes a rank:", sizes, from, ")");
  }

  /// Under the lock: whether `next` may travel beside what is on its way.
  bool may_post(const Operation& next) const {
    if (broken_) return true;
    const auto adds = [](const Operation& operation) { return operation.adds; };
    return posted_.size() < kPostedAtOnce && !(next.sends_results && std::any_of(posted_.begin(), posted_.end(), adds));
  }

  void post_all() {
    const BrokenPipeIsAnError guard;
    while (true) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) break;
      Operation operation = std::move(queue_.front());
      queue_.pop_front();
      bool posts = !broken_;
      lock.unlock();
      try {
        if (posts) agreement_.reach(operation.line, operation.tag);
      } catch (...) {
        fail(operation);
      }
      lock.lock();
      changed_.wait(lock, [&] { return may_post(operation); });
      posts = !broken_;
      lock.unlock();
      if (posts) post(operation);
      lock.lock();
      posted_.push_back(std::move(operation));
      lock.unlock();
      changed_.notify_all();
    }
    const std::lock_guard lock(mutex_);
    nothing_more_is_posted_ = true;
    changed_.notify_all();
  }

  void finish_all() {
    while (true) {
      Operation* front = nullptr;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return nothing_more_is_posted_ || !posted_.empty(); });
        if (posted_.empty()) return;
        front = &posted_.front();  // stays in place: others are only added behind it
      }
      finish(*front);
      const std::shared_ptr<ExchangeWork> work = std::move(front->work);
      std::exception_ptr error;
      {
        const std::lock_guard lock(mutex_);
        posted_.pop_front();
        error = broken_;
      }
      changed_.notify_all();
      work->finish(error);
    }
  }

  void post(Operation& operation) {
    try {
      if (!operation.sums.empty()) {
        operation.staging = take_staging(staging_bytes(operation));
        place_sums(operation);
      }
      for (const Message& message : operation.receives) {
        std::vector<at::Tensor> buffers = {message.buffer};
        operation.in_flight.push_back(group_->recv(buffers, message.peer, operation.tag + 1 + message.lane));
      }
      for (const Message& message : operation.sends) {
        std::vector<at::Tensor> buffers = {message.buffer};
        operation.in_flight.push_back(group_->send(buffers, message.peer, operation.tag + 1 + message.lane));
      }
    } catch (...) {
      fail(operation);
    }
  }

  /// Waits for the messages, adds, and lets every buffer go. Before the caller goes on: it may then drop its tensors,
  /// and the last reference would be this thread's, which for a tensor of Python's would have to take the GIL.
  void finish(Operation& operation) {
    if (!is_broken()) {
      try {
        for (const auto& message : operation.in_flight) message->wait();
        for (const Sum& sum : operation.sums) add_in_rank_order(sum, rank_);
      } catch (...) {
        fail(operation);
      }
    }
    operation.staging.reset();
    operation.in_flight.clear();
    operation.receives.clear();
    operation.sends.clear();
    operation.sums.clear();
  }

  bool is_broken() {
    const std::lock_guard lock(mutex_);
    return static_cast<bool>(broken_);
  }

  /// After a failure nothing more is sent: every later operation gets the first error, at once.
  void fail(const Operation& operation) {
    std::string text;
    try {
      throw;
    } catch (const CommError& error) {
      text = concat("[comm] rank ", rank_, " of ", size_, ": the ranks disagree: ", error.what(), ".");
    } catch (const std::exception& error) {
      std::string reason = error.what();
      reason = reason.substr(0, reason.find("\nException raised from"));
      text = concat("[comm] rank ", rank_, " of ", size_, ": ", operation.work->what(), " failed: ", reason,
                    ". Another rank has probably died or is stuck: look at the first error of the others.");
    }
    break_with(text);
  }

  void break_with(const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (!broken_) broken_ = std::make_exception_ptr(CommError(foreseen_.empty() ? text : foreseen_));
    changed_.notify_all();
  }

  void foresee(const std::string& reason) {
    const std::lock_guard lock(mutex_);
    foreseen_ = reason;
  }

  /// From the watch: what is launched and not agreed on never will be.
  void break_off() {
    break_with("");
    agreement_.give_up();
  }

  /// Operations take turns with kPostedAtOnce buffers: the one that a buffer's last user left is finished when the next
  /// is posted. Each grows to the largest seen, so that after a first step nothing is allocated.
  at::Tensor take_staging(int64_t bytes) {
    most_staging_ = std::max(most_staging_, bytes);
    at::Tensor& buffer = staging_[next_staging_++ % kPostedAtOnce];
    if (!buffer.defined() || buffer.numel() < most_staging_) buffer = at::empty({most_staging_}, at::kByte);
    return buffer;
  }

  c10::intrusive_ptr<c10d::ProcessGroup> group_;
  const int rank_;
  const int size_;
  const int pid_;

  std::mutex mutex_;  // guards what follows, up to the line
  std::condition_variable changed_;
  std::deque<Operation> queue_;   // launched
  std::deque<Operation> posted_;  // on their way; the finishing thread works on the front one without the lock
  int64_t next_tag_ = 0;
  bool stopping_ = false;
  bool nothing_more_is_posted_ = false;
  std::exception_ptr broken_;
  std::string foreseen_;  // why it will break, once that is certain
  // ---
  std::array<at::Tensor, kPostedAtOnce> staging_;  // the posting thread's, as are the next two
  size_t next_staging_ = 0;
  int64_t most_staging_ = 0;
  Agreement agreement_;         // the posting thread's
  WatchedGroup watched_;        // goes before what its function uses, and after the threads have ended
  std::thread posting_thread_;  // last: they start when everything else is there
  std::thread finishing_thread_;
};

}  // namespace

std::unique_ptr<Communicator> make_direct_exchange(c10::intrusive_ptr<c10d::ProcessGroup> group) {
  return std::make_unique<ProcessBound>(std::make_unique<Exchange>(std::move(group)));
}

}  // namespace deepspeed::comm

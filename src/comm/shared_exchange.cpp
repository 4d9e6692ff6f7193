// Lanes become operations of the transport; works wait under watch.
#include "comm/shared_exchange.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <chrono>
#include <mutex>
#include <utility>
#include <vector>

#include "comm/element_type.h"
#include "comm/process_bound.h"
#include "comm/wait_watch.h"
#include "core/environment.h"
#include "deepspeed/error.h"
#include "transport/exchange.h"

namespace deepspeed::comm {
namespace {

using transport::Element;
using transport::Operation;

Element addable(c10::ScalarType type) {
  const auto element = element_of(type);
  DS_CHECK(element, NotSupported, "[comm.shared_exchange] sums of ", c10::toString(type),
           " elements. Convert them to another type first.");
  return *element;
}

std::byte* bytes_of(const at::Tensor& values) { return static_cast<std::byte*>(values.data_ptr()); }

/// What all users of one exchange share, and its works may outlive.
struct Shared {
  Shared(const transport::HostGroupOptions& group, const transport::Exchange::Options& options)
      : exchange(group, options) {}

  void foresee(const std::string& reason) {
    const std::lock_guard lock(mutex);
    foreseen = reason;
  }
  std::string foreseen_or(const std::string& reason) const {
    const std::lock_guard lock(mutex);
    return foreseen.empty() ? reason : foreseen;
  }

  transport::Exchange exchange;
  mutable std::mutex mutex;  // guards the next one
  std::string foreseen;      // why it will fail, once that is certain
};

class SharedWork final : public WorkState {
 public:
  SharedWork(std::shared_ptr<Shared> shared, transport::Exchange::Handle pending, std::shared_ptr<WaitLedger> ledger,
             int64_t number, std::string what)
      : shared_(std::move(shared)),
        pending_(std::move(pending)),
        ledger_(std::move(ledger)),
        number_(number),
        what_(std::move(what)) {}

  void wait() override {
    try {
      if (!pending_->is_finished()) {
        const WaitLedger::Waiting waiting(*ledger_, number_, what_);
        shared_->exchange.wait(*pending_);
      } else if (const std::exception_ptr error = pending_->error()) {
        std::rethrow_exception(error);
      }
    } catch (const CommError& error) {
      throw CommError(shared_->foreseen_or(error.what()));
    }
  }
  bool is_done() override { return shared_->exchange.is_finished(*pending_); }
  std::optional<int64_t> done_at_ns() override {
    if (!pending_->is_finished()) return std::nullopt;
    return pending_->finished_at_ns();
  }

 private:
  const std::shared_ptr<Shared> shared_;
  const transport::Exchange::Handle pending_;
  const std::shared_ptr<WaitLedger> ledger_;
  const int64_t number_;
  const std::string what_;
};

class SharedExchange final : public Communicator {
 public:
  SharedExchange(c10::intrusive_ptr<c10d::ProcessGroup> group, const SharedPlace& place)
      : group_(std::move(group)),
        shared_(std::make_shared<Shared>(
            transport::HostGroupOptions{.token = place.token, .rank = place.rank, .size = place.size},
            transport::Exchange::Options{.timeout = std::chrono::seconds(core::collective_timeout_seconds())})),
        place_(shared_->exchange.place()),
        watched_(*group_, {.foresee = [shared = shared_](const std::string& reason) { shared->foresee(reason); },
                           .break_off = [shared = shared_] { shared->exchange.fail(shared->foreseen_or("")); }}) {}

  ~SharedExchange() override {
    if (!last_) return;
    try {
      last_->wait();  // under watch; the exchange itself would wait without
    } catch (const Error&) {
      // Whoever waits for it is told.
    }
  }

  int rank() const override { return place_.rank; }
  int size() const override { return place_.size; }
  c10::Device control_device() const override { return at::kCPU; }

  Work reduce_scatter(at::TensorList lanes, at::TensorList results, double scale, c10::ScalarType wire,
                      const Tag& tag) override {
    std::vector<transport::ReduceScatterLane> plan;
    std::string sizes;
    std::vector<at::Tensor> buffers = lanes.vec();
    for (size_t index = 0; index < lanes.size(); ++index) {
      const at::Tensor& lane = lanes[index];
      const int64_t numel = part_numel(lane);
      const int64_t bytes = numel * lane.element_size();
      transport::ReduceScatterLane& each = plan.emplace_back();
      for (int rank = 0; rank < place_.size; ++rank) each.parts.push_back(bytes_of(lane) + rank * bytes);
      each.result = bytes_of(results[index]);
      buffers.push_back(results[index]);
      each.numel = numel;
      each.rule = {.element = addable(lane.scalar_type()), .wire = addable(wire), .scale = scale};
      sizes += concat(" ", numel * static_cast<int64_t>(c10::elementSize(wire)));
    }
    return launch(plan_reduce_scatter(place_, plan), tag, concat(" (a sum, bytes a rank:", sizes, ")"),
                  std::move(buffers));
  }

  Work all_gather(at::TensorList lanes, const Tag& tag) override {
    std::vector<transport::GatherLane> plan;
    std::string sizes;
    for (const at::Tensor& lane : lanes) {
      const int64_t bytes = part_numel(lane) * lane.element_size();
      transport::GatherLane& each = plan.emplace_back();
      each.own = bytes_of(lane) + place_.rank * bytes;
      for (int rank = 0; rank < place_.size; ++rank) each.places.push_back(bytes_of(lane) + rank * bytes);
      each.bytes = bytes;
      sizes += concat(" ", bytes);
    }
    return launch(plan_all_gather(place_, plan), tag, concat(" (bytes a rank:", sizes, ")"), lanes.vec());
  }

  Work all_reduce(const at::Tensor& values, double scale, const Tag& tag) override {
    const Element element = addable(values.scalar_type());
    Operation operation = plan_all_reduce(place_, bytes_of(values), values.numel(),
                                          {.element = element, .wire = element, .scale = scale});
    return launch(std::move(operation), tag, concat(" (a sum, bytes a rank: ", values.nbytes(), ")"), {values});
  }

  Work broadcast(const at::Tensor& values, int root, const Tag& tag) override {
    const auto bytes = static_cast<int64_t>(values.nbytes());
    return launch(plan_broadcast(place_, root, bytes_of(values), bytes), tag,
                  concat(" (bytes a rank: ", bytes, ", from rank ", root, ")"), {values});
  }

  at::Tensor make_buffer(int64_t numel, const at::TensorOptions& options) override {
    const int64_t bytes = numel * static_cast<int64_t>(options.dtype().itemsize());
    if (bytes == 0) return at::empty({numel}, options);
    std::shared_ptr<std::byte> block = shared_->exchange.allocate(bytes);
    void* const data = block.get();
    return at::from_blob(
        data, {numel}, [block = std::move(block)](void*) {}, options);
  }

 private:
  int64_t part_numel(const at::Tensor& lane) const {
    DS_INTERNAL_CHECK(lane.numel() % place_.size == 0, "lane of ", lane.numel(), " elements over ", place_.size,
                      " ranks");
    return lane.numel() / place_.size;
  }

  Work launch(Operation operation, const Tag& tag, const std::string& sizes, std::vector<at::Tensor> buffers) {
    std::string what = describe(tag);
    operation.line = what + sizes;
    operation.keeps = std::make_shared<std::vector<at::Tensor>>(std::move(buffers));
    const std::shared_ptr<WaitLedger>& ledger = watched_.ledger();
    transport::Exchange::Handle pending = shared_->exchange.launch(std::move(operation));
    last_ = std::make_shared<SharedWork>(shared_, std::move(pending), ledger, ledger->note_launch(), std::move(what));
    return Work(last_);
  }

  const c10::intrusive_ptr<c10d::ProcessGroup> group_;
  const std::shared_ptr<Shared> shared_;
  const transport::Place place_;
  WatchedGroup watched_;
  std::shared_ptr<SharedWork> last_;
};

}  // namespace

std::unique_ptr<Communicator> make_shared_exchange(c10::intrusive_ptr<c10d::ProcessGroup> group,
                                                   const SharedPlace& place) {
  return std::make_unique<ProcessBound>(std::make_unique<SharedExchange>(std::move(group), place));
}

}  // namespace deepspeed::comm

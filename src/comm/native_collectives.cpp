// One c10d call a launch; NCCL groups the lanes of one call into one kernel launch.
#include "comm/native_collectives.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "comm/c10d_compat.h"
#include "comm/launch_history.h"
#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

class NativeWork final : public WorkState {
 public:
  NativeWork(c10::intrusive_ptr<c10d::Work> work, std::string what, std::function<void()> after)
      : work_(std::move(work)), what_(std::move(what)), after_(std::move(after)) {}

  void wait() override {
    if (waited_) return;
    finish();
    waited_ = true;
  }
  /// Lets the current stream wait, and does what is left on it. The caller of wait() may be on another stream.
  void finish() {
    try {
      work_->wait();  // queues a wait on the current stream
    } catch (const std::exception& error) {
      throw CommError(concat("[comm] ", what_, " failed: ", error.what()));
    }
    if (const auto after = std::exchange(after_, {})) after();
  }
  bool is_done() override { return work_->isCompleted(); }
  bool has_rest() const { return static_cast<bool>(after_); }

 private:
  c10::intrusive_ptr<c10d::Work> work_;
  std::string what_;
  std::function<void()> after_;
  bool waited_ = false;
};

class NativeCollectives final : public Communicator {
 public:
  NativeCollectives(c10::intrusive_ptr<c10d::ProcessGroup> group, c10::Device device)
      : group_(std::move(group)), device_(device) {}

  int rank() const override { return group_->getRank(); }
  int size() const override { return group_->getSize(); }
  c10::Device control_device() const override { return device_; }
  const LaunchHistory* history() const override { return &history_; }

  Work reduce_scatter(at::TensorList lanes, at::TensorList results, double scale, c10::ScalarType wire,
                      const Tag& tag) override {
    note(lanes, tag);
    // Scaled before the sum: a gather of the same lanes may be queued right behind it, and narrow sums stay in range.
    std::vector<at::Tensor> wholes;
    std::vector<at::Tensor> owns;
    std::vector<std::pair<at::Tensor, at::Tensor>> casts;  // to, from
    for (size_t index = 0; index < lanes.size(); ++index) {
      const at::Tensor& lane = lanes[index];
      if (lane.scalar_type() != wire) {
        at::Tensor narrow = at::empty(lane.sizes(), lane.options().dtype(wire));
        at::mul_out(narrow, lane, at::scalar_tensor(scale, lane.options().device(at::kCPU)));
        wholes.push_back(narrow);
        owns.push_back(own_part(narrow));
        casts.emplace_back(results[index], owns.back());
        continue;
      }
      if (scale != 1.0) lane.mul_(scale);
      wholes.push_back(lane);
      owns.push_back(results[index]);
    }
    auto work = reduce_scatter_lanes(*group_, owns, wholes);
    if (casts.empty()) return wrap(std::move(work), tag);
    std::erase_if(pending_casts_, [](const auto& pending) { return !pending->has_rest(); });
    pending_casts_.push_back(std::make_shared<NativeWork>(std::move(work), describe(tag), [casts] {
      for (const auto& [to, from] : casts) to.copy_(from);
    }));
    return Work(pending_casts_.back());
  }
  Work all_gather(at::TensorList lanes, const Tag& tag) override {
    note(lanes, tag);
    // A reduction of the same lanes may be right before it, its result still in the narrow buffer.
    for (const std::shared_ptr<NativeWork>& work : std::exchange(pending_casts_, {})) work->finish();
    std::vector<at::Tensor> wholes(lanes.begin(), lanes.end());
    std::vector<at::Tensor> owns;
    for (const at::Tensor& lane : lanes) owns.push_back(own_part(lane));
    return wrap(all_gather_lanes(*group_, wholes, owns), tag);
  }
  Work all_reduce(const at::Tensor& values, double scale, const Tag& tag) override {
    note(values, tag);
    if (scale != 1.0) values.mul_(scale);
    std::vector<at::Tensor> tensors = {values};
    return wrap(group_->allreduce(tensors), tag);
  }
  Work broadcast(const at::Tensor& values, int root, const Tag& tag) override {
    note(values, tag, root);
    std::vector<at::Tensor> tensors = {values};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    return wrap(group_->broadcast(tensors, options), tag);
  }

 private:
  void note(at::TensorList lanes, const Tag& tag, int root = -1) {
    int64_t bytes = 0;
    for (const at::Tensor& lane : lanes) bytes += static_cast<int64_t>(lane.nbytes());
    history_.note(tag, bytes, root);
  }
  at::Tensor own_part(const at::Tensor& lane) const {
    const int64_t part_numel = lane.numel() / size();
    return lane.narrow(0, rank() * part_numel, part_numel);
  }
  static Work wrap(c10::intrusive_ptr<c10d::Work> work, const Tag& tag) {
    return Work(std::make_shared<NativeWork>(std::move(work), describe(tag), std::function<void()>()));
  }

  c10::intrusive_ptr<c10d::ProcessGroup> group_;
  c10::Device device_;
  LaunchHistory history_;
  std::vector<std::shared_ptr<NativeWork>> pending_casts_;  // reductions whose result is not in the lanes yet
};

}  // namespace

std::unique_ptr<Communicator> make_native_collectives(c10::intrusive_ptr<c10d::ProcessGroup> group,
                                                      c10::Device device) {
  return std::make_unique<NativeCollectives>(std::move(group), device);
}

}  // namespace deepspeed::comm

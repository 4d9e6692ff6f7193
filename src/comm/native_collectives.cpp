// One c10d call a launch; NCCL groups the lanes of one call into one kernel launch.
#include "comm/native_collectives.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <utility>
#include <vector>

#include "comm/c10d_compat.h"
#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

class NativeWork final : public WorkState {
 public:
  NativeWork(c10::intrusive_ptr<c10d::Work> work, std::string what, std::function<void()> after)
      : work_(std::move(work)), what_(std::move(what)), after_(std::move(after)) {}

  void wait() override {
    if (waited_) return;
    try {
      work_->wait();  // queues a wait on the current stream
    } catch (const std::exception& error) {
      throw CommError(concat("[comm] ", what_, " failed: ", error.what()));
    }
    if (after_) after_();
    waited_ = true;
  }
  bool is_done() override { return work_->isCompleted(); }

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

  Work reduce_scatter(at::TensorList lanes, double scale, c10::ScalarType wire, const Tag& tag) override {
    std::vector<at::Tensor> wholes;
    std::vector<at::Tensor> owns;
    std::vector<at::Tensor> targets;
    for (const at::Tensor& lane : lanes) {
      wholes.push_back(lane.to(wire));  // the lane itself where the types are equal
      owns.push_back(own_part(wholes.back()));
      targets.push_back(own_part(lane));
    }
    auto work = reduce_scatter_lanes(*group_, owns, wholes);
    return wrap(std::move(work), tag, [owns, targets, scale] {
      for (size_t index = 0; index < owns.size(); ++index) {
        if (owns[index].scalar_type() != targets[index].scalar_type()) targets[index].copy_(owns[index]);
        if (scale != 1.0) targets[index].mul_(scale);
      }
    });
  }
  Work all_gather(at::TensorList lanes, const Tag& tag) override {
    std::vector<at::Tensor> wholes(lanes.begin(), lanes.end());
    std::vector<at::Tensor> owns;
    for (const at::Tensor& lane : lanes) owns.push_back(own_part(lane));
    return wrap(all_gather_lanes(*group_, wholes, owns), tag, {});
  }
  Work all_reduce(const at::Tensor& values, double scale, const Tag& tag) override {
    std::vector<at::Tensor> tensors = {values};
    return wrap(group_->allreduce(tensors), tag, scaling(values, scale));
  }
  Work broadcast(const at::Tensor& values, int root, const Tag& tag) override {
    std::vector<at::Tensor> tensors = {values};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    return wrap(group_->broadcast(tensors, options), tag, {});
  }

 private:
  at::Tensor own_part(const at::Tensor& lane) const {
    const int64_t part_numel = lane.numel() / size();
    return lane.narrow(0, rank() * part_numel, part_numel);
  }
  static std::function<void()> scaling(at::Tensor values, double scale) {
    if (scale == 1.0) return {};
    return [values, scale] { values.mul_(scale); };
  }
  static Work wrap(c10::intrusive_ptr<c10d::Work> work, const Tag& tag, std::function<void()> after) {
    return Work(std::make_shared<NativeWork>(std::move(work), describe(tag), std::move(after)));
  }

  c10::intrusive_ptr<c10d::ProcessGroup> group_;
  c10::Device device_;
};

}  // namespace

std::unique_ptr<Communicator> make_native_collectives(c10::intrusive_ptr<c10d::ProcessGroup> group,
                                                      c10::Device device) {
  return std::make_unique<NativeCollectives>(std::move(group), device);
}

}  // namespace deepspeed::comm

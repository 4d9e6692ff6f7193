// A chain of small units for tests of zero/, and a communicator that notes what is launched.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "comm/work.h"
#include "deepspeed/error.h"
#include "zero/lane_store.h"

namespace deepspeed::zero::testing {

/// A collective that fails while it is waited for.
class BrokenWork final : public comm::WorkState {
 public:
  void wait() override { throw CommError("[comm] a rank is gone"); }
  bool is_done() override { return false; }
};

enum class Fails { kNever, kAtLaunch, kInWait };

/// One rank alone; every launch is noted as the name in its tag and the elements that it carried.
class NotingCommunicator final : public comm::Communicator {
 public:
  struct Launch {
    std::string name;
    std::vector<int64_t> numels;
    bool operator==(const Launch&) const = default;
  };
  std::vector<Launch> reductions;
  std::vector<Launch> gathers;
  Fails next_reduction = Fails::kNever;  ///< the next one only

  int rank() const override { return 0; }
  int size() const override { return 1; }
  comm::Work reduce_scatter(at::TensorList lanes, at::TensorList results, double scale, c10::ScalarType wire,
                            const comm::Tag& tag) override {
    reductions.push_back(note(lanes, tag));
    const Fails fails = std::exchange(next_reduction, Fails::kNever);
    DS_CHECK(fails != Fails::kAtLaunch, CommError, "[comm] a rank is gone");
    if (fails == Fails::kInWait) return comm::Work(std::make_shared<BrokenWork>());
    return alone_.reduce_scatter(lanes, results, scale, wire, tag);
  }
  comm::Work all_gather(at::TensorList lanes, const comm::Tag& tag) override {
    gathers.push_back(note(lanes, tag));
    return {};
  }
  comm::Work all_reduce(const at::Tensor& values, double scale, const comm::Tag&) override {
    values.mul_(scale);
    return {};
  }
  comm::Work broadcast(const at::Tensor&, int, const comm::Tag&) override { return {}; }
  c10::Device control_device() const override { return at::kCPU; }

 private:
  comm::SingleRank alone_{at::kCPU};

  static Launch note(at::TensorList lanes, const comm::Tag& tag) {
    Launch launch{.name = std::string(tag.name), .numels = {}};
    for (const at::Tensor& lane : lanes) launch.numels.push_back(lane.numel());
    return launch;
  }
};

/// Parameters p0, p1, ... of the given sizes, one unit each, in one group.
struct SmallModel {
  explicit SmallModel(const std::vector<int64_t>& numels, int world = 1) {
    for (size_t i = 0; i < numels.size(); ++i) {
      const std::string name = "p" + std::to_string(i);
      at::Tensor tensor = at::full({numels[i]}, static_cast<double>(i + 1)).requires_grad_(true);
      parameters.push_back({name, tensor, 0});
      infos.push_back(
          {.name = name, .numel = numels[i], .dtype = core::Dtype::kFloat32, .trainable = true, .group = 0});
      units.push_back(plan::lay_out_unit(name, {static_cast<int>(i)}, infos, world));
    }
  }
  /// sum over parameters of factor * p, so that every gradient is `factor`.
  at::Tensor loss(double factor) const {
    at::Tensor total = at::zeros({});
    for (const tensor::NamedParameter& parameter : parameters) total = total + factor * parameter.tensor.sum();
    return total;
  }
  std::unique_ptr<LaneStore> make_store(const Options& options, comm::Communicator& data) const {
    return std::make_unique<LaneStore>(parameters, units, options, std::vector<optim::StateSpec>{}, data);
  }

  std::vector<tensor::NamedParameter> parameters;
  std::vector<plan::ParameterInfo> infos;
  std::vector<plan::Unit> units;
};

}  // namespace deepspeed::zero::testing

// Collectives over the ranks of one mesh axis. All ranks call the same ones in the same order; the call only launches.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "comm/tag.h"
#include "comm/work.h"

namespace deepspeed::comm {

class LaunchHistory;

/// Launching is for one thread at a time. Buffers are 1-D and contiguous. Sums are added in rank order (over several
/// hosts: in each host, then over hosts), so that every rank and every ZeRO stage gets the same bits (backends with
/// collectives of their own, NCCL, keep their own order).
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// Of each lane, whose length is a multiple of size(), the sum of the rank-th equal parts over ranks times `scale`
  /// goes to results[lane]: that part of the lane itself, or another tensor of its length and type. The lane holds
  /// anything afterwards. `wire` is the type in which values travel; sums are made in the lane's type where the backend
  /// can. All lanes go out as one launch, with one Work.
  virtual Work reduce_scatter(at::TensorList lanes, at::TensorList results, double scale, c10::ScalarType wire,
                              const Tag& tag) = 0;

  /// In place.
  Work reduce_scatter(at::TensorList lanes, double scale, c10::ScalarType wire, const Tag& tag);

  /// In place over each lane: the rank-th equal part of every rank goes to all. One launch.
  virtual Work all_gather(at::TensorList lanes, const Tag& tag) = 0;

  /// In place sum over ranks times `scale`; any length. For small tensors: every rank sends all of it to every other.
  virtual Work all_reduce(const at::Tensor& values, double scale, const Tag& tag) = 0;

  /// From rank `root` to all.
  virtual Work broadcast(const at::Tensor& values, int root, const Tag& tag) = 0;

  /// Whether buffers must be on the CPU (control messages go there, and to the accelerator otherwise).
  virtual c10::Device control_device() const = 0;

  /// A buffer [numel] for lanes that go through this communicator again and again: the other ranks may read it in place
  /// where the transport can, instead of a copy. It may outlive the communicator.
  virtual at::Tensor make_buffer(int64_t numel, const at::TensorOptions& options);

  /// What was launched so far, where ranks must compare it themselves; null where the backend compares before it
  /// uses what arrives.
  virtual const LaunchHistory* history() const { return nullptr; }

  /// Waits until every rank has come here.
  void barrier(const Tag& tag);

  /// Every rank's text, in rank order.
  std::vector<std::string> all_gather_strings(const std::string& text, const Tag& tag);

  /// Rank `root`'s text on all.
  std::string broadcast_string(const std::string& text, int root, const Tag& tag);
};

/// One rank alone: every collective is done at once.
class SingleRank final : public Communicator {
 public:
  explicit SingleRank(c10::Device device) : device_(device) {}
  int rank() const override { return 0; }
  int size() const override { return 1; }
  Work reduce_scatter(at::TensorList lanes, at::TensorList results, double scale, c10::ScalarType wire,
                      const Tag& tag) override;
  Work all_gather(at::TensorList, const Tag&) override { return {}; }
  Work all_reduce(const at::Tensor& values, double scale, const Tag& tag) override;
  Work broadcast(const at::Tensor&, int, const Tag&) override { return {}; }
  c10::Device control_device() const override { return device_; }

 private:
  c10::Device device_;
};

}  // namespace deepspeed::comm

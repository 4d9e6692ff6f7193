// Gradients on their way: from `.grad` into lanes or slots, and over the ranks while backward goes on.
//
// [Note: Reduction order] Units are reduced in one agreed order: rank 0's first forward, reversed, then what it did not
// use. Consecutive small units of that order form a bucket, which is one launch (plan/buckets.h). A bucket goes out
// when all its parameters are ready and all buckets before it are out; at backward_done the rest follows, with missing
// gradients counted as zero. So ranks that take different branches launch the same collectives.
//
// [Note: Late gradients] A unit may get gradients after it went out (a module used twice under reentrant
// checkpointing, a second backward before the boundary step). These are collected in a slot; at backward_done the
// ranks agree which units have any, reduce those again, and add.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"
#include "tensor/gradient_hook.h"
#include "zero/lane_store.h"
#include "zero/options.h"
#include "zero/reduce_policy.h"

namespace deepspeed::zero {

/// Owns the gradient hooks of all trainable parameters. Events come from one backward at a time, from any thread, never
/// with the GIL needed.
class Reducer {
 public:
  struct BackwardSettings {
    ReducePolicy policy = ReducePolicy::kNow;
    double scale = 1.0;  ///< every gradient is multiplied by it on its way in
    int64_t step = 0;    ///< for tags
  };

  Reducer(LaneStore& store, comm::Communicator& data);

  /// A module use touched `unit` in the first forward: learnt until the order is agreed.
  void note_use(int unit);
  bool is_order_agreed() const { return order_agreed_; }

  /// Before each backward.
  void begin_backward(const BackwardSettings& settings);

  /// Asked right before autograd writes the first `.grad` of a backward that nobody announced (a plain
  /// loss.backward()); who answers also sees to it that backward_done() is called when that backward ends.
  void on_unannounced_backward(std::function<BackwardSettings()> settings) { unannounced_ = std::move(settings); }

  /// The parameter's `.grad` is complete for this node: adds it into its lane and clears it.
  void gradient_ready(int parameter);

  /// Between backwards: whether this window has a gradient of that parameter, zeros included once its unit was reduced.
  bool holds_gradient(int parameter) const;

  /// Between backwards: `value` replaces what this window holds of a parameter's gradient, whole and already scaled.
  /// False where it holds nothing yet.
  bool replace_gradient(int parameter, const at::Tensor& value);

  /// The outermost backward is over. With kNow, afterwards every owned_gradient is final.
  void backward_done();

  /// Whether gradient_ready came since the last backward_done.
  bool in_backward() const { return in_backward_; }

  /// A backward ended with an exception: what this window gathered is dropped, so that the next one starts clean.
  void abandon_backward() noexcept;

  /// After the boundary step: the next gradients start afresh.
  void start_window();

  /// Hooks follow requires_grad and replaced accumulators; called at the first forward of a step.
  void refresh_hooks();

  /// Whether owned gradients of this unit hold a reduced sum of the current window.
  bool is_filled(int unit) const { return units_[unit].filled; }
  /// Reductions since the start, late ones too; each is one collective over all its lanes.
  int64_t num_reductions() const { return num_reductions_; }

  /// Zeroes what no backward filled, so that norms and steps can read every owned gradient.
  void fill_missing();

 private:
  enum class Open { kNone, kLane, kSlot };

  struct UnitState {
    Open open = Open::kNone;  // where gradients of this unit go now
    int slot = -1;            // with kSlot: which, and where in it
    int64_t slot_offset = 0;
    int bucket = -1;  // and where it lies in the bucket's slot
    int64_t bucket_offset = 0;
    bool launched = false;        // in this backward
    bool in_lane = false;         // the whole lanes hold the reduced sum of this window (stages 0 and 1)
    bool filled = false;          // the owned gradients hold something of this window
    bool late = false;            // open holds gradients that came after the launch
    std::vector<int> parameters;  // trainable ones
  };
  struct ParameterState {
    int expected = 1;       // gradients a backward, learnt
    int ready = 0;          // in this backward
    int unused_streak = 0;  // backwards in a row without any
    bool written = false;   // in the open target
  };
  struct Bucket {
    std::vector<int> units;
    int slot = -1;  // shared by those of its units that are open in a slot and not late
    std::string name;
  };
  /// One unit's part of a launch.
  struct Flown {
    int unit;
    Open from;
    int slot;
    int64_t slot_offset;
    bool adds;  // what is reduced joins what the owned gradient holds; otherwise it went there itself
  };
  struct InFlight {
    std::vector<Flown> units;
    int slot;  // to give back, or -1
    std::vector<comm::Work> works;
  };

  void apply(const BackwardSettings& settings);
  void before_gradient();
  void attach_hook(int parameter);
  void agree_order();
  void cut_into_buckets(const std::vector<int>& order);
  void open(int unit);
  void open_late(int unit);
  void open_in_bucket(int unit);
  void zero_gaps(int unit);
  int acquire_slot(const std::string& reason);
  at::Tensor target(int unit, int parameter);
  void zero_unwritten(int unit);
  bool is_final(int unit) const;
  void launch_ready();
  bool is_final(const Bucket& bucket) const;
  void launch_bucket(Bucket& bucket);
  void launch_late(int unit);
  void launch(const std::vector<int>& units, int slot, std::string_view name);
  void finish_front();
  void finish_all();
  at::Tensor whole_gradient(int unit, Open open, int slot, int64_t slot_offset, size_t lane);
  void add_to_owned(const Flown& flown);
  void reduce_late();
  void learn_counts();
  void reset_units();
  bool whole_on_every_rank() const { return !store_.options().lifetimes.states_sharded; }
  bool lives_in_lane() const { return store_.options().lifetimes.gradients != plan::Lifetime::kUntilReduced; }

  LaneStore& store_;
  comm::Communicator& data_;
  std::mutex mutex_;
  std::vector<UnitState> units_;
  std::vector<ParameterState> parameters_;
  std::vector<std::unique_ptr<tensor::GradientHook>> hooks_;
  std::vector<int> first_uses_;
  std::vector<Bucket> buckets_;  // in the agreed order
  bool order_agreed_ = false;
  size_t next_ = 0;  // into buckets_
  std::deque<InFlight> in_flight_;
  at::Tensor late_;  // [units], float32: which have late gradients
  ReducePolicy policy_ = ReducePolicy::kNow;
  double scale_ = 1.0;
  double reduce_scale_ = 1.0;
  int64_t step_ = 0;
  int64_t num_reductions_ = 0;
  bool in_backward_ = false;
  std::function<BackwardSettings()> unannounced_;
};

}  // namespace deepspeed::zero

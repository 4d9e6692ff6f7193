// The step as a program: what it computes, launches and waits for, in the engine's order.
#include "plan/step_time.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "deepspeed/error.h"
#include "plan/buckets.h"
#include "plan/reduction_order.h"

namespace deepspeed::plan {
namespace {

constexpr double kNormBytes = 8;  // a rank's partial sum of the norm

int64_t lanes_numel(const Unit& unit, bool only_trainable) {
  int64_t numel = 0;
  for (const Lane& lane : unit.lanes) numel += only_trainable && !lane.trainable ? 0 : lane.numel;
  return numel;
}

std::vector<int64_t> numels_of(const std::vector<Unit>& units, bool only_trainable) {
  std::vector<int64_t> numels;
  for (const Unit& unit : units) numels.push_back(lanes_numel(unit, only_trainable));
  return numels;
}

/// What all parts of the simulation look at.
struct Setting {
  const StepModel& model;
  const Machine& machine;
  const StepOptions& options;
  StageLifetimes lifetimes;
  int world;
  std::vector<int64_t> trainable;  // elements, by unit
  Timeline& timeline;
  double traffic_s = 0;
  int num_gathers = 0;
  int num_reductions = 0;

  int slot_count() const { return options.overlap_comm ? 2 : 1; }
  double owned(double numel) const { return lifetimes.states_sharded ? numel / world : numel; }
  void touch_memory(double bytes) const { timeline.compute(bytes / machine.memory_bandwidth); }

  int launch(Timeline::Traffic traffic, double bytes) {
    const CollectiveCost cost = world == 1 ? CollectiveCost{} : collective_cost(machine.network, bytes);
    traffic_s += cost.total_s();
    return timeline.launch(traffic, cost);
  }
};

/// Stage 3: units in slots, the next one ahead of its use, the one needed last leaves.
class ParameterSlots {
 public:
  explicit ParameterSlots(Setting& setting) : setting_(setting), numels_(numels_of(setting.model.units, false)) {
    const auto stays = units_that_stay(setting.model, setting.world, setting.options.persistence_threshold);
    for (const bool stay : stays) released_.push_back(setting.lifetimes.parameters == Lifetime::kBoundForUse && !stay);
  }

  bool is_released(int unit) const { return released_[unit]; }

  /// These uses are to come; what is bound stays so.
  void begin_pass(const std::vector<int>& uses) {
    forecast_.clear();
    for (const int unit : uses) {
      if (released_[unit] && (forecast_.empty() || forecast_.back() != unit)) forecast_.push_back(unit);
    }
    cursor_ = 0;
  }

  void use(int unit) {
    if (!released_[unit]) return;
    if (cursor_ < forecast_.size() && forecast_[cursor_] == unit) ++cursor_;
    if (find(unit) == bound_.end()) {
      if (static_cast<int>(bound_.size()) == setting_.slot_count()) evict_last_needed(unit);
      launch(unit);
    }
    setting_.timeline.wait_for(find(unit)->gather);
    prefetch(unit);
  }

 private:
  struct Bound {
    int unit;
    int gather;
  };

  std::vector<Bound>::iterator find(int unit) {
    return std::find_if(bound_.begin(), bound_.end(), [&](const Bound& bound) { return bound.unit == unit; });
  }

  void launch(int unit) {
    const double bytes = static_cast<double>(numels_[unit] * setting_.options.bytes.compute);
    bound_.push_back({unit, setting_.launch(Timeline::Traffic::kGathers, bytes)});
    ++setting_.num_gathers;
  }

  size_t distance(int unit) const {
    const auto found = std::find(forecast_.begin() + static_cast<std::ptrdiff_t>(cursor_), forecast_.end(), unit);
    return static_cast<size_t>(found - forecast_.begin());
  }

  /// Not `in_use`; false where all that could leave is needed before `sooner_than`.
  bool evict_last_needed(int in_use, int sooner_than = -1) {
    auto leaving = bound_.end();
    for (auto it = bound_.begin(); it != bound_.end(); ++it) {
      if (it->unit == in_use) continue;
      if (leaving == bound_.end() || distance(it->unit) > distance(leaving->unit)) leaving = it;
    }
    if (leaving == bound_.end()) return false;
    if (sooner_than >= 0 && distance(leaving->unit) <= distance(sooner_than)) return false;
    bound_.erase(leaving);
    return true;
  }

  void prefetch(int in_use) {
    if (setting_.slot_count() < 2 || cursor_ >= forecast_.size()) return;
    const int next = forecast_[cursor_];
    if (setting_.options.prefetch_bucket_size == 0 || find(next) != bound_.end()) return;
    if (static_cast<int>(bound_.size()) == setting_.slot_count() && !evict_last_needed(in_use, next)) return;
    launch(next);
  }

  Setting& setting_;
  std::vector<int64_t> numels_;
  std::vector<bool> released_;
  std::vector<Bound> bound_;
  std::vector<int> forecast_;
  size_t cursor_ = 0;
};

/// Gradients from backward into buckets, and buckets over the links.
class Gradients {
 public:
  explicit Gradients(Setting& setting) : setting_(setting) {
    std::vector<int> first_uses;
    for (const UnitUse& use : setting.model.uses) first_uses.push_back(use.unit);
    const auto order = reduction_order(first_uses, static_cast<int>(setting.model.units.size()));
    const auto largest = std::max_element(setting.trainable.begin(), setting.trainable.end());
    buckets_ = cut_buckets(order, setting.trainable, bucket_capacity(setting.options.reduce_bucket_size, *largest));
    bucket_of_.assign(setting.trainable.size(), -1);
    for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      for (const int unit : buckets_[bucket]) bucket_of_[unit] = static_cast<int>(bucket);
    }
  }

  void begin_backward(bool reduces) {
    reduces_ = reduces;
    next_ = 0;
    ready_.assign(setting_.trainable.size(), false);
    opened_.assign(buckets_.size(), false);
    // Units that no use touches count as zero and hold nothing up.
    std::vector<bool> used(setting_.trainable.size(), false);
    for (const UnitUse& use : setting_.model.uses) used[use.unit] = true;
    for (size_t unit = 0; unit < used.size(); ++unit) ready_[unit] = !used[unit];
  }

  /// Backward comes to a use of `unit`: its bucket needs a place.
  void open(int unit) {
    const int bucket = bucket_of_[unit];
    if (!uses_slots() || bucket < 0 || opened_[bucket]) return;
    opened_[bucket] = true;
    // Where none is on its way back the engine takes a slot more.
    while (slots_in_use_ >= setting_.slot_count() && !in_flight_.empty()) finish_front();
    ++slots_in_use_;
  }

  /// The last gradient of `unit` is there; in its hook it was scaled and cast into its place.
  void ready(int unit) {
    const double numel = static_cast<double>(setting_.trainable[unit]);
    setting_.touch_memory(numel *
                          static_cast<double>(setting_.options.bytes.compute + setting_.options.bytes.accumulation));
    ready_[unit] = true;
    if (reduces_) launch_ready();
  }

  void backward_done() {
    if (!reduces_) return;
    if (setting_.world > 1) {  // which units have late gradients
      const double flags = 4.0 * static_cast<double>(setting_.trainable.size());
      setting_.timeline.wait_for(setting_.launch(Timeline::Traffic::kReductions, flags));
    }
    while (!in_flight_.empty()) finish_front();
    slots_in_use_ = 0;
    adds_ = true;
  }

 private:
  struct InFlight {
    int collective;
    double numel;
  };

  bool uses_slots() const { return setting_.lifetimes.gradients == Lifetime::kUntilReduced; }

  void launch_ready() {
    const auto is_ready = [this](int unit) { return ready_[unit]; };
    for (; next_ < buckets_.size() && std::all_of(buckets_[next_].begin(), buckets_[next_].end(), is_ready); ++next_) {
      double numel = 0;
      for (const int unit : buckets_[next_]) numel += static_cast<double>(setting_.trainable[unit]);
      const double bytes = numel * static_cast<double>(setting_.options.bytes.accumulation);
      int collective = setting_.launch(Timeline::Traffic::kReductions, bytes);
      ++setting_.num_reductions;
      if (!setting_.lifetimes.states_sharded) collective = setting_.launch(Timeline::Traffic::kReductions, bytes);
      in_flight_.push_back({collective, numel});
      if (!setting_.options.overlap_comm) finish_front();
    }
  }

  void finish_front() {
    setting_.timeline.wait_for(in_flight_.front().collective);
    if (uses_slots()) {
      // The sum went straight to the owner (where there is one rank, by a copy), unless that holds the one of earlier
      // micro-batches: then it is added.
      const int passes = adds_ ? 3 : setting_.world == 1 ? 2 : 0;
      const double shard = in_flight_.front().numel / setting_.world;
      setting_.touch_memory(passes * shard * static_cast<double>(setting_.options.bytes.accumulation));
      --slots_in_use_;
    }
    in_flight_.pop_front();
  }

  Setting& setting_;
  std::vector<std::vector<int>> buckets_;
  std::vector<int> bucket_of_;
  std::vector<bool> ready_;
  std::vector<bool> opened_;
  std::deque<InFlight> in_flight_;
  size_t next_ = 0;
  int slots_in_use_ = 0;
  bool reduces_ = true;
  bool adds_ = false;  // a backward of this step was reduced before
};

void forward(Setting& setting, ParameterSlots& slots) {
  for (const UnitUse& use : setting.model.uses) {
    slots.use(use.unit);
    setting.timeline.compute(use.forward_flops / setting.machine.flops);
  }
}

void backward(Setting& setting, ParameterSlots& slots, Gradients& gradients, bool reduces) {
  const auto& uses = setting.model.uses;
  gradients.begin_backward(reduces);
  for (size_t at = uses.size(); at-- > 0;) {
    const UnitUse& use = uses[at];
    if (use.weights_in_backward) slots.use(use.unit);
    gradients.open(use.unit);
    setting.timeline.compute(use.backward_flops / setting.machine.flops);
    const auto same = [&](const UnitUse& earlier) { return earlier.unit == use.unit; };
    if (std::none_of(uses.begin(), uses.begin() + static_cast<std::ptrdiff_t>(at), same)) gradients.ready(use.unit);
  }
  gradients.backward_done();
}

double update_bytes(const ElementBytes& bytes) {
  const int64_t master = bytes.master > 0 ? bytes.master : bytes.compute;
  const int64_t cast = bytes.master > 0 ? bytes.compute : 0;
  return static_cast<double>(bytes.accumulation + 2 * master + 2 * bytes.optimizer_states + cast);
}

/// The norm over all ranks, then unit by unit the update, and gathers of whole units beside the next one's.
void boundary_step(Setting& setting, const ParameterSlots& slots) {
  const ElementBytes& bytes = setting.options.bytes;
  const double all =
      static_cast<double>(std::accumulate(setting.trainable.begin(), setting.trainable.end(), int64_t{0}));
  setting.touch_memory(setting.owned(all) * static_cast<double>(bytes.accumulation));
  if (setting.lifetimes.states_sharded)
    setting.timeline.wait_for(setting.launch(Timeline::Traffic::kReductions, kNormBytes * setting.world));

  std::vector<int64_t> gathered = setting.trainable;
  for (size_t unit = 0; unit < gathered.size(); ++unit) {
    if (slots.is_released(static_cast<int>(unit)) || !setting.lifetimes.states_sharded) gathered[unit] = 0;
  }
  std::vector<int> order(gathered.size());
  std::iota(order.begin(), order.end(), 0);
  const int64_t capacity =
      bucket_capacity(setting.options.allgather_bucket_size, *std::max_element(gathered.begin(), gathered.end()));
  std::unordered_map<int, double> bytes_after;  // unit -> of the bucket that ends with it
  for (const std::vector<int>& bucket : cut_buckets(order, gathered, capacity)) {
    for (const int unit : bucket) bytes_after[bucket.back()] += static_cast<double>(gathered[unit] * bytes.compute);
  }
  std::vector<int> gathers;
  for (const int unit : order) {
    setting.touch_memory(setting.owned(static_cast<double>(setting.trainable[unit])) * update_bytes(bytes));
    const auto found = bytes_after.find(unit);
    if (found == bytes_after.end()) continue;
    gathers.push_back(setting.launch(Timeline::Traffic::kReductions, found->second));
    ++setting.num_gathers;
  }
  for (const int gather : gathers) setting.timeline.wait_for(gather);
}

void check(const StepModel& model, const StepOptions& options) {
  DS_CHECK(options.micro_batches >= 1, ValueError, "[plan.step_time] micro-batches a step: got ", options.micro_batches,
           ", expected 1 or more.");
  DS_CHECK(!model.units.empty(), ValueError, "[plan.step_time] units: got none, expected at least one.");
  for (const UnitUse& use : model.uses) {
    DS_CHECK(use.unit >= 0 && use.unit < static_cast<int>(model.units.size()), ValueError,
             "[plan.step_time] unit of a use: got ", use.unit, ", expected 0 to ", model.units.size() - 1, ".");
  }
}

}  // namespace

StepModel cut_for_steps(const ModelDescription& model, int world, double tokens, bool recomputes) {
  StepModel step{.units = cut_units(model.parameters, model.modules, model.hints, world)};
  std::vector<int> unit_of(model.parameters.size(), 0);
  for (size_t unit = 0; unit < step.units.size(); ++unit) {
    for (const Lane& lane : step.units[unit].lanes) {
      for (const Placement& placement : lane.placements) unit_of[placement.parameter] = static_cast<int>(unit);
    }
  }
  for (const ModuleUse& use : model.uses) {
    const double forward = use.forward_flops_per_token * tokens;
    step.uses.push_back({.unit = unit_of[use.parameter],
                         .forward_flops = forward,
                         .backward_flops = (recomputes ? 3 : 2) * forward,
                         .weights_in_backward = use.weights_in_backward});
  }
  return step;
}

std::vector<bool> units_that_stay(const StepModel& model, int world, int64_t persistence_threshold) {
  std::vector<bool> stays;
  for (const Unit& unit : model.units) stays.push_back(world == 1 || lanes_numel(unit, false) < persistence_threshold);
  return stays;
}

StepTime simulate_step(const StepModel& model, const Machine& machine, const StepOptions& options) {
  check(model, options);
  Timeline timeline(machine.contention);
  Setting setting{.model = model,
                  .machine = machine,
                  .options = options,
                  .lifetimes = stage_lifetimes(options.stage),
                  .world = machine.network.world(),
                  .trainable = numels_of(model.units, true),
                  .timeline = timeline};
  ParameterSlots slots(setting);
  Gradients gradients(setting);
  std::vector<int> pass;
  for (const UnitUse& use : model.uses) pass.push_back(use.unit);
  for (size_t at = model.uses.size(); at-- > 0;) {
    if (model.uses[at].weights_in_backward) pass.push_back(model.uses[at].unit);
  }
  StepTime time;
  double mark_s = 0;
  const auto lap = [&] { return timeline.now_s() - std::exchange(mark_s, timeline.now_s()); };
  for (int micro_batch = 0; micro_batch < options.micro_batches; ++micro_batch) {
    const bool is_last = micro_batch + 1 == options.micro_batches;
    slots.begin_pass(pass);
    forward(setting, slots);
    time.forward_s += lap();
    backward(setting, slots, gradients, is_last || setting.lifetimes.gradients == Lifetime::kUntilReduced);
    time.backward_s += lap();
  }
  boundary_step(setting, slots);
  time.boundary_s = lap();
  time.compute_s = timeline.computed_s();
  time.traffic_s = setting.traffic_s;
  time.sent_rank_bytes = timeline.sent_rank_bytes();
  time.sent_host_bytes = timeline.sent_host_bytes();
  time.num_collectives = timeline.num_collectives();
  time.num_gathers = setting.num_gathers;
  time.num_reductions = setting.num_reductions;
  return time;
}

}  // namespace deepspeed::plan

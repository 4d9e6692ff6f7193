// Parameters of released units at work (ZeRO stage 3): gathered into slots when an operator touches them, kept while
// there is room, released when another unit needs the slot.
//
// [Note: Binding] Nothing tells us that a module begins; a parameter tells us that it is touched (tensor/touch.h), in
// forward, backward and recomputation alike. Its unit is then bound: a gather into a slot, after which every parameter
// of the unit points there. A unit leaves its slot only when another needs it and no operator uses it. Which one leaves
// and what is gathered ahead of its use follows the order of the last pass of the same kind (UnitTrace): the one that
// is needed last leaves. All this is a function of the touches alone, so that ranks that run the same program launch
// the same gathers. Gathers have a communicator of their own: their order against reductions differs between ranks.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <c10/core/Storage.h>

#include "comm/communicator.h"
#include "tensor/slot_pool.h"
#include "tensor/touch.h"
#include "zero/lane_store.h"
#include "zero/unit_trace.h"

namespace deepspeed::zero {

class Binder final : public tensor::TouchListener, public std::enable_shared_from_this<Binder> {
 public:
  /// Counted since the start, for tests and for users who ask why a step waits.
  struct Statistics {
    int64_t gathers = 0;     ///< units gathered, ahead of their use or not
    int64_t waited_for = 0;  ///< of those, at their use
    int64_t grown_slots = 0;
  };

  /// `store` and `gathers` outlive it. Nothing is watched before start().
  Binder(LaneStore& store, comm::Communicator& gathers);
  ~Binder() override;

  void start();
  /// The store was appended to: the new parameters are watched too.
  void extend();

  /// A root forward begins: passes with and without gradients are foreseen apart. `on_use` of the reduction order.
  void begin_pass(bool with_gradients, int64_t step);

  /// Told the unit of every use (once while the same one is used on); from the thread that runs the operator.
  void on_use(std::function<void(int unit)> listener) { on_use_ = std::move(listener); }

  void before_use(std::span<const tensor::Touch> touches) override;
  void after_use(std::span<const tensor::Touch> touches) noexcept override;

  /// The pins of a compiled graph that threw fall at the next begin_pass() or invalidate().
  void pin(std::span<const tensor::Touch> touches) override;
  void unpin(std::span<const tensor::Touch> touches) noexcept override;

  /// Writes into bound parameters (init functions, load_state_dict) reach shards and masters. Before anybody reads
  /// those.
  void write_back();

  /// Owned parameters changed (step, load): what is bound is stale.
  void invalidate();

  /// Moves parameters back whose data was replaced (p.data = x, module.to): their new values are cut into shards.
  void reattach();

  /// GatheredParameters: whole values in buffers of their own until let_go(), which sends rank `root`'s values to all
  /// (root >= 0) and keeps what was written. May nest. Collective.
  void hold(const std::vector<int>& parameters);
  void let_go(const std::vector<int>& parameters, int root);

  /// Gives every parameter an ordinary storage with its whole value. Collective.
  void restore();

  /// A parameter alone in its unit belongs to somebody else now: its shard is freed.
  void drop(int parameter);

  /// Whether the parameter's data still is ours (another engine may have taken it over).
  bool keeps(int parameter) const;
  const LaneStore& store() const { return store_; }
  comm::Communicator& gathers() { return gathers_; }

  const Statistics& statistics() const { return statistics_; }
  int64_t slot_bytes() const { return slots_.bytes(); }
  bool is_bound(int unit) const { return units_[unit].bound; }

 private:
  struct UnitState {
    int slot = -1;
    int pins = 0;
    bool bound = false;
    uint64_t last_use = 0;
    comm::Work gather;
    std::set<int> written;  // parameters whose bound values differ from the shards
  };
  struct Held {
    at::Tensor buffer;
    int depth = 0;
    bool written = false;
  };

  int unit_of(int parameter) const { return store_.location(parameter).unit; }
  c10::StorageImpl* storage(int parameter) const { return storages_[parameter].unsafeGetStorageImpl(); }
  bool is_released(int parameter) const { return static_cast<bool>(storages_[parameter]); }
  std::string why_released(int parameter) const;
  void ensure(int unit);
  void launch(int unit, int slot);
  void finish(int unit);
  void bind_parameters(int unit);
  void drop_pins_of_graphs() noexcept;
  void prefetch();
  int slot_for(int unit);
  int victim() const;
  bool is_needed_later(int a, int b) const;
  int grow(int unit);
  void evict(int unit);
  void write_back(int unit);
  void write_back(int parameter, const at::Tensor& whole);
  at::Tensor lane_view(int unit, int lane) const;
  at::Tensor place_of(int parameter) const;

  LaneStore& store_;
  comm::Communicator& gathers_;
  std::recursive_mutex mutex_;
  tensor::SlotPool slots_;
  size_t watched_up_to_ = 0;
  std::vector<UnitState> units_;
  std::vector<int64_t> numels_;
  std::vector<c10::Storage> storages_;  // by parameter, kept while somebody re-cuts it; empty where not released
  std::map<int, Held> held_;
  std::vector<int> pinned_by_graphs_;  // parameters, once for each pin() without its unpin()
  std::array<UnitTrace, 2> traces_;    // without gradients, with them; both are there before the first pass
  bool with_gradients_ = true;
  uint64_t clock_ = 0;
  int64_t step_ = 0;
  int last_used_ = -1;
  std::function<void(int)> on_use_;
  Statistics statistics_;
};

}  // namespace deepspeed::zero

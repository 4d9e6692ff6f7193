// What happened when: intervals that threads note while a step runs, for timelines and tables of times.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace deepspeed::core {

/// Nanoseconds of the steady clock, which all processes of one host share.
int64_t steady_now_ns();

enum class TraceKind : uint8_t {
  kForward,
  kBackward,  ///< the whole of it, until its reductions are through
  kAutograd,  ///< inside it: autograd's part
  kStep,      ///< a step at a boundary
  kNorm,      ///< inside it
  kUpdate,    ///< inside it: optimizer and gather
  kReduce,    ///< a collective, from launch to done; so are the next two
  kGather,
  kCollective,
  kWait,  ///< a thread that needs a collective's result and has to wait for it
};

constexpr bool is_collective(TraceKind kind) {
  return kind == TraceKind::kReduce || kind == TraceKind::kGather || kind == TraceKind::kCollective;
}

/// One interval.
struct TraceEvent {
  int64_t begin_ns = 0;
  int64_t end_ns = 0;
  int64_t bytes = 0;        ///< of a collective, on this rank
  int64_t step = 0;         ///< counted from 1
  int64_t micro_batch = 0;  ///< in the step, counted from 0
  TraceKind kind = TraceKind::kForward;
  /// Collectives: which communicator; they belong to no thread.
  uint8_t channel = 0;
  /// Which thread noted it: index into Tracer::thread_names(). Set by record().
  uint16_t thread = 0;

  std::string_view name() const { return {name_.data(), name_length_}; }
  /// Names longer than 47 characters end in "...".
  void set_name(std::string_view name);

 private:
  uint8_t name_length_ = 0;
  std::array<char, 47> name_{};
};

/// Off, it costs one relaxed load where something could be noted. On, each thread writes into a ring of its own without
/// a lock or an allocation after its first event; full rings drop what is new, and count it. record() is for any
/// thread, the rest for one at a time.
class Tracer {
 public:
  using Clock = std::function<int64_t()>;

  /// `clock` gives nanoseconds, from any thread.
  explicit Tracer(Clock clock = steady_now_ns);
  ~Tracer();
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  bool is_on() const { return on_.load(std::memory_order_relaxed); }
  void turn(bool on) { on_.store(on, std::memory_order_relaxed); }
  int64_t now_ns() const { return clock_(); }

  /// What events are stamped with from here on.
  void set_position(int64_t step, int64_t micro_batch);

  /// Whether it is on or not: who measured an interval knows.
  void record(TraceEvent event);

  /// Moves all complete events to the end of `events`, thread by thread.
  void drain(std::vector<TraceEvent>& events);

  /// How many events found their ring full.
  int64_t dropped() const;
  /// Of the threads that have noted anything, in order of their first event.
  std::vector<std::string> thread_names() const;

 private:
  class Ring;
  Ring& ring();

  const Clock clock_;
  const uint64_t id_;  // tells tracers apart that were at one address
  std::atomic<bool> on_ = false;
  std::atomic<int64_t> step_ = 0;
  std::atomic<int64_t> micro_batch_ = 0;
  mutable std::mutex mutex_;  // guards the next two
  std::vector<std::unique_ptr<Ring>> rings_;
  std::map<std::thread::id, Ring*> ring_of_;
};

/// Notes the interval from its making to its end, if the tracer is there and on at its making.
class TraceScope {
 public:
  TraceScope(Tracer* tracer, TraceKind kind, std::string_view name)
      : tracer_(tracer != nullptr && tracer->is_on() ? tracer : nullptr), kind_(kind), name_(name) {
    if (tracer_ != nullptr) begin_ns_ = tracer_->now_ns();
  }
  ~TraceScope() {
    if (tracer_ != nullptr) note();
  }
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  void note();

  Tracer* tracer_;
  TraceKind kind_;
  std::string_view name_;
  int64_t begin_ns_ = 0;
};

}  // namespace deepspeed::core

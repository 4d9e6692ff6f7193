// A ring a thread: its thread alone moves the head, who drains moves the tail.
#include "core/trace.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>

namespace deepspeed::core {
namespace {

constexpr size_t kRingEvents = 8192;  // about 800 KiB; a step of 100 units notes some 1,000

std::atomic<uint64_t> next_tracer{1};

std::string name_of_this_thread() {
  std::array<char, 16> name{};
  if (pthread_getname_np(pthread_self(), name.data(), name.size()) != 0) return "thread";
  return name.data();
}

}  // namespace

int64_t steady_now_ns() {
  using std::chrono::duration_cast;
  return duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void TraceEvent::set_name(std::string_view name) {
  constexpr std::string_view kMore = "...";
  const bool fits = name.size() <= name_.size();
  const size_t kept = fits ? name.size() : name_.size() - kMore.size();
  std::copy_n(name.begin(), kept, name_.begin());
  if (!fits) std::copy(kMore.begin(), kMore.end(), name_.begin() + static_cast<ptrdiff_t>(kept));
  name_length_ = static_cast<uint8_t>(fits ? kept : name_.size());
}

class Tracer::Ring {
 public:
  Ring(uint16_t thread, std::string name) : thread_(thread), name_(std::move(name)), events_(kRingEvents) {}

  void push(TraceEvent& event) {
    const size_t head = head_.load(std::memory_order_relaxed);
    if (head - tail_.load(std::memory_order_acquire) == events_.size()) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    event.thread = thread_;
    events_[head % events_.size()] = event;
    head_.store(head + 1, std::memory_order_release);
  }
  void drain(std::vector<TraceEvent>& events) {
    const size_t head = head_.load(std::memory_order_acquire);
    size_t tail = tail_.load(std::memory_order_relaxed);
    for (; tail != head; ++tail) events.push_back(events_[tail % events_.size()]);
    tail_.store(tail, std::memory_order_release);
  }
  int64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  const std::string& name() const { return name_; }

 private:
  const uint16_t thread_;
  const std::string name_;
  std::vector<TraceEvent> events_;
  std::atomic<size_t> head_ = 0;
  std::atomic<size_t> tail_ = 0;
  std::atomic<int64_t> dropped_ = 0;
};

Tracer::Tracer(Clock clock) : clock_(std::move(clock)), id_(next_tracer.fetch_add(1, std::memory_order_relaxed)) {}
Tracer::~Tracer() = default;

void Tracer::set_position(int64_t step, int64_t micro_batch) {
  step_.store(step, std::memory_order_relaxed);
  micro_batch_.store(micro_batch, std::memory_order_relaxed);
}

Tracer::Ring& Tracer::ring() {
  struct Last {
    uint64_t tracer = 0;
    Ring* ring = nullptr;
  };
  thread_local Last last;  // a thread notes for one engine many times before it notes for another
  if (last.tracer == id_) return *last.ring;
  const std::lock_guard lock(mutex_);
  Ring*& mine = ring_of_[std::this_thread::get_id()];
  if (mine == nullptr) {
    rings_.push_back(std::make_unique<Ring>(static_cast<uint16_t>(rings_.size()), name_of_this_thread()));
    mine = rings_.back().get();
  }
  last = {id_, mine};
  return *mine;
}

void Tracer::record(TraceEvent event) {
  event.step = step_.load(std::memory_order_relaxed);
  event.micro_batch = micro_batch_.load(std::memory_order_relaxed);
  ring().push(event);
}

void Tracer::drain(std::vector<TraceEvent>& events) {
  const std::lock_guard lock(mutex_);
  for (const auto& ring : rings_) ring->drain(events);
}

int64_t Tracer::dropped() const {
  const std::lock_guard lock(mutex_);
  int64_t dropped = 0;
  for (const auto& ring : rings_) dropped += ring->dropped();
  return dropped;
}

std::vector<std::string> Tracer::thread_names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& ring : rings_) names.push_back(ring->name());
  return names;
}

void TraceScope::note() {
  TraceEvent event;
  event.begin_ns = begin_ns_;
  event.end_ns = tracer_->now_ns();
  event.kind = kind_;
  event.set_name(name_);
  tracer_->record(event);
}

}  // namespace deepspeed::core

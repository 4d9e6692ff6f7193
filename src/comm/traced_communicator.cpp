// Works that note when they were launched, waited for and done.
#include "comm/traced_communicator.h"

#include <ATen/core/Tensor.h>

#include <atomic>
#include <utility>

#include "comm/tag.h"

namespace deepspeed::comm {
namespace {

core::TraceKind kind_of(Phase phase) {
  switch (phase) {
    case Phase::kReduce:
      return core::TraceKind::kReduce;
    case Phase::kGather:
      return core::TraceKind::kGather;
    default:
      return core::TraceKind::kCollective;
  }
}

int64_t bytes_of(at::TensorList tensors) {
  int64_t bytes = 0;
  for (const at::Tensor& tensor : tensors) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

class TracedWork final : public WorkState {
 public:
  TracedWork(Work inner, std::shared_ptr<core::Tracer> tracer, const core::TraceEvent& event)
      : inner_(std::move(inner)), tracer_(std::move(tracer)), event_(event) {}
  ~TracedWork() override { note_done(); }

  void wait() override {
    if (noted_.load(std::memory_order_relaxed) || inner_.is_done()) {
      inner_.wait();  // for its error, and on accelerators for the stream
      note_done();
      return;
    }
    core::TraceEvent waiting = event_;
    waiting.kind = core::TraceKind::kWait;
    waiting.begin_ns = tracer_->now_ns();
    const auto end = [&] {
      waiting.end_ns = tracer_->now_ns();
      note_done();
      tracer_->record(waiting);
    };
    try {
      inner_.wait();
    } catch (...) {
      end();
      throw;
    }
    end();
  }

  bool is_done() override {
    const bool done = inner_.is_done();
    if (done) note_done();
    return done;
  }

  std::optional<int64_t> done_at_ns() override { return inner_.done_at_ns(); }

 private:
  void note_done() {
    if (noted_.exchange(true)) return;
    core::TraceEvent done = event_;
    done.end_ns = inner_.done_at_ns().value_or(tracer_->now_ns());
    tracer_->record(done);
  }

  Work inner_;
  const std::shared_ptr<core::Tracer> tracer_;
  const core::TraceEvent event_;  // without its end
  std::atomic<bool> noted_ = false;
};

class TracedCommunicator final : public Communicator {
 public:
  TracedCommunicator(std::unique_ptr<Communicator> inner, std::shared_ptr<core::Tracer> tracer, uint8_t channel)
      : inner_(std::move(inner)), tracer_(std::move(tracer)), channel_(channel) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  c10::Device control_device() const override { return inner_->control_device(); }
  const LaunchHistory* history() const override { return inner_->history(); }

  at::Tensor make_buffer(int64_t numel, const at::TensorOptions& options) override {
    return inner_->make_buffer(numel, options);
  }
  Work reduce_scatter(at::TensorList lanes, at::TensorList results, double scale, c10::ScalarType wire,
                      const Tag& tag) override {
    return traced(tag, lanes, [&] { return inner_->reduce_scatter(lanes, results, scale, wire, tag); });
  }
  Work all_gather(at::TensorList lanes, const Tag& tag) override {
    return traced(tag, lanes, [&] { return inner_->all_gather(lanes, tag); });
  }
  Work all_reduce(const at::Tensor& values, double scale, const Tag& tag) override {
    return traced(tag, values, [&] { return inner_->all_reduce(values, scale, tag); });
  }
  Work broadcast(const at::Tensor& values, int root, const Tag& tag) override {
    return traced(tag, values, [&] { return inner_->broadcast(values, root, tag); });
  }

 private:
  template <class Launch>
  Work traced(const Tag& tag, at::TensorList buffers, const Launch& launch) {
    if (!tracer_->is_on()) return launch();
    core::TraceEvent event;
    event.kind = kind_of(tag.phase);
    event.channel = channel_;
    event.bytes = bytes_of(buffers);
    event.set_name(tag.name.empty() ? phase_name(tag.phase) : tag.name);
    event.begin_ns = tracer_->now_ns();
    return Work(std::make_shared<TracedWork>(launch(), tracer_, event));
  }

  const std::unique_ptr<Communicator> inner_;
  const std::shared_ptr<core::Tracer> tracer_;
  const uint8_t channel_;
};

}  // namespace

std::unique_ptr<Communicator> make_traced_communicator(std::unique_ptr<Communicator> inner,
                                                       std::shared_ptr<core::Tracer> tracer, uint8_t channel) {
  return std::make_unique<TracedCommunicator>(std::move(inner), std::move(tracer), channel);
}

}  // namespace deepspeed::comm

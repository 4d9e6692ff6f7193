// Completing, in order.
#include "comm/several_hosts_work.h"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::comm {

SeveralHostsWork::SeveralHostsWork(int rank, c10d::OpType type, std::string line, std::vector<at::Tensor> outputs,
                                   std::chrono::milliseconds timeout)
    : c10d::Work(rank, type),
      line_(std::move(line)),
      outputs_(std::move(outputs)),
      timeout_(timeout),
      future_(c10::make_intrusive<c10::ivalue::Future>(c10::ListType::create(c10::TensorType::get()))) {}

void SeveralHostsWork::end(std::exception_ptr error) {
  {
    const std::lock_guard lock(mutex_);
    if (has_ended_) return;
    has_ended_ = true;
  }
  finish(error);
  if (error) {
    future_->setError(std::move(error));
  } else {
    future_->markCompleted(c10::IValue(outputs_));
  }
}

bool SeveralHostsWork::wait(std::chrono::milliseconds timeout) {
  if (timeout <= std::chrono::milliseconds(0)) timeout = timeout_;
  std::unique_lock lock(mutex_);
  const auto is_complete = [&] { return completed_; };
  if (timeout <= std::chrono::milliseconds(0)) {
    cv_.wait(lock, is_complete);
  } else {
    DS_CHECK(cv_.wait_for(lock, timeout, is_complete), CommError, "[comm.shm] rank ", rank_, ": ", line_,
             ": timed out after ", timeout.count(), " ms. Another rank has not come, or is slow.");
  }
  if (exception_) std::rethrow_exception(exception_);
  return true;
}

struct WorkFinisher::State {
  std::mutex mutex;  // guards the next ones
  std::condition_variable changed;
  std::deque<Launch> launches;  // the first is being waited for
  std::exception_ptr error;
  bool is_stopping = false;

  const pid_t pid = ::getpid();
  std::thread thread;

  void run();
  static std::exception_ptr complete(const Launch& launch);
};

std::exception_ptr WorkFinisher::State::complete(const Launch& launch) {
  try {
    for (Work part : launch.parts) part.wait();
    // As the transport writes: without autograd, and into inference tensors too.
    const at::AutoDispatchBelowADInplaceOrView plain;
    for (const CopyBack& copy : launch.copies) copy.to.copy_(copy.from);
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

void WorkFinisher::State::run() {
  while (true) {
    Launch launch;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return is_stopping || !launches.empty(); });
      if (launches.empty()) return;
      launch = launches.front();
    }
    std::exception_ptr failure = complete(launch);
    {
      const std::lock_guard lock(mutex);
      if (failure && !error) error = failure;
      failure = error;
      launches.pop_front();
    }
    launch.work->end(failure);
  }
}

WorkFinisher::WorkFinisher() : state_(std::make_shared<State>()) {
  state_->thread = std::thread([state = state_] { state->run(); });
}

void WorkFinisher::add(Launch launch) {
  const std::lock_guard lock(state_->mutex);
  DS_CHECK(!state_->is_stopping, CommError, "[comm.shm] the process group was destroyed");
  if (state_->error) std::rethrow_exception(state_->error);
  state_->launches.push_back(std::move(launch));
  state_->changed.notify_all();
}

void WorkFinisher::fail(std::exception_ptr error) {
  std::deque<Launch> launches;
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->error) state_->error = error;
    launches = state_->launches;
  }
  for (const Launch& launch : launches) launch.work->end(error);
}

void WorkFinisher::abandon() {
  const std::lock_guard lock(state_->mutex);
  if (::getpid() != state_->pid || std::exchange(state_->is_stopping, true)) return;
  state_->changed.notify_all();
  state_->thread.detach();
}

void WorkFinisher::stop() {
  if (::getpid() != state_->pid) {
    // The thread is the parent's: neither it nor what it holds may be touched here.
    new std::shared_ptr<State>(state_);
    return;
  }
  {
    const std::lock_guard lock(state_->mutex);
    if (std::exchange(state_->is_stopping, true)) return;
    state_->changed.notify_all();
  }
  if (state_->thread.get_id() == std::this_thread::get_id()) {
    state_->thread.detach();
  } else {
    state_->thread.join();
  }
}

}  // namespace deepspeed::comm

// Waiting, and telling.
#include "comm/shared_memory_work.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <future>
#include <thread>
#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

// In a callback of an exchange, which may run on its thread.
thread_local int callbacks_running = 0;

struct InCallback {
  InCallback() { ++callbacks_running; }
  ~InCallback() { --callbacks_running; }
};

}  // namespace

void DeleteExchange::operator()(transport::Exchange* exchange) const {
  if (callbacks_running == 0) {
    delete exchange;
  } else {
    std::thread([exchange] { delete exchange; }).detach();
  }
}

SharedMemoryWork::SharedMemoryWork(int rank, std::weak_ptr<transport::Exchange> exchange, Launched launched)
    : c10d::Work(rank, launched.type), exchange_(std::move(exchange)), launched_(std::move(launched)) {}

void SharedMemoryWork::copy_back() {
  if (launched_.copies.empty()) return;
  std::call_once(copied_, [&] {
    // As the transport writes where no copy is needed: without autograd, and into inference tensors too.
    const at::AutoDispatchBelowADInplaceOrView plain;
    for (const CopyBack& copy : launched_.copies) copy.to.copy_(copy.from);
  });
}

/// For callbacks, which have nobody to throw to: who waits copies again, and is told.
std::exception_ptr SharedMemoryWork::try_to_copy_back() noexcept {
  try {
    copy_back();
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

void SharedMemoryWork::copy_back_when_finished() {
  if (launched_.copies.empty()) return;
  notify([self = self()](const std::exception_ptr& error) {
    const InCallback in_callback;
    if (!error) static_cast<void>(self->try_to_copy_back());
  });
}

void SharedMemoryWork::notify(transport::Pending::Callback callback) {
  if (const auto exchange = exchange_.lock()) {
    exchange->notify_when_finished(*launched_.pending, std::move(callback));
  } else {
    launched_.pending->on_finish(std::move(callback));
  }
}

bool SharedMemoryWork::isCompleted() {
  if (!launched_.pending->is_finished()) {
    const auto exchange = exchange_.lock();
    if (exchange && !exchange->is_finished(*launched_.pending)) return false;
  }
  if (isSuccess()) copy_back();
  return true;
}

bool SharedMemoryWork::isSuccess() const { return launched_.pending->is_finished() && !launched_.pending->error(); }

std::exception_ptr SharedMemoryWork::exception() const {
  return launched_.pending->is_finished() ? launched_.pending->error() : nullptr;
}

int SharedMemoryWork::sourceRank() const { return launched_.pending->source; }

bool SharedMemoryWork::wait(std::chrono::milliseconds timeout) {
  if (timeout <= std::chrono::milliseconds(0)) timeout = launched_.timeout;
  if (!launched_.pending->is_finished()) {
    const auto exchange = exchange_.lock();
    const bool is_bounded = timeout > std::chrono::milliseconds(0);
    const auto most = is_bounded ? timeout : std::chrono::milliseconds::max();
    if (!exchange) wait_for_the_end();
    DS_CHECK(!exchange || exchange->wait_for(*launched_.pending, most), CommError, "[comm.shm] rank ", rank_, ": ",
             launched_.line, ": timed out after ", timeout.count(), " ms. Another rank has not come, or is slow.");
  }
  if (const std::exception_ptr error = launched_.pending->error()) std::rethrow_exception(error);
  copy_back();
  return true;
}

// The group is being destroyed on another thread, which finishes what was launched.
void SharedMemoryWork::wait_for_the_end() {
  const auto end = std::make_shared<std::promise<void>>();  // set_value() may still be in it after the wait
  launched_.pending->on_finish([end](const std::exception_ptr&) { end->set_value(); });
  end->get_future().wait();
}

void SharedMemoryWork::abort() {
  if (const auto exchange = exchange_.lock()) {
    exchange->fail(concat("[comm.shm] rank ", rank_, ": ", launched_.line, " was aborted"));
  }
}

c10::intrusive_ptr<c10::ivalue::Future> SharedMemoryWork::getFuture() {
  const std::lock_guard lock(future_mutex_);
  if (future_) return future_;
  future_ = c10::make_intrusive<c10::ivalue::Future>(c10::ListType::create(c10::TensorType::get()));
  notify([self = self(), future = future_](std::exception_ptr error) {
    const InCallback in_callback;
    if (!error) error = self->try_to_copy_back();
    if (error) {
      future->setError(std::move(error));
    } else {
      future->markCompleted(c10::IValue(self->launched_.outputs));
    }
  });
  return future_;
}

}  // namespace deepspeed::comm

// The loop over running jobs.
#include "hosts/fan_out.h"

#include <algorithm>
#include <memory>

#include "hosts/remote_process.h"
#include "launcher/failure_report.h"

namespace deepspeed::hosts {
namespace {

using Clock = std::chrono::steady_clock;

struct Running {
  size_t job = 0;
  Clock::time_point deadline = Clock::time_point::max();
  launcher::LastLines last_errors;
  std::unique_ptr<RemoteProcess> process;
};

class FanOut {
 public:
  FanOut(const std::vector<RemoteJob>& jobs, const FanOutOptions& options, const LineConsumer& consume)
      : jobs_(jobs), options_(options), consume_(consume), results_(jobs.size()) {}

  std::vector<RemoteResult> run() {
    while (next_ < jobs_.size() || !running_.empty()) {
      while (next_ < jobs_.size() && running_.size() < static_cast<size_t>(std::max(1, options_.at_once))) start();
      wait();
      collect();
    }
    return std::move(results_);
  }

 private:
  void start() {
    auto running = std::make_unique<Running>();
    running->job = next_++;
    if (options_.patience.count() > 0) running->deadline = Clock::now() + options_.patience;
    const RemoteJob& job = jobs_[running->job];
    const auto take = [this, one = running.get()](bool is_error, const launcher::Line& line) {
      take_line(*one, is_error, line);
    };
    running->process = std::make_unique<RemoteProcess>(job.command, take);
    running->process->send(job.input);
    running->process->end_input();
    running_.push_back(std::move(running));
  }

  void take_line(Running& running, bool is_error, const launcher::Line& line) {
    if (consume_) consume_(running.job, is_error, line);
    auto& lines = results_[running.job].lines;
    if (is_error) {
      running.last_errors.add(line);
    } else if (options_.keeps_lines && lines.size() < kMostKeptLines) {
      lines.emplace_back(line.text);
    }
  }

  void wait() {
    std::vector<launcher::Watch> watches;
    auto wake_at = Clock::time_point::max();
    for (const auto& one : running_) {
      one->process->add_watches(watches);
      wake_at = std::min(wake_at, one->deadline);
    }
    launcher::wait_for(watches, wake_at);
  }

  void collect() {
    const auto now = Clock::now();
    std::erase_if(running_, [&](const auto& one) {
      const bool is_late = !one->process->is_over() && now >= one->deadline;
      if (!is_late && !one->process->is_over()) return false;
      RemoteResult& result = results_[one->job];
      result.timed_out = is_late;
      result.exit_code = one->process->exit_code();
      result.error_lines = one->last_errors.lines();
      return true;  // which kills a late one
    });
  }

  const std::vector<RemoteJob>& jobs_;
  const FanOutOptions& options_;
  const LineConsumer& consume_;
  std::vector<RemoteResult> results_;
  std::vector<std::unique_ptr<Running>> running_;
  size_t next_ = 0;
};

}  // namespace

std::vector<RemoteResult> run_jobs(const std::vector<RemoteJob>& jobs, const FanOutOptions& options,
                                   const LineConsumer& consume) {
  return FanOut(jobs, options, consume).run();
}

}  // namespace deepspeed::hosts

// The launcher's event loop.
#include "launcher/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/subprocess.h"
#include "deepspeed/error.h"
#include "launcher/log_file.h"
#include "launcher/open_files.h"
#include "launcher/process_tree.h"

namespace deepspeed::launcher {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFailureGrace{2000};  // before SIGKILL; 5 s in all is the promise, on a busy host too
constexpr milliseconds kSignalGrace{30000};  // as schedulers give: enough to write a checkpoint
constexpr milliseconds kEcho{300};           // `timeout` and shells send one signal twice: to us, and to our group
constexpr milliseconds kSilence{2000};       // after a signal, before we say what is waited for
constexpr milliseconds kKillInterval{50};    // between two looks for processes that are left
constexpr milliseconds kLastPatience{5000};  // for processes that SIGKILL does not end (stuck in the kernel)

std::vector<std::string> rank_environment(const RankPlan& plan) {
  auto variables = core::current_environment();
  for (const auto& [name, value] : plan.environment) {
    const std::string front = name + "=";
    std::erase_if(variables, [&](const std::string& one) { return one.starts_with(front); });
    variables.push_back(front + value);
  }
  return variables;
}

core::Descriptor open_null() {
  core::Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) throw IoError("[launcher] opening", "/dev/null", errno);
  return null;
}

}  // namespace

Supervisor::Supervisor(const LaunchPlan& plan, std::string host_name, Overseer& overseer)
    : plan_(plan),
      host_name_(std::move(host_name)),
      overseer_(overseer),
      oom_kills_before_(read_oom_kills("/")),
      streams_(overseer.lines()) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  signals_ = std::make_unique<SignalInbox>(
      std::vector<int>{SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGTSTP, SIGWINCH, SIGUSR1, SIGUSR2});
  for (const RankPlan& rank : plan.ranks) ranks_.push_back({&rank});
}

Supervisor::~Supervisor() = default;

Supervisor::Result Supervisor::run() {
  start_ranks();
  while (!is_finished()) {
    wait_for_events();
    take_signals();
    take_demands();
    reap();
    check_deadline();
  }
  streams_.finish();
  if (state_ != State::kRunning && has_children_) say_what_is_stuck();
  signals_.reset();  // from here on Ctrl-C ends us as it ends any program
  if (first_failure_ != nullptr) return {exit_code_of(first_failure_->wait_status), received_signal_};
  return {received_signal_ == 0 ? 0 : 128 + received_signal_, received_signal_};
}

// ---- starting ----

void Supervisor::start_ranks() {
  try {
    for (Rank& rank : ranks_) start(rank);
  } catch (...) {
    begin_killing();
    while (!is_finished()) {
      wait_for_events();
      reap();
      check_deadline();
    }
    throw;
  }
}

// A rank that is alone writes to our own outputs: nothing to merge, and a terminal stays a terminal.
bool Supervisor::inherits_output(const RankPlan& plan) const {
  return overseer_.has_user_streams() && ranks_.size() == 1 && plan.log_file.empty();
}

// Such a rank may also read from the terminal (a debugger), for which it has to be in our process group.
bool Supervisor::shares_terminal() const {
  return overseer_.has_user_streams() && ranks_.size() == 1 && ::isatty(STDIN_FILENO) == 1;
}

void Supervisor::start(Rank& rank) {
  const RankPlan& plan = *rank.plan;
  core::SpawnOptions options;
  options.command = plan.command;
  options.environment = rank_environment(plan);
  options.cpus = plan.cores;
  options.open_files = original_open_files();
  options.own_process_group = !shares_terminal();

  // Several readers of one terminal or file would steal from each other: the first rank may read, but not from a
  // terminal.
  const bool may_read =
      overseer_.has_user_streams() && (ranks_.size() == 1 || (plan.local_rank == 0 && ::isatty(STDIN_FILENO) != 1));
  const core::Descriptor null = may_read ? core::Descriptor() : open_null();
  options.stdin_fd = null.get();
  RankOutputs outputs;
  core::Descriptor log;
  if (!plan.log_file.empty()) {
    log = create_log_file(plan.log_file);
    options.stdout_fd = options.stderr_fd = log.get();
  } else if (!inherits_output(plan)) {
    outputs = streams_.open_for(plan.rank);
    options.stdout_fd = outputs.stdout_fd();
    options.stderr_fd = outputs.stderr_fd();
  }
  rank.pid = core::spawn(options);
  rank.is_running = true;
}

// ---- events ----

bool Supervisor::is_finished() const {
  if (state_ != State::kRunning) return !has_children_ || (state_ == State::kKilling && Clock::now() >= deadline_);
  return std::none_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.is_running; });
}

Supervisor::Clock::time_point Supervisor::wake_at() const {
  auto next = overseer_.wake_at().value_or(Clock::time_point::max());
  if (state_ != State::kRunning) next = std::min(next, deadline_);
  if (state_ == State::kKilling) next = std::min(next, next_kill_);
  if (state_ == State::kEnding && say_waiting_at_) next = std::min(next, *say_waiting_at_);
  return next;
}

void Supervisor::wait_for_events() {
  std::vector<Watch> watches = {{signals_->fd(), POLLIN, [] {}}};
  streams_.add_watches(watches);
  overseer_.add_watches(watches);
  wait_for(watches, wake_at());
}

void Supervisor::take_signals() {
  while (const auto signal = signals_->next()) take_signal(*signal);
}

void Supervisor::take_signal(const ReceivedSignal& signal) {
  if (signal.number == SIGCHLD) return;  // reap() looks anyway
  if (signal.number == SIGWINCH) return streams_.resize();
  if (signal.number == SIGTSTP) return suspend_together();
  if (signal.number == SIGUSR1 || signal.number == SIGUSR2) return signal_ranks(signal.number);
  if (signal.number == received_signal_ && Clock::now() - received_at_ < kEcho) return;
  const bool is_first = received_signal_ == 0;
  if (is_first) received_signal_ = signal.number;
  if (is_first) received_at_ = Clock::now();
  if (state_ != State::kRunning) return begin_killing();  // the user is in a hurry
  // A rank in our own process group has got a Ctrl-C already, and a second one would break its clean-up.
  const bool have_it = signal.is_from_terminal && shares_terminal();
  const int passed_on =
      signal.number == SIGALRM ? SIGTERM : signal.number;  // a rank's own alarm may mean another thing
  begin_ending(have_it ? 0 : passed_on, kSignalGrace);
  say_waiting_at_ = Clock::now() + kSilence;
}

void Supervisor::take_demands() {
  while (const auto demand = overseer_.next_demand()) take_demand(*demand);
}

void Supervisor::take_demand(const Demand& demand) {
  switch (demand.kind) {
    case Demand::Kind::kSignal:
      return take_signal({demand.signal, false});
    case Demand::Kind::kSuspend:
      return signal_all(SIGSTOP);
    case Demand::Kind::kResume:
      return signal_all(SIGCONT);
    case Demand::Kind::kEnd:
      if (state_ == State::kRunning) return begin_ending(SIGTERM, kFailureGrace);
      deadline_ = std::min(deadline_, Clock::now() + kFailureGrace);
  }
}

void Supervisor::suspend_together() {
  signal_all(SIGSTOP);
  std::raise(SIGSTOP);
  signal_all(SIGCONT);
}

void Supervisor::reap() {
  std::vector<Rank*> ended;
  while (true) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid < 0 && errno == ECHILD) has_children_ = false;
    if (pid <= 0) break;
    const auto rank =
        std::find_if(ranks_.begin(), ranks_.end(), [&](const Rank& one) { return one.is_running && one.pid == pid; });
    if (rank == ranks_.end()) continue;  // an orphan of a rank
    rank->is_running = false;
    rank->wait_status = status;
    ended.push_back(&*rank);
  }
  note_failures(ended);
  const bool are_ranks_gone =
      std::none_of(ranks_.begin(), ranks_.end(), [](const Rank& one) { return one.is_running; });
  if (state_ == State::kEnding && !ended.empty() && are_ranks_gone) {
    deadline_ = std::min(deadline_, Clock::now() + kFailureGrace);  // what they left has no checkpoint to write
  }
}

// Of ranks that were found together, one that a signal ended is the cause: the others lost their peer.
void Supervisor::note_failures(const std::vector<Rank*>& ended) {
  if (state_ != State::kRunning) return;
  for (const Rank* rank : ended) {
    if (exit_code_of(rank->wait_status) == 0) continue;
    const bool is_likelier =
        first_failure_ != nullptr && WIFSIGNALED(rank->wait_status) && !WIFSIGNALED(first_failure_->wait_status);
    if (first_failure_ == nullptr || is_likelier) first_failure_ = rank;
  }
  if (first_failure_ == nullptr) return;
  overseer_.take_failure(failure_of(*first_failure_));
  begin_ending(SIGTERM, kFailureGrace);
}

// ---- ending ----

void Supervisor::begin_ending(int signal, Clock::duration grace) {
  state_ = State::kEnding;
  deadline_ = Clock::now() + grace;
  if (signal != 0) signal_all(signal);
  signal_all(SIGCONT);  // a stopped process cannot act on the signal
}

void Supervisor::begin_killing() {
  state_ = State::kKilling;
  deadline_ = Clock::now() + kLastPatience;
  next_kill_ = Clock::now() + kKillInterval;
  signal_all(SIGKILL);
}

void Supervisor::check_deadline() {
  const auto now = Clock::now();
  if (state_ == State::kEnding && say_waiting_at_ && now >= *say_waiting_at_) say_what_is_waited_for();
  if (state_ == State::kEnding && now >= deadline_) {
    begin_killing();
  } else if (state_ == State::kKilling && now >= next_kill_) {
    next_kill_ = now + kKillInterval;
    signal_all(SIGKILL);
  }
}

void Supervisor::signal_all(int signal) {
  for (const pid_t pid : descendants_of(::getpid())) ::kill(pid, signal);
}

void Supervisor::signal_ranks(int signal) {
  for (const Rank& rank : ranks_) {
    if (rank.is_running) ::kill(rank.pid, signal);
  }
}

// ---- saying what happened ----

void Supervisor::say_what_is_waited_for() {
  say_waiting_at_.reset();
  std::string running;
  for (const Rank& rank : ranks_) {
    if (rank.is_running) running += concat(running.empty() ? "" : ", ", rank.plan->rank);
  }
  const std::string who = running.empty() ? "processes that ranks have left" : "rank " + running;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(deadline_ - Clock::now()).count();
  overseer_.say(concat("deepspeed: got SIG", sigabbrev_np(received_signal_), ", waiting for ", who, " to end, at most ",
                       seconds, " s more; a second signal kills at once.\n"));
}

void Supervisor::say_what_is_stuck() {
  std::string pids;
  for (const pid_t pid : descendants_of(::getpid())) pids += concat(" ", pid);
  overseer_.say(concat("deepspeed: these processes do not end on SIGKILL (stuck in the kernel?):", pids, "\n"));
}

Failure Supervisor::failure_of(const Rank& rank) {
  const RankPlan& plan = *rank.plan;
  streams_.take_all_of(plan.rank);
  return {.rank = plan.rank,
          .local_rank = plan.local_rank,
          .world_size = plan_.world_size,
          .host = host_name_,
          .pid = rank.pid,
          .command = plan.command,
          .wait_status = rank.wait_status,
          .ended_by = describe_exit(rank.wait_status, {oom_kills_before_, read_oom_kills("/"), shared_memory_bytes()}),
          .lines = plan.log_file.empty() ? streams_.last_lines(plan.rank) : last_lines_of_file(plan.log_file),
          .log_file = plan.log_file.string(),
          .is_on_console = inherits_output(plan)};
}

}  // namespace deepspeed::launcher

// The event loop over hosts.
#include "launcher/controller.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <numeric>

#include "core/log.h"
#include "deepspeed/error.h"
#include "launcher/failure_report.h"
#include "launcher/master_address.h"

namespace deepspeed::launcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using LinkState = HostLink::State;

constexpr seconds kStartPatience{60};           // to connect; ssh itself gives up earlier
constexpr milliseconds kFailurePatience{4000};  // agents kill after 2 s; 5 in all is the promise
constexpr seconds kSignalPatience{36};          // agents kill after 30 s
constexpr milliseconds kKillPatience{7000};     // agents give up after 5 s
constexpr milliseconds kLastPatience{500};      // for the exit of what was cut off
constexpr milliseconds kEcho{300};              // one Ctrl-C or `timeout` may come twice
constexpr milliseconds kSameMoment{200};        // a rank that lost its peer ends this soon after it
constexpr int64_t kCreditBytes = 1 << 20;       // lines of one host on their way
constexpr int kFailedExit = 1;
constexpr int kRefusedExit = 2;

int world_size_of(const std::vector<Host>& hosts) {
  int size = 0;
  for (const Host& host : hosts) size += static_cast<int>(host.slots.size());
  return size;
}

std::vector<std::string> host_of_ranks(const std::vector<Host>& hosts) {
  std::vector<std::string> names;
  for (const Host& host : hosts) names.insert(names.end(), host.slots.size(), host.name);
  return names;
}

bool is_by_signal(const std::optional<Failure>& failure) { return !failure || WIFSIGNALED(failure->wait_status); }

}  // namespace

Controller::Controller(ControllerSetup setup) : setup_(std::move(setup)) {
  signals_ = std::make_unique<SignalInbox>(
      std::vector<int>{SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGTSTP, SIGUSR1, SIGUSR2});
  console_ = std::make_unique<Console>(STDOUT_FILENO, STDERR_FILENO, 0);
  for (size_t i = 0; i < setup_.order.hosts.size(); ++i) {
    links_.push_back(std::make_unique<HostLink>(setup_.order.hosts[i], setup_.commands[i], setup_.has_local_agents));
  }
  deadline_ = Clock::now() + kStartPatience;
}

Controller::~Controller() = default;

Outcome Controller::run() {
  while (!is_finished()) {
    wait_for_events();
    take_signals();
    reap();
    for (const auto& link : links_) take_frames(*link);
    console_->release_lines();
    advance();
    give_credit();
    check_deadline();
  }
  console_->finish_lines();
  const int exit_code = report();
  signals_.reset();  // from here on Ctrl-C ends us as it ends any program
  console_->flush();
  return {.exit_code = exit_code,
          .was_started = was_started_,
          .is_by_signal = num_signals_ > 0,
          .reason = reason(),
          .lost_hosts = lost_hosts_};
}

// ---- events ----

Controller::Clock::time_point Controller::wake_at() const {
  auto next = state_ == State::kRunning ? Clock::time_point::max() : deadline_;
  for (const auto& link : links_) {
    const bool beats = link->state > LinkState::kConnecting && link->state < LinkState::kDone;
    if (beats) next = std::min(next, link->channel().next_beat());
  }
  if (const auto due = console_->wake_at()) next = std::min(next, *due);
  return next;
}

void Controller::wait_for_events() {
  std::vector<Watch> watches = {{signals_->fd(), POLLIN, [] {}}};
  for (const auto& link : links_) link->add_watches(watches);
  console_->add_watches(watches);
  wait_for(watches, wake_at());
}

void Controller::take_signals() {
  while (const auto signal = signals_->next()) take_signal(*signal);
}

void Controller::take_signal(const ReceivedSignal& signal) {
  if (signal.number == SIGCHLD) return;  // reap() looks anyway
  if (signal.number == SIGTSTP) return suspend_together();
  if (signal.number == SIGUSR1 || signal.number == SIGUSR2) {
    return send_all(FrameKind::kSignal, encode_number(signal.number));
  }
  if (signal.number == received_signal_ && Clock::now() - received_at_ < kEcho) return;
  ++num_signals_;
  if (num_signals_ == 1 && state_ != State::kEnding) received_signal_ = signal.number;
  received_at_ = Clock::now();
  if (!was_started_ || num_signals_ > 2) {
    begin_ending({});
    return;
  }
  const bool is_hurry = state_ == State::kEnding;
  begin_ending(is_hurry ? Clock::duration(kKillPatience) : kSignalPatience);
  send_all(FrameKind::kSignal, encode_number(signal.number));
}

void Controller::suspend_together() {
  send_suspension(FrameKind::kSuspend);
  const auto patience_ends = Clock::now() + kLastPatience;
  const auto is_sent = [&] {
    return std::all_of(links_.begin(), links_.end(), [](const auto& link) { return link->channel().is_drained(); });
  };
  while (!is_sent() && Clock::now() < patience_ends) {
    std::vector<Watch> watches;
    for (const auto& link : links_) link->channel().add_watches(watches);
    wait_for(watches, patience_ends);
  }
  std::raise(SIGSTOP);
  send_suspension(FrameKind::kResume);
}

// Agents whose ranks are gone must not take our sleep for a loss either: their last lines wait.
void Controller::send_suspension(FrameKind kind) {
  for (const auto& link : links_) {
    if (link->state == LinkState::kRunning || link->state == LinkState::kEnded) link->channel().send(kind);
  }
}

void Controller::reap() {
  int status = 0;
  for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0; pid = ::waitpid(-1, &status, WNOHANG)) {
    for (const auto& link : links_) {
      if (link->pid() == pid) link->note_exit(status);
    }
  }
}

void Controller::take_frames(HostLink& link) {
  show_error_lines(link);
  try {
    while (link.state < LinkState::kDone) {
      const auto frame = link.channel().next();
      if (!frame) break;
      take(link, *frame);
    }
  } catch (const ValueError& error) {
    link.note_nonsense(error.what());
  }
  if (link.is_lost()) lose(link);
}

// Before the agent has greeted, what ssh and the login shell say only matters if they fail.
void Controller::show_error_lines(HostLink& link) {
  if (link.state == LinkState::kConnecting || link.state == LinkState::kLost) return;
  for (const std::string& line : link.take_error_lines()) {
    console_->say(concat("[", link.host().name, "] ", line, "\n"));
  }
}

void Controller::take(HostLink& link, const Frame& frame) {
  switch (frame.kind) {
    case FrameKind::kHello:
      link.hello = decode_hello(frame.payload);
      link.take_error_lines();
      link.state = LinkState::kGreeted;
      if (link.hello.version != DS_VERSION) {
        link.refusal = concat("[launcher] its deepspeed is version ", link.hello.version, ", here it is ", DS_VERSION,
                              ". Install the same on every host.");
      }
      return;
    case FrameKind::kReady:
      link.state = LinkState::kReady;
      if (!frame.payload.empty()) link.versions = decode_versions(frame.payload);
      return;
    case FrameKind::kRefused:
      link.refusal = frame.payload;
      return;
    case FrameKind::kLine:
      return take_line(link, frame);
    case FrameKind::kSay:
      return console_->say(concat("[", link.host().name, "] ", frame.payload));
    case FrameKind::kFailure: {
      Failure failure = decode_failure(frame.payload);
      failure.host = link.host().name;
      return note({&link, std::move(failure), Clock::now()});
    }
    case FrameKind::kEnded:
      return take_end(link, static_cast<int>(decode_number(frame.payload)));
    case FrameKind::kLast:
      link.state = LinkState::kDone;
      return;
    default:
      throw ValueError(concat("[launcher] a frame of kind ", static_cast<int>(frame.kind), " from an agent"));
  }
}

void Controller::take_line(HostLink& link, const Frame& frame) {
  const RankLine line = decode_line(frame.payload);
  const int first = link.first_rank();
  DS_CHECK(line.source.rank >= first && line.source.rank < first + static_cast<int>(link.host().slots.size()),
           ValueError, "[launcher] a line of rank ", line.source.rank, ", which is not on this host");
  console_->write(line.source, {line.text, line.end});
  link.taken_bytes += static_cast<int64_t>(frame.payload.size());
}

void Controller::take_end(HostLink& link, int exit_code) {
  link.state = LinkState::kEnded;
  link.ranks_exit_code = exit_code;
  // Its own failure came before; else somebody has signalled its agent.
  if (exit_code != 0 && state_ == State::kRunning) note({&link, std::nullopt, Clock::now()});
}

void Controller::give_credit() {
  if (console_->is_full(0) || console_->is_full(1)) return;
  for (const auto& link : links_) {
    if (link->taken_bytes == 0 || link->state >= LinkState::kDone) continue;
    link->channel().send(FrameKind::kCredit, encode_number(std::exchange(link->taken_bytes, 0)));
  }
}

// ---- starting ----

bool Controller::all_at_least(HostLink::State state) const {
  return std::all_of(links_.begin(), links_.end(), [&](const auto& link) {
    return link->state >= state || !link->refusal.empty() || (link->state == LinkState::kLost && !link->is_running());
  });
}

void Controller::advance() {
  const bool is_connected = state_ == State::kConnecting && all_at_least(LinkState::kGreeted);
  const bool is_prepared = state_ == State::kPreparing && all_at_least(LinkState::kReady);
  if (!is_connected && !is_prepared) return;
  if (is_prepared) compare_versions();
  const bool has_fault =
      std::any_of(links_.begin(), links_.end(), [&](const auto& link) { return is_at_fault(*link); });
  if (has_fault) return call_off();
  if (is_connected) return send_orders();
  start();
}

bool Controller::is_at_fault(const HostLink& link) const {
  const LinkState expected = state_ == State::kConnecting ? LinkState::kGreeted : LinkState::kReady;
  return !link.refusal.empty() || link.state == LinkState::kLost || link.state < expected;
}

// Ranks of different versions fail much later, with errors that say nothing of it.
void Controller::compare_versions() {
  std::vector<PythonVersions> hosts;
  for (const auto& link : links_) {
    hosts.push_back(link->versions.value_or(PythonVersions{.fault = "not asked"}));
    if (link->versions && !link->versions->fault.empty()) {
      core::log_warning("host ", link->host().name, ": the versions of its Python ", link->versions->interpreter,
                        " are not known: ", link->versions->fault);
    }
  }
  for (const VersionDifference& one : find_differences(hosts)) {
    const auto in_words = [](const std::string& version) { return version.empty() ? "not there" : version; };
    std::string& refusal = links_[one.host]->refusal;
    refusal += concat(refusal.empty() ? "[launcher] " : " ", "its ", one.what, " is ", in_words(one.version), ", on ",
                      one.num_usual, " of ", one.num_hosts, " hosts it is ", in_words(one.usual), ".");
  }
  for (const auto& link : links_) {
    if (link->state != LinkState::kReady || link->refusal.empty()) continue;
    link->refusal += " Install the same on every host, or start anyway with --no_ssh_check.";
  }
}

// All faults of all hosts come in one report.
void Controller::call_off() {
  size_t num_faults = 0;
  faults_exit_code_ = kFailedExit;
  for (const auto& link : links_) {
    if (!is_at_fault(*link)) continue;
    ++num_faults;
    if (!link->refusal.empty()) {
      faults_exit_code_ = kRefusedExit;
    } else {
      lost_hosts_.push_back(link->host().name);
    }
    const std::string why = link->refusal.empty() ? link->describe_loss() : link->refusal;
    faults_ += concat("  ", link->host().name, ": ", why, "\n");
  }
  faults_ = concat("deepspeed: error: ", num_faults, " of ", links_.size(),
                   " hosts cannot take part, so nothing was started:\n", faults_);
  begin_ending({});
}

void Controller::place_ranks() {
  int first_rank = 0;
  for (size_t i = 0; i < links_.size(); ++i) {
    Host& host = setup_.order.hosts[i];
    const int num_gpus = links_[i]->hello.num_gpus;
    if (setup_.gpus_decide_slots && num_gpus > 0) {
      host.slots.resize(static_cast<size_t>(num_gpus));
      std::iota(host.slots.begin(), host.slots.end(), 0);
    }
    links_[i]->place(host, first_rank);
    first_rank += static_cast<int>(host.slots.size());
  }
  console_->name_hosts(host_of_ranks(setup_.order.hosts));
  if (setup_.collapses_lines) console_->collapse(first_rank);
}

void Controller::send_orders() {
  place_ranks();
  StartOrder& order = setup_.order;
  std::vector<Hello> hellos;
  for (const auto& link : links_) hellos.push_back(link->hello);
  if (order.master_addr.empty()) order.master_addr = choose_master_address(hellos);
  if (order.master_port == 0) order.master_port = hellos.front().free_port;
  core::log_info(links_.size(), " hosts, ", world_size_of(order.hosts), " ranks, meeting at ", order.master_addr, ":",
                 order.master_port);
  for (size_t i = 0; i < links_.size(); ++i) {
    order.host_index = static_cast<int>(i);
    links_[i]->channel().send(FrameKind::kOrder, encode_order(order));
  }
  state_ = State::kPreparing;
  deadline_ = Clock::now() + setup_.plan_patience;
}

void Controller::start() {
  for (const auto& link : links_) {
    if (setup_.shows_pids) console_->say(concat("host ", link->host().name, ": agent pid ", link->hello.pid, "\n"));
    link->channel().send(FrameKind::kStart);
    link->channel().send(FrameKind::kCredit, encode_number(kCreditBytes));
    link->state = LinkState::kRunning;
  }
  was_started_ = true;
  state_ = State::kRunning;
}

// ---- ending ----

void Controller::note(Cause cause) {
  if (state_ == State::kEnding && received_signal_ != 0) return;
  if (cause_) {
    const bool is_likelier =
        is_by_signal(cause.failure) && !is_by_signal(cause_->failure) && cause.at - cause_->at < kSameMoment;
    if (is_likelier) cause_ = std::move(cause);
    return;
  }
  cause_ = std::move(cause);
  send_all(FrameKind::kEnd);
  begin_ending(kFailurePatience);
}

void Controller::lose(HostLink& link) {
  const bool is_early = link.state < LinkState::kEnded;
  if (was_started_ && !is_early) {
    console_->say(concat("deepspeed: host ", link.host().name,
                         ": its ranks have ended, but their last lines are missing: ", link.describe_loss(), "\n"));
  }
  link.state = LinkState::kLost;
  if (!link.channel().is_at_end()) link.kill();  // it hangs
  if (!was_started_ || !is_early) return;
  lost_hosts_.push_back(link.host().name);
  note({&link, std::nullopt, Clock::now()});
}

void Controller::begin_ending(Clock::duration patience) {
  state_ = State::kEnding;
  deadline_ = Clock::now() + patience;
}

void Controller::send_all(FrameKind kind, std::string_view payload) {
  for (const auto& link : links_) {
    if (link->state == LinkState::kRunning) link->channel().send(kind, payload);
  }
}

void Controller::check_deadline() {
  if (state_ == State::kRunning || Clock::now() < deadline_) return;
  if (state_ != State::kEnding) {
    for (const auto& link : links_)
      link->note_lateness(state_ == State::kConnecting ? kStartPatience : setup_.plan_patience);
    call_off();
  }
  for (const auto& link : links_) {
    // Only lines are to come, which wait for our reader, until the user has asked twice.
    if (link->state == LinkState::kEnded && num_signals_ < 2) continue;
    link->kill();
  }
  deadline_ = Clock::now() + kLastPatience;
}

bool Controller::is_finished() const {
  return std::all_of(links_.begin(), links_.end(), [&](const auto& link) {
    if (link->state == LinkState::kDone) return true;
    return link->state == LinkState::kLost && !link->is_running() && (state_ == State::kEnding || was_started_);
  });
}

// ---- saying what happened ----

int Controller::report() {
  if (received_signal_ != 0) {
    console_->say(concat("deepspeed: got SIG", sigabbrev_np(received_signal_), ", ",
                         was_started_ ? "all ranks were ended.\n" : "nothing was started.\n"));
    return 128 + received_signal_;
  }
  if (!was_started_) {
    console_->say(faults_);
    return faults_exit_code_;
  }
  if (!cause_) return 0;
  console_->say(describe(*cause_));
  if (cause_->failure) return exit_code_of(cause_->failure->wait_status);
  if (cause_->link->ranks_exit_code != 0) return cause_->link->ranks_exit_code;
  const int exit_code = cause_->link->signal_exit_code();
  return exit_code != 0 ? exit_code : kFailedExit;
}

std::string Controller::reason() const {
  if (!was_started_) return concat(lost_hosts_.size(), " of ", links_.size(), " hosts cannot take part");
  if (!cause_) return {};
  return cause_->failure ? failure_in_short(*cause_->failure) : concat("host ", cause_->link->host().name, " was lost");
}

std::string Controller::describe(const Cause& cause) const {
  if (cause.failure) return describe_failure(*cause.failure);
  const HostLink& link = *cause.link;
  std::string why = link.refusal.empty() ? link.describe_loss() : link.refusal;
  if (link.ranks_exit_code > 0) why = concat("a signal to its agent (exit code ", link.ranks_exit_code, ")");
  return concat("deepspeed: host ", link.host().name, " was lost first; all ranks were ended.\n  host      ",
                link.host().name, "\n  agent     pid ", link.hello.pid, "\n  ranks     ", link.ranks_in_words(), " of ",
                world_size_of(setup_.order.hosts), "\n  ended by  ", why, "\n");
}

}  // namespace deepspeed::launcher

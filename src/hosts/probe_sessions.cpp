// One loop over all sessions.
#include "hosts/probe_sessions.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "deepspeed/error.h"
#include "hosts/probe_messages.h"
#include "launcher/failure_report.h"

namespace deepspeed::hosts {
namespace {

double unix_now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

}  // namespace

struct ProbeSessions::Session {
  std::string host;
  bool has_greeted = false;
  bool is_asked = false;  // and has not answered yet
  std::deque<std::string> requests;
  std::vector<ProbeAnswer> answers;
  double sent_unix_s = 0;
  launcher::LastLines last_errors;
  std::optional<NoAnswer> failure;
  std::unique_ptr<RemoteProcess> process;

  bool is_done() const { return failure || (has_greeted && !is_asked && requests.empty()); }

  void ask_next() {
    if (!has_greeted || is_asked || requests.empty() || failure) return;
    is_asked = true;
    sent_unix_s = unix_now();
    process->send(requests.front() + "\n");
    requests.pop_front();
  }

  void fail(NoAnswer why) {
    if (!failure) failure = std::move(why);
    process->kill();
  }
};

ProbeSessions::ProbeSessions(const std::vector<ProbeTarget>& targets, std::string version)
    : version_(std::move(version)), started_at_(Clock::now()) {
  for (const ProbeTarget& target : targets) {
    auto session = std::make_unique<Session>();
    session->host = target.host;
    session->process = std::make_unique<RemoteProcess>(
        target.command, [this, one = session.get()](bool is_error, const launcher::Line& line) {
          take_line(*one, is_error, line.text);
        });
    sessions_.push_back(std::move(session));
  }
}

ProbeSessions::~ProbeSessions() = default;

const std::optional<NoAnswer>& ProbeSessions::failure(size_t host) const { return sessions_[host]->failure; }

// A login shell may say something before the probe does.
void ProbeSessions::take_line(Session& session, bool is_error, std::string_view line) {
  if (is_error) return session.last_errors.add({line, launcher::LineEnd::kNewline});
  if (session.failure) return;
  if (!session.has_greeted) {
    if (!line.starts_with(kProbePreamble)) return;
    const std::string_view version = line.substr(kProbePreamble.size());
    if (version != version_) return session.fail(other_version(std::string(version), version_));
    session.has_greeted = true;
    return session.ask_next();
  }
  if (!session.is_asked) return;
  session.answers.push_back({std::string(line), session.sent_unix_s, unix_now()});
  session.is_asked = false;
  session.ask_next();
}

void ProbeSessions::fail_if_over(Session& session) {
  if (session.failure || !session.process->is_over()) return;
  session.fail(explain_no_answer({.host = session.host,
                                  .exit_code = session.process->exit_code(),
                                  .error_lines = session.last_errors.lines(),
                                  .program = session.has_greeted ? "" : kProbeProgram}));
}

std::vector<std::vector<ProbeAnswer>> ProbeSessions::ask(const std::vector<std::vector<std::string>>& requests,
                                                         Clock::time_point deadline) {
  DS_INTERNAL_CHECK(requests.size() == sessions_.size(), "requests for other hosts than there are");
  const auto asked_at = Clock::now();
  for (size_t i = 0; i < sessions_.size(); ++i) {
    Session& session = *sessions_[i];
    session.answers.clear();
    session.requests.assign(requests[i].begin(), requests[i].end());
    session.ask_next();
  }
  const auto is_waiting = [](const auto& session) { return !session->is_done(); };
  while (Clock::now() < deadline && std::any_of(sessions_.begin(), sessions_.end(), is_waiting)) {
    std::vector<launcher::Watch> watches;
    for (const auto& session : sessions_) session->process->add_watches(watches);
    launcher::wait_for(watches, deadline);
    for (const auto& session : sessions_) fail_if_over(*session);
  }
  std::vector<std::vector<ProbeAnswer>> answers;
  const auto seconds_since = [](Clock::time_point then) {
    return std::chrono::duration<double>(Clock::now() - then).count();
  };
  for (const auto& session : sessions_) {
    if (!session->is_done() && session->has_greeted) {
      session->fail(slow_probe(seconds_since(asked_at)));
    } else if (!session->is_done()) {
      session->fail(explain_no_answer({.host = session->host,
                                       .timed_out = true,
                                       .patience_s = std::floor(seconds_since(started_at_)),
                                       .error_lines = session->last_errors.lines()}));
    }
    answers.push_back(std::move(session->answers));
  }
  return answers;
}

}  // namespace deepspeed::hosts

// Asks all hosts at once, lets them meet, measures, and leaves the judgement to findings.h.
#include "hosts/ds_check.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <iostream>
#include <optional>

#include "deepspeed/error.h"
#include "hosts/check_report.h"
#include "hosts/probe.h"
#include "hosts/probe_sessions.h"
#include "hosts/probe_targets.h"
#include "hosts/tool_flags.h"
#include "launcher/master_address.h"
#include "launcher/messages.h"
#include "plan/model_shape.h"

namespace deepspeed::hosts {
namespace {

constexpr const char* kFooter = R"(Examples:
  ds_check --hostfile hostfile.txt
      everything that keeps these hosts from training together, of all hosts at once, in one report
  ds_check --hostfile hostfile.txt --bandwidth --model 1.3b
      with the bandwidth and latency of each pair, and what a ZeRO step of that model costs on this network
  ds_check --hostfile hostfile.txt --json | jq '.findings[]'

Looked at: is each host reached by ssh without a password; versions of Python, torch, deepspeed, CUDA and NCCL; clocks; GPUs
and drivers; can the first host listen on the port, do all others reach it, over which interface; memory and /dev/shm.
The program has to be installed at the same place on every host; ds_hosts needs nothing there.
Exit code 1 if there is an error; a warning alone is none.)";

constexpr double kMeetingPatience_s = 1.2;
constexpr int kLargestPort = 65535;

struct Options {
  HostFlags hosts;
  SshFlags ssh;
  std::string master_addr;
  int master_port = 0;
  bool bandwidth = false;
  double stream_s = 0.5;
  std::string model = "1.3b";
  bool json = false;
};

std::optional<std::string> parse(const ToolCall& call, Options& options) {
  ToolFlags flags("ds_check", "Checks hosts before a launch: reachable, alike, connected.",
                  "ds_check --hostfile FILE [flags]", kFooter);
  CLI::App& app = flags.app();
  add_host_flags(app, options.hosts, "-H,--hostfile");
  const std::string meeting = "How hosts meet";
  app.add_option("--master_addr", options.master_addr, "Address of the first host (default: found, as a launch does)")
      ->group(meeting)
      ->type_name("ADDRESS");
  app.add_option("--master_port", options.master_port, "Port to try there (default: a free one, as a launch takes)")
      ->group(meeting)
      ->type_name("PORT")
      ->check(CLI::Range(1, kLargestPort));
  app.add_flag("--bandwidth", options.bandwidth, "Measure each pair, one direction at a time; disjoint pairs at once")
      ->group(meeting);
  app.add_option("--seconds", options.stream_s, "How long each stream is measured (default: 0.5)")
      ->group(meeting)
      ->type_name("S")
      ->check(CLI::Range(0.05, 30.0));
  app.add_option("--model", options.model, "Model of the advice, as of ds_plan (default: 1.3b)")
      ->group(meeting)
      ->type_name("NAME");
  add_ssh_flags(app, options.ssh);
  app.add_flag("--json", options.json, "JSON in place of the tables")->group("Output");
  return flags.parse(call.arguments);
}

std::string make_token() {
  unsigned char bytes[kTokenBytes / 2];
  if (::getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) throw IoError("[hosts] random bytes", "getrandom", errno);
  std::string token;
  for (const unsigned char byte : bytes) {
    token += "0123456789abcdef"[byte >> 4];
    token += "0123456789abcdef"[byte & 15];
  }
  return token;
}

class HostCheck {
 public:
  HostCheck(const ToolCall& call, const Options& options)
      : options_(options),
        hosts_(read_hosts(options.hosts)),
        sessions_(probe_targets(call, options.ssh, hosts_), DS_VERSION),
        token_(make_token()) {}

  CheckReport run() {
    ask_for_facts();
    meet_at_first();
    if (options_.bandwidth) measure_pairs();
    report_.findings = find_faults(report_.check);
    return std::move(report_);
  }

 private:
  using Lines = std::vector<std::vector<std::string>>;

  static ProbeSessions::Clock::time_point in_seconds(double seconds) {
    return ProbeSessions::Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
  }
  Lines nothing() const { return Lines(hosts_.size()); }
  CheckedHost& host(size_t i) { return report_.check.hosts[i]; }

  // The first answer, or one whose fault says why there is none.
  template <class Answer>
  static Answer read_or_fault(const std::vector<ProbeAnswer>& answers, Answer (*decode)(std::string_view)) {
    try {
      return answers.empty() ? Answer{.fault = "it stopped answering over ssh"} : decode(answers.front().line);
    } catch (const ValueError& error) {
      return Answer{.fault = error.what()};
    }
  }

  void read_facts_of(size_t i, const std::vector<ProbeAnswer>& answers) {
    try {
      const ProbeAnswer& clock = answers.at(0);
      host(i).clock_ahead_s = decode_clock(clock.line) - (clock.sent_unix_s + clock.received_unix_s) / 2;
      host(i).clock_uncertain_s = (clock.received_unix_s - clock.sent_unix_s) / 2;
      host(i).facts = decode_facts(answers.at(1).line);
    } catch (const ValueError& error) {
      host(i).no_answer = senseless_answer(error.what());
    }
  }

  void ask_for_facts() {
    Lines requests = nothing();
    for (auto& lines : requests) lines = {encode_request(ClockRequest{}), encode_request(FactsRequest{})};
    const auto answers = sessions_.ask(requests, in_seconds(options_.ssh.timeout_s));
    for (size_t i = 0; i < hosts_.size(); ++i) {
      report_.check.hosts.push_back({.host = hosts_[i].name, .num_slots = static_cast<int>(hosts_[i].slots.size())});
      host(i).no_answer = sessions_.failure(i);
      if (!host(i).no_answer) read_facts_of(i, answers[i]);
    }
  }

  /// Under which address the other hosts most likely reach this one.
  std::string address_of(size_t i) {
    std::vector<launcher::Hello> hellos;
    const auto add = [&](const HostFacts& facts) {
      hellos.push_back({.addresses = facts.addresses,
                        .caller_address = facts.ssh_client_address,
                        .called_address = facts.ssh_server_address});
    };
    add(host(i).facts);
    for (size_t j = 0; j < hosts_.size(); ++j) {
      if (j != i && !host(j).no_answer) add(host(j).facts);
    }
    return launcher::choose_master_address(hellos);
  }

  std::vector<Listening> listen(const std::vector<size_t>& places, int port) {
    Lines requests = nothing();
    for (const size_t i : places) requests[i] = {encode_request(ListenRequest{port, token_})};
    const auto answers = sessions_.ask(requests, in_seconds(options_.ssh.timeout_s));
    std::vector<Listening> listenings(hosts_.size());
    for (const size_t i : places) {
      listenings[i] = read_or_fault(answers[i], decode_listening);
    }
    return listenings;
  }

  // At the first host that still answers when it is asked to listen.
  std::optional<size_t> open_meeting_point() {
    Check& check = report_.check;
    while (const auto first = meeting_host(check)) {
      const Listening listening = listen({*first}, options_.master_port)[*first];
      host(*first).no_answer = sessions_.failure(*first);
      if (host(*first).no_answer) continue;
      check.master_addr = options_.master_addr.empty() ? address_of(*first) : options_.master_addr;
      check.port_fault = listening.fault;
      check.master_port = listening.fault.empty() ? listening.port : options_.master_port;
      return first;
    }
    return std::nullopt;
  }

  void meet_at_first() {
    const auto first = open_meeting_point();
    const Check& check = report_.check;
    if (!first || !check.port_fault.empty()) return;
    Lines requests = nothing();
    for (size_t i = 0; i < hosts_.size(); ++i) {
      if (i == *first || host(i).no_answer) continue;
      requests[i] = {encode_request(MeetRequest{
          .address = check.master_addr, .port = check.master_port, .token = token_, .patience_s = kMeetingPatience_s})};
    }
    const auto answers = sessions_.ask(requests, in_seconds(kMeetingPatience_s + options_.ssh.timeout_s));
    for (size_t i = 0; i < hosts_.size(); ++i) {
      if (!requests[i].empty()) host(i).meeting = read_or_fault(answers[i], decode_meeting);
    }
  }

  void measure_pairs() {
    report_.has_speeds = true;
    std::vector<size_t> places;
    for (size_t i = 0; i < hosts_.size(); ++i) {
      if (!host(i).no_answer && !sessions_.failure(i)) places.push_back(i);
    }
    const auto listenings = listen(places, 0);
    for (const auto& round : plan_rounds(places.size())) {
      Lines requests = nothing();
      for (const auto& [from, to] : round) {
        const size_t target = places[to];
        if (!listenings[target].fault.empty()) continue;
        requests[places[from]] = {encode_request(MeetRequest{.address = address_of(target),
                                                             .port = listenings[target].port,
                                                             .token = token_,
                                                             .patience_s = kMeetingPatience_s,
                                                             .stream_s = options_.stream_s})};
      }
      const auto answers = sessions_.ask(requests, in_seconds(options_.stream_s + kMeetingPatience_s + 4));
      for (const auto& [from, to] : round) {
        take_speed(places[from], places[to], listenings[places[to]], answers[places[from]]);
      }
    }
    advise_about_slowest();
  }

  void take_speed(size_t from, size_t to, const Listening& listening, const std::vector<ProbeAnswer>& answers) {
    const Meeting meeting = listening.fault.empty() ? read_or_fault(answers, decode_meeting)
                                                    : Meeting{.fault = concat("it cannot listen: ", listening.fault)};
    if (meeting.fault.empty()) {
      report_.speeds.push_back({from, to, meeting.bytes_per_s, meeting.round_trip_s / 2});
      return;
    }
    report_.check.broken_pairs.push_back({from, to, meeting.fault});
  }

  void advise_about_slowest() {
    const PairSpeed* pair = slowest(report_.speeds);
    if (pair == nullptr || pair->bytes_per_s <= 0) return;
    int num_answering = 0;
    int ranks_per_host = 1;
    bool on_gpus = false;
    for (const CheckedHost& one : report_.check.hosts) {
      if (one.no_answer) continue;
      ++num_answering;
      ranks_per_host = std::max(ranks_per_host, one.num_slots);
      on_gpus = on_gpus || !one.facts.gpus.empty();
    }
    report_.advice = advise({.model = options_.model,
                             .num_hosts = num_answering,
                             .ranks_per_host = ranks_per_host,
                             .on_gpus = on_gpus,
                             .bytes_per_s = pair->bytes_per_s,
                             .latency_s = pair->latency_s});
  }

  const Options& options_;
  std::vector<launcher::Host> hosts_;
  ProbeSessions sessions_;
  std::string token_;
  CheckReport report_;
};

}  // namespace

int run_ds_check(const ToolCall& call) {
  if (call.arguments == std::vector<std::string>{kProbeFlag}) return run_probe(call);
  Options options;
  if (const auto help = parse(call, options)) {
    std::cout << *help << std::flush;
    return 0;
  }
  plan::find_shape(options.model);  // its error names the models, before anything is measured
  const CheckReport report = HostCheck(call, options).run();
  std::cout << (options.json ? check_json(report) : check_text(report)) << std::flush;
  const bool has_error = std::any_of(report.findings.begin(), report.findings.end(),
                                     [](const Finding& finding) { return finding.severity == Severity::kError; });
  return has_error ? kFaultsExit : 0;
}

}  // namespace deepspeed::hosts

// What is wrong with a set of hosts: from their facts to sentences. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hosts/host_facts.h"
#include "hosts/no_answer.h"
#include "hosts/probe_messages.h"

namespace deepspeed::hosts {

/// One host of a check. Where it gave no answer nothing but `host`, `slots` and `no_answer` is filled in.
struct CheckedHost {
  std::string host;  ///< as the hostfile has it
  int num_slots = 0;
  std::optional<NoAnswer> no_answer = {};
  HostFacts facts = {};
  double clock_ahead_s = 0;             ///< of this host's clock
  double clock_uncertain_s = 0;         ///< the other way or this one
  std::optional<Meeting> meeting = {};  ///< with the first host that answered; absent for that one, and if not tried
};

/// A stream that could not be measured.
struct BrokenPair {
  size_t from = 0;
  size_t to = 0;
  std::string fault;
};

struct Check {
  std::vector<CheckedHost> hosts;
  std::vector<BrokenPair> broken_pairs = {};
  std::string master_addr = {};
  int master_port = 0;          ///< with a fault the one that was asked for; 0: any
  std::string port_fault = {};  ///< why the first host that answered cannot listen there; empty: it can
};

enum class Severity {
  kError,    ///< a launch fails, or hangs
  kWarning,  ///< it may start, and is slower, or fails later
};

struct Finding {
  Severity severity = Severity::kError;
  std::string host;    ///< as the hostfile has it
  std::string what;    ///< a sentence without its full stop
  std::string remedy;  ///< sentences; empty: none is known

  bool operator==(const Finding&) const = default;
};

/// The hosts' place in the check that the others meet at: the first that answered; nothing where none has.
std::optional<size_t> meeting_host(const Check& check);

/// Errors first, then in the order of hosts.
std::vector<Finding> find_faults(const Check& check);

}  // namespace deepspeed::hosts

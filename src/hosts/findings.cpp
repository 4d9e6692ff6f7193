// One function a kind of fault, each over all hosts.
#include "hosts/findings.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "deepspeed/error.h"
#include "hosts/table.h"
#include "launcher/master_address.h"

namespace deepspeed::hosts {
namespace {

constexpr double kMostClockSkew_s = 1;
constexpr double kLeastFreePart = 0.1;

using Findings = std::vector<Finding>;

template <class Visit>
void for_each_answer(const Check& check, Visit&& visit) {
  for (size_t i = 0; i < check.hosts.size(); ++i) {
    if (!check.hosts[i].no_answer) visit(i, check.hosts[i]);
  }
}

void find_unreachable(const Check& check, Findings& findings) {
  for (const CheckedHost& host : check.hosts) {
    if (host.no_answer) {
      findings.push_back({Severity::kError, host.host, host.no_answer->what, host.no_answer->remedy});
    }
  }
}

std::string in_words(const std::string& version) { return version.empty() ? "not installed" : version; }

void find_versions(const Check& check, Findings& findings) {
  std::vector<launcher::PythonVersions> versions;
  std::vector<size_t> places;
  for_each_answer(check, [&](size_t i, const CheckedHost& host) {
    versions.push_back(host.facts.python);
    places.push_back(i);
    if (!host.facts.python.fault.empty()) {
      findings.push_back(
          {Severity::kError, host.host,
           concat("its Python ", host.facts.python.interpreter, " does not answer: ", host.facts.python.fault),
           "Does `python3 --version` work there?"});
    } else if (host.facts.version_of("torch").empty()) {
      findings.push_back({Severity::kError, host.host,
                          concat("there is no torch in its Python ", host.facts.python.interpreter),
                          "Install torch and deepspeed there, in the same version as on the other hosts."});
    }
  });
  for (const auto& one : launcher::find_differences(versions)) {
    const CheckedHost& host = check.hosts[places[one.host]];
    findings.push_back({Severity::kError, host.host,
                        concat(one.what, " is ", in_words(one.version), ", but ", in_words(one.usual), " on ",
                               one.num_usual, " of ", one.num_hosts, " hosts"),
                        concat("Install the same on every host (Python there: ", host.facts.python.interpreter, ").")});
  }
}

// Against the middle one of all clocks, so that the one that is off is named, and not the rest.
void find_clocks(const Check& check, Findings& findings) {
  std::vector<double> ahead;
  for_each_answer(check, [&](size_t, const CheckedHost& host) { ahead.push_back(host.clock_ahead_s); });
  if (ahead.size() < 2) return;
  const auto middle = ahead.begin() + static_cast<std::ptrdiff_t>((ahead.size() - 1) / 2);
  std::nth_element(ahead.begin(), middle, ahead.end());
  for_each_answer(check, [&](size_t, const CheckedHost& host) {
    const double off = host.clock_ahead_s - *middle;
    if (std::abs(off) <= kMostClockSkew_s + host.clock_uncertain_s) return;
    findings.push_back(
        {Severity::kWarning, host.host,
         concat("its clock is ", rounded(std::abs(off)), " s ", off > 0 ? "ahead of" : "behind", " the others'"),
         "Switch on time synchronization there: timedatectl set-ntp true"});
  });
}

void find_meetings(const Check& check, Findings& findings) {
  const auto first = meeting_host(check);
  if (!first) return;
  const CheckedHost& master = check.hosts[*first];
  const std::string place = concat(check.master_addr, ":", check.master_port);
  if (!check.port_fault.empty() && check.master_port == 0) {
    findings.push_back({Severity::kError, master.host, concat("it cannot listen on any port: ", check.port_fault), ""});
  } else if (!check.port_fault.empty()) {
    findings.push_back({Severity::kError, master.host,
                        concat("its port ", check.master_port, " is not free: ", check.port_fault),
                        concat("Who has it: ss -ltnp 'sport = :", check.master_port,
                               "'. Or leave --master_port out: a launch then finds a free one.")});
  }
  for_each_answer(check, [&](size_t, const CheckedHost& host) {
    if (!host.meeting) return;
    if (!host.meeting->fault.empty()) {
      findings.push_back({Severity::kError, host.host,
                          concat("does not reach ", master.host, " at ", place, ": ", host.meeting->fault),
                          concat("Open TCP between the hosts in their firewalls, or name an address of ", master.host,
                                 " that the others reach with --master_addr.")});
    } else if (launcher::is_loopback(check.master_addr) && host.facts.boot_id != master.facts.boot_id) {
      findings.push_back({Severity::kError, host.host,
                          concat("would meet ", master.host, " at ", check.master_addr, ", which is itself"),
                          "Name the first host's address in the network with --master_addr."});
    }
  });
}

void find_broken_pairs(const Check& check, Findings& findings) {
  for (const BrokenPair& pair : check.broken_pairs) {
    findings.push_back({Severity::kError, check.hosts[pair.from].host,
                        concat("no stream to ", check.hosts[pair.to].host, ": ", pair.fault),
                        "Open TCP between all hosts in their firewalls: ranks talk to each other directly."});
  }
}

void find_twins(const Check& check, Findings& findings) {
  std::map<std::string, std::string> first_name;  // by what tells machines apart
  for_each_answer(check, [&](size_t, const CheckedHost& host) {
    std::string machine = host.facts.boot_id;
    for (const std::string& address : host.facts.addresses) machine += " " + address;
    const auto [known, is_new] = first_name.emplace(machine, host.host);
    if (is_new || host.facts.boot_id.empty()) return;
    findings.push_back({Severity::kWarning, host.host, concat("is the same machine as ", known->second),
                        "Keep one line a machine in the hostfile."});
  });
}

void find_gpus(const Check& check, Findings& findings) {
  const auto has_gpus = [](const CheckedHost& host) { return !host.no_answer && !host.facts.gpus.empty(); };
  if (std::none_of(check.hosts.begin(), check.hosts.end(), has_gpus)) return;
  std::map<std::string, int> drivers;
  for_each_answer(check, [&](size_t, const CheckedHost& host) {
    const auto num_gpus = static_cast<int>(host.facts.gpus.size());
    if (num_gpus == 0) {
      findings.push_back({Severity::kError, host.host, "has no GPU, but other hosts have",
                          "Is its driver loaded? ls /dev/nvidia0; nvidia-smi. Or leave it out with --exclude."});
    } else if (host.num_slots > num_gpus) {
      findings.push_back(
          {Severity::kError, host.host,
           concat("the hostfile says slots=", host.num_slots, ", but it has ", counted(host.facts.gpus.size(), "GPU")),
           concat("Write slots=", num_gpus, ".")});
    }
    if (num_gpus > 0) ++drivers[host.facts.driver];
  });
  if (drivers.size() < 2) return;
  const auto usual = std::max_element(drivers.begin(), drivers.end(),
                                      [](const auto& a, const auto& b) { return a.second < b.second; });
  for_each_answer(check, [&](size_t, const CheckedHost& host) {
    if (host.facts.gpus.empty() || host.facts.driver == usual->first) return;
    findings.push_back(
        {Severity::kWarning, host.host,
         concat("its NVIDIA driver is ", in_words(host.facts.driver), ", ", in_words(usual->first), " on others"),
         "NCCL is tested with equal drivers."});
  });
}

void find_memory(const Check& check, Findings& findings) {
  for_each_answer(check, [&](size_t, const CheckedHost& host) {
    const HostFacts& facts = host.facts;
    const auto little = [](int64_t free, int64_t all) {
      return all > 0 && static_cast<double>(free) < kLeastFreePart * static_cast<double>(all);
    };
    if (little(facts.memory_free_bytes, facts.memory_bytes)) {
      findings.push_back({Severity::kWarning, host.host,
                          concat("only ", bytes_in_words(static_cast<double>(facts.memory_free_bytes)), " of its ",
                                 bytes_in_words(static_cast<double>(facts.memory_bytes)), " of memory are free"),
                          "What runs there: ps aux --sort -rss | head"});
    }
    if (facts.shared_memory_bytes < kLeastSharedMemoryBytes) {
      findings.push_back({Severity::kWarning, host.host,
                          concat("/dev/shm has ", bytes_in_words(static_cast<double>(facts.shared_memory_bytes)),
                                 ", which is little for NCCL and for data loaders"),
                          "Give it more: docker run --shm-size=8g, or mount -o remount,size=8g /dev/shm"});
    } else if (little(facts.shared_memory_free_bytes, facts.shared_memory_bytes)) {
      findings.push_back(
          {Severity::kWarning, host.host,
           concat("only ", bytes_in_words(static_cast<double>(facts.shared_memory_free_bytes)), " of the ",
                  bytes_in_words(static_cast<double>(facts.shared_memory_bytes)), " of /dev/shm are free"),
           "What killed programs left there can go: ls -l /dev/shm"});
    }
  });
}

}  // namespace

std::optional<size_t> meeting_host(const Check& check) {
  for (size_t i = 0; i < check.hosts.size(); ++i) {
    if (!check.hosts[i].no_answer) return i;
  }
  return std::nullopt;
}

std::vector<Finding> find_faults(const Check& check) {
  Findings findings;
  for (const auto find : {find_unreachable, find_versions, find_meetings, find_broken_pairs, find_gpus, find_twins,
                          find_clocks, find_memory}) {
    find(check, findings);
  }
  const auto place = [&](const Finding& finding) {
    return std::find_if(check.hosts.begin(), check.hosts.end(),
                        [&](const CheckedHost& host) { return host.host == finding.host; });
  };
  std::stable_sort(findings.begin(), findings.end(), [&](const Finding& a, const Finding& b) {
    return std::pair(a.severity, place(a)) < std::pair(b.severity, place(b));
  });
  return findings;
}

}  // namespace deepspeed::hosts

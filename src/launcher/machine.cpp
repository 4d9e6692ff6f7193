// Reading the host's devices and topology.
#include "launcher/machine.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <system_error>
#include <thread>
#include <tuple>

#include "launcher/core_binding.h"
#include "launcher/nvml.h"

namespace deepspeed::launcher {
namespace {

int count_gpus(const std::filesystem::path& root) {
  constexpr std::string_view kPrefix = "nvidia";
  int count = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root / "dev", error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix) || name.size() == kPrefix.size()) continue;
    if (name.find_first_not_of("0123456789", kPrefix.size()) == std::string::npos) ++count;
  }
  return count;
}

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The core's socket and its first hardware thread among the CPUs that we may use.
Core read_core(const std::filesystem::path& root, int cpu, const std::vector<int>& usable) {
  const auto topology = root / "sys/devices/system/cpu" / ("cpu" + std::to_string(cpu)) / "topology";
  Core core{cpu, 0};
  const auto socket = parse_cpu_list_of_kernel(first_line(topology / "physical_package_id"));
  if (socket.size() == 1) core.socket = socket.front();
  for (const int sibling : parse_cpu_list_of_kernel(first_line(topology / "thread_siblings_list"))) {
    if (sibling < core.cpu && std::binary_search(usable.begin(), usable.end(), sibling)) core.cpu = sibling;
  }
  return core;
}

std::set<std::string> local_names(const std::string& host_name) {
  std::set<std::string> names = {"localhost", "127.0.0.1", "::1", host_name, host_name.substr(0, host_name.find('.'))};
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return names;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    char text[INET6_ADDRSTRLEN] = "";
    if (one->ifa_addr->sa_family == AF_INET) {
      ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr, text, sizeof(text));
    } else if (one->ifa_addr->sa_family == AF_INET6) {
      ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr, text, sizeof(text));
    }
    if (*text != '\0') names.insert(text);
  }
  return names;
}

}  // namespace

int Machine::num_sockets() const {
  std::set<int> sockets;
  for (const Core& core : cores) sockets.insert(core.socket);
  return std::max(1, static_cast<int>(sockets.size()));
}

Machine read_machine(const std::filesystem::path& root, const std::vector<int>& usable_cpus) {
  Machine machine;
  char name[256] = "";
  ::gethostname(name, sizeof(name) - 1);
  machine.host_name = name;
  machine.names = local_names(machine.host_name);
  machine.gpu_names = ask_nvml(root);
  machine.num_gpus = machine.gpu_names ? static_cast<int>(machine.gpu_names->size()) : count_gpus(root);
  for (const int cpu : usable_cpus) {
    const Core core = read_core(root, cpu, usable_cpus);
    if (std::find(machine.cores.begin(), machine.cores.end(), core) == machine.cores.end())
      machine.cores.push_back(core);
  }
  if (machine.cores.empty()) machine.cores.push_back({});
  std::sort(machine.cores.begin(), machine.cores.end(),
            [](const Core& a, const Core& b) { return std::tie(a.socket, a.cpu) < std::tie(b.socket, b.cpu); });
  return machine;
}

std::vector<int> usable_cpus() {
  constexpr int kMostCpus = 8192;
  const size_t bytes = CPU_ALLOC_SIZE(kMostCpus);
  const auto free_set = [](cpu_set_t* set) { CPU_FREE(set); };
  const std::unique_ptr<cpu_set_t, decltype(free_set)> set(CPU_ALLOC(kMostCpus), free_set);
  CPU_ZERO_S(bytes, set.get());
  std::vector<int> cpus;
  if (::sched_getaffinity(0, bytes, set.get()) == 0) {
    for (int cpu = 0; cpu < kMostCpus; ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, set.get())) cpus.push_back(cpu);
    }
  }
  return cpus;
}

}  // namespace deepspeed::launcher

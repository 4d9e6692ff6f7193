// One function a fact.
#include "hosts/read_facts.h"

#include <linux/io_uring.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "core/descriptor.h"
#include "deepspeed/error.h"
#include "kernels/optimizer_cuda_kernels.h"
#include "kernels/simd_targets.h"
#include "launcher/machine.h"
#include "launcher/master_address.h"

namespace deepspeed::hosts {
namespace {

constexpr std::chrono::seconds kPythonPatience{5};

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// What stands behind `name` and a colon, on the first such line.
std::string_view field(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && trimmed(line.substr(0, colon)) == name)
      return trimmed(line.substr(colon + 1));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

int number_of(std::string_view text) {
  int number = -1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

void read_shared_memory(HostFacts& facts) {
  struct statvfs status {};
  if (::statvfs("/dev/shm", &status) != 0) return;
  facts.shared_memory_bytes = static_cast<int64_t>(status.f_blocks * status.f_frsize);
  facts.shared_memory_free_bytes = static_cast<int64_t>(status.f_bavail * status.f_frsize);
}

std::string io_uring_fault() {
  io_uring_params parameters{};
  const core::Descriptor ring(static_cast<int>(::syscall(SYS_io_uring_setup, 1, &parameters)));
  return ring ? "" : std::strerror(errno);
}

struct SimdTarget {
  int64_t bit;
  const char* name;
  std::vector<std::string_view> needs;  // flags of /proc/cpuinfo
};

// Best first; the flags are the ones that Highway asks for.
const std::vector<SimdTarget>& simd_targets() {
  static const std::vector<SimdTarget> targets = {
      {HWY_AVX3, "AVX-512", {"avx512f", "avx512vl", "avx512dq", "avx512bw", "avx512cd", "avx2", "fma", "f16c", "bmi2"}},
      {HWY_AVX2, "AVX2", {"avx2", "fma", "f16c", "bmi1", "bmi2", "abm"}},
      {HWY_SSE4, "SSE4", {"sse4_1", "sse4_2", "pclmulqdq", "aes"}},
      {HWY_NEON, "NEON", {"asimd"}},
  };
  return targets;
}

}  // namespace

std::vector<std::string> read_gpus(const std::filesystem::path& root) {
  std::map<int, std::string> by_minor;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root / "proc/driver/nvidia/gpus", error)) {
    const std::string text = text_of(entry.path() / "information");
    by_minor[number_of(field(text, "Device Minor"))] = field(text, "Model");
  }
  std::set<int> minors;
  for (const auto& entry : std::filesystem::directory_iterator(root / "dev", error)) {
    const std::string name = entry.path().filename().string();
    const bool is_gpu =
        name.starts_with("nvidia") && name.size() > 6 && name.find_first_not_of("0123456789", 6) == std::string::npos;
    if (is_gpu) minors.insert(number_of(std::string_view(name).substr(6)));
  }
  std::vector<std::string> names;
  for (const int minor : minors) names.push_back(by_minor.count(minor) == 1 ? by_minor[minor] : "GPU");
  return names;
}

std::string driver_version(std::string_view text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::istringstream words{std::string(text.substr(0, end))};
  for (std::string word; words >> word;) {
    const bool is_version = word.find_first_not_of("0123456789.") == std::string::npos && word.find('.') != word.npos;
    if (is_version) return word;
  }
  return {};
}

int64_t meminfo_bytes(std::string_view text, std::string_view name) {
  const std::string_view value = field(text, name);
  int64_t kilobytes = 0;
  std::from_chars(value.data(), value.data() + value.size(), kilobytes);
  return kilobytes * 1024;
}

BuiltKernels built_kernels(std::string_view cpu_flags) {
  std::set<std::string> flags;
  std::istringstream words{std::string(cpu_flags)};
  for (std::string word; words >> word;) flags.insert(word);
  BuiltKernels kernels;
  for (const SimdTarget& target : simd_targets()) {
    if ((HWY_TARGETS & target.bit) == 0) continue;
    kernels.simd.push_back(target.name);
    const bool has_all = std::all_of(target.needs.begin(), target.needs.end(),
                                     [&](std::string_view flag) { return flags.count(std::string(flag)) == 1; });
    if (has_all && kernels.simd_used.empty()) kernels.simd_used = target.name;
  }
  if (kernels.simd_used.empty()) kernels.simd_used = "baseline";
  kernels.cuda_optimizers = kernels::has_cuda_optimizers();
  return kernels;
}

HostFacts read_facts(const std::string& interpreter, const std::string& no_python) {
  HostFacts facts{.version = DS_VERSION};
  const launcher::Machine machine = launcher::read_machine("/", launcher::usable_cpus());
  facts.host_name = machine.host_name;
  facts.num_sockets = machine.num_sockets();
  facts.num_cores = static_cast<int>(machine.cores.size());
  facts.boot_id = trimmed(text_of("/proc/sys/kernel/random/boot_id"));
  utsname system{};
  if (::uname(&system) == 0) facts.kernel = system.release;
  const std::string cpuinfo = text_of("/proc/cpuinfo");
  facts.cpu = field(cpuinfo, "model name");
  const std::string_view flags = field(cpuinfo, "flags");
  facts.kernels = built_kernels(flags.empty() ? field(cpuinfo, "Features") : flags);  // Arm's name for them
  facts.gpus = machine.gpu_names ? *machine.gpu_names : read_gpus("/");
  facts.driver = driver_version(text_of("/proc/driver/nvidia/version"));
  const std::string meminfo = text_of("/proc/meminfo");
  facts.memory_bytes = meminfo_bytes(meminfo, "MemTotal");
  facts.memory_free_bytes = meminfo_bytes(meminfo, "MemAvailable");
  read_shared_memory(facts);
  facts.io_uring_fault = io_uring_fault();
  facts.addresses = launcher::interface_addresses();
  const launcher::SshConnection connection = launcher::ssh_connection();
  facts.ssh_client_address = connection.client_address;
  facts.ssh_server_address = connection.server_address;
  facts.python = interpreter.empty() ? launcher::PythonVersions{.fault = no_python}
                                     : launcher::ask_python(interpreter, kPythonPatience);
  return facts;
}

}  // namespace deepspeed::hosts

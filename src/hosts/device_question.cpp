// The script and its reader.
#include "hosts/device_question.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "deepspeed/error.h"

namespace deepspeed::hosts {
namespace {

constexpr std::string_view kBegin = "deepspeed devices 1";
constexpr std::string_view kEnd = "deepspeed end";
constexpr int kMostGpus = 1024;

// The rest of a line `name rest`.
std::optional<std::string_view> value_of(std::string_view line, std::string_view name) {
  if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ' ') return std::nullopt;
  return line.substr(name.size() + 1);
}

int count_of(std::string_view text, std::string_view what) {
  int count = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  DS_CHECK(error == std::errc() && stop == text.data() + text.size() && count >= 0 && count <= 1'000'000, ValueError,
           "[hosts] the answer's ", what, ": got \"", text, "\", expected a count.");
  return count;
}

// "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-...)" is that name; lines of MIG devices are indented.
std::optional<std::string> gpu_name(std::string_view line) {
  const size_t colon = line.find(": ");
  if (!line.starts_with("GPU ") || colon == std::string_view::npos) return std::nullopt;
  const std::string_view rest = line.substr(colon + 2);
  return std::string(rest.substr(0, rest.find(" (UUID")));
}

struct Reader {
  Devices devices;
  int num_nodes = 0;  // /dev/nvidia0, /dev/nvidia1, ...

  void take(std::string_view line) {
    if (const auto name = value_of(line, "host")) devices.host_name = *name;
    if (const auto count = value_of(line, "sockets")) devices.num_sockets = count_of(*count, "sockets");
    if (const auto count = value_of(line, "cpus")) devices.num_cpus = count_of(*count, "cpus");
    if (const auto count = value_of(line, "nodes")) num_nodes = count_of(*count, "device files");
    if (const auto text = value_of(line, "smi-failed"))
      devices.fault += (devices.fault.empty() ? "" : " / ") + std::string(*text);
    if (const auto text = value_of(line, "smi")) {
      if (auto name = gpu_name(*text)) devices.gpus.push_back(std::move(*name));
    }
  }
};

}  // namespace

// Each external program has /dev/null for its input, since the script itself comes over the shell's.
const std::string_view kDeviceScript = R"sh(LC_ALL=C; export LC_ALL
echo
echo 'deepspeed devices 1'
echo "host $(hostname </dev/null 2>/dev/null || uname -n </dev/null)"
sockets=$(cat /sys/devices/system/cpu/cpu[0-9]*/topology/physical_package_id </dev/null 2>/dev/null | sort -u | wc -l)
echo "sockets $((sockets))"
cpus=$(getconf _NPROCESSORS_ONLN </dev/null 2>/dev/null || echo 0)
echo "cpus $((cpus))"
nodes=0
for node in /dev/nvidia[0-9]*; do
  if [ -e "$node" ]; then nodes=$((nodes + 1)); fi
done
echo "nodes $nodes"
if command -v nvidia-smi >/dev/null 2>&1; then
  if listed=$(nvidia-smi -L </dev/null 2>&1); then word=smi; else word=smi-failed; fi
  printf '%s\n' "$listed" | while IFS= read -r line; do printf '%s %s\n' "$word" "$line"; done
fi
echo 'deepspeed end'
)sh";

Devices parse_devices(const std::vector<std::string>& lines) {
  Reader reader;
  bool has_begun = false;
  for (const std::string& line : lines) {
    if (!has_begun) {
      has_begun = line == kBegin;
    } else if (line == kEnd) {
      Devices& devices = reader.devices;
      DS_CHECK(reader.num_nodes <= kMostGpus && devices.gpus.size() <= kMostGpus, ValueError,
               "[hosts] the answer tells of more than ", kMostGpus, " GPUs.");
      // Inside a container nvidia-smi is not always there, but the devices are.
      if (devices.gpus.empty()) devices.gpus.resize(static_cast<size_t>(reader.num_nodes), "GPU");
      devices.num_sockets = std::max(1, devices.num_sockets);
      return devices;
    } else {
      reader.take(line);
    }
  }
  throw ValueError(has_begun ? "[hosts] its answer breaks off." : "[hosts] its shell ran, but gave no answer.");
}

}  // namespace deepspeed::hosts

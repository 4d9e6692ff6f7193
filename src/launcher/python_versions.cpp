// The question, the answer, and the comparison.
#include "launcher/python_versions.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/descriptor.h"
#include "core/subprocess.h"
#include "deepspeed/error.h"
#include "launcher/failure_report.h"

namespace deepspeed::launcher {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

// The current folder is not searched: what lies there by the name of a module is none of these. find_spec() finds torch
// and does not import it.
constexpr const char* kQuestion = R"(
import sys
sys.path[:] = [folder for folder in sys.path if folder]
import json, pathlib, re
from importlib import metadata, util

def version(*names):
    for name in names:
        try:
            return metadata.version(name) or ""
        except metadata.PackageNotFoundError:
            pass
    return ""

found = {"python": ".".join(map(str, sys.version_info[:3])), "torch": version("torch"),
         "deepspeed": version("deepspeed"), "CUDA": "",
         "NCCL": version("nvidia-nccl-cu13", "nvidia-nccl-cu12", "nvidia-nccl-cu11")}
spec = util.find_spec("torch")
if spec and spec.origin:
    text = pathlib.Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    for name, key in (("__version__", "torch"), ("cuda", "CUDA")):
        said = re.search(rf"^{name}[^=\n]*= *['\"]([^'\"]+)['\"]", text, re.MULTILINE)
        if said:
            found[key] = said.group(1)
print("\n" + json.dumps({"interpreter": sys.executable, "versions": found, "fault": ""}), flush=True)
)";

std::string last_line(std::string_view text) {
  const size_t end = text.find_last_not_of(" \r\n");
  if (end == std::string_view::npos) return {};
  text = text.substr(0, end + 1);
  return std::string(text.substr(text.find_last_of('\n') + 1));  // npos + 1 is 0
}

// Both outputs into one pipe: an answer is the last line, and so is the error of a Python that fails.
struct Child {
  pid_t pid = -1;
  core::Descriptor output;
};

Child start(const std::string& interpreter) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw IoError("[launcher] a pipe to Python", interpreter, errno);
  Child child;
  child.output = core::Descriptor(ends[0]);
  const core::Descriptor write_end(ends[1]);
  const core::Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  child.pid = core::spawn({.command = {interpreter, "-c", kQuestion},
                           .environment = core::current_environment(),
                           .stdin_fd = null.get(),
                           .stdout_fd = write_end.get(),
                           .stderr_fd = write_end.get()});
  return child;
}

// Whether the output ended in time.
bool read_all(int fd, Clock::time_point deadline, std::string& text) {
  std::array<char, 4096> buffer;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd readable{fd, POLLIN, 0};
    if (left <= 0) return false;
    if (::poll(&readable, 1, static_cast<int>(left)) <= 0) continue;
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return true;
    text.append(buffer.data(), static_cast<size_t>(count));
  }
}

std::string compared(const std::string& what, const std::string& version) {
  if (what != "python") return version;
  const size_t minor = version.find('.');
  return minor == std::string::npos ? version : version.substr(0, version.find('.', minor + 1));
}

std::string version_of(const PythonVersions& host, const std::string& what) {
  const auto found = host.versions.find(what);
  return found == host.versions.end() ? "" : compared(what, found->second);
}

void find_differences_of(const std::string& what, const std::vector<PythonVersions>& hosts,
                         std::vector<VersionDifference>& differences) {
  std::vector<std::pair<std::string, size_t>> counts;  // in the order of their first host
  size_t num_hosts = 0;
  for (const PythonVersions& host : hosts) {
    if (!host.fault.empty()) continue;
    ++num_hosts;
    const std::string version = version_of(host, what);
    const auto known =
        std::find_if(counts.begin(), counts.end(), [&](const auto& one) { return one.first == version; });
    if (known == counts.end()) {
      counts.emplace_back(version, 1);
    } else {
      ++known->second;
    }
  }
  if (counts.size() < 2) return;
  const auto usual =
      std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  for (size_t i = 0; i < hosts.size(); ++i) {
    const std::string version = version_of(hosts[i], what);
    if (!hosts[i].fault.empty() || version == usual->first) continue;
    differences.push_back({i, what, version, usual->first, usual->second, num_hosts});
  }
}

}  // namespace

PythonVersions ask_python(const std::string& interpreter, std::chrono::milliseconds patience) {
  const auto failed = [&](const std::string& why) { return PythonVersions{.interpreter = interpreter, .fault = why}; };
  try {
    const Child child = start(interpreter);
    std::string text;
    const bool is_in_time = read_all(child.output.get(), Clock::now() + patience, text);
    if (!is_in_time) ::kill(child.pid, SIGKILL);
    int status = 0;
    ::waitpid(child.pid, &status, 0);
    if (!is_in_time) return failed(concat("it did not answer within ", patience.count() / 1000.0, " s"));
    const std::string line = last_line(text);
    if (exit_code_of(status) != 0) return failed(concat("exit code ", exit_code_of(status), ": ", line));
    return decode_versions(line);
  } catch (const Error& error) {
    return failed(error.what());
  }
}

std::string encode_versions(const PythonVersions& versions) {
  const json value = {
      {"interpreter", versions.interpreter}, {"versions", versions.versions}, {"fault", versions.fault}};
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

PythonVersions decode_versions(std::string_view text) {
  try {
    const json value = json::parse(text);
    return {.interpreter = value.at("interpreter"), .versions = value.at("versions"), .fault = value.at("fault")};
  } catch (const json::exception& error) {
    throw ValueError(concat("[launcher] not an answer about Python's packages (", error.what(), ")."));
  }
}

std::vector<VersionDifference> find_differences(const std::vector<PythonVersions>& hosts) {
  std::vector<VersionDifference> differences;
  for (const char* what : {"python", "torch", "deepspeed", "CUDA", "NCCL"})
    find_differences_of(what, hosts, differences);
  std::stable_sort(differences.begin(), differences.end(),
                   [](const auto& a, const auto& b) { return a.host < b.host; });
  return differences;
}

}  // namespace deepspeed::launcher

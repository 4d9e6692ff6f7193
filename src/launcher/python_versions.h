// Which versions ranks of a host would import, asked of its Python without importing them.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace deepspeed::launcher {

struct PythonVersions {
  std::string interpreter = {};
  /// By name: python, torch, deepspeed, CUDA (what torch is built for) and NCCL; empty where it is not there.
  std::map<std::string, std::string> versions = {};
  std::string fault = {};  ///< why the versions are not known; empty: they are

  bool operator==(const PythonVersions&) const = default;
};

/// Starts the interpreter for about a tenth of a second, with this process's environment. It reads what packages say
/// about themselves; of torch it reads version.py. What fails is `fault`. Call it from the main thread.
PythonVersions ask_python(const std::string& interpreter, std::chrono::milliseconds patience);

/// JSON, as text. decode throws ValueError where the text is not such a message.
std::string encode_versions(const PythonVersions& versions);
PythonVersions decode_versions(std::string_view text);

/// A host whose version of something is not that of the most hosts (of equally many: of the first).
struct VersionDifference {
  size_t host = 0;
  std::string what;     ///< a name of PythonVersions::versions
  std::string version;  ///< empty: not there
  std::string usual;    ///< empty: the others do not have it
  size_t num_usual = 0;
  size_t num_hosts = 0;  ///< whose versions are known
};

/// In the order of hosts. Of Python the first two numbers count: what follows them changes no interface. Hosts with a
/// fault are left out. Pure.
std::vector<VersionDifference> find_differences(const std::vector<PythonVersions>& hosts);

}  // namespace deepspeed::launcher

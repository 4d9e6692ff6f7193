// Reading environment files and this program's path.
#include "launcher/carried.h"

#include <filesystem>
#include <system_error>

#include "core/file.h"
#include "launcher/environment_values.h"
#include "launcher/exported_environment.h"

namespace deepspeed::launcher {
namespace {

constexpr const char* kEnvironmentFile = ".deepspeed_env";

std::string variable_or(const Environment& environment, const char* name, const char* otherwise) {
  const std::string value = variable(environment, name);
  return value.empty() ? otherwise : value;
}

}  // namespace

Environment carried_variables(const Environment& environment, const std::string& folder) {
  Environment variables = exported_variables(environment, folder);
  const std::string name = variable_or(environment, "DS_ENV_FILE", kEnvironmentFile);
  for (const std::string& place : {variable_or(environment, "HOME", "/"), folder}) {
    const auto path = std::filesystem::path(place) / name;
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) continue;
    for (const auto& [key, value] : parse_environment_file(core::read_file(path), path.string())) {
      variables[key] = value;
    }
  }
  return variables;
}

std::string path_of_program(const std::string& invoked_as, const Environment& environment) {
  if (invoked_as.find('/') != std::string::npos) return std::filesystem::absolute(invoked_as).lexically_normal();
  const auto found = find_on_path(invoked_as, environment);
  return std::filesystem::absolute(found ? *found : std::filesystem::read_symlink("/proc/self/exe"));
}

}  // namespace deepspeed::launcher

// Looking up, and reading numbers.
#include "launcher/environment_values.h"

#include <charconv>

#include "deepspeed/error.h"

namespace deepspeed::launcher {

std::string variable(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

int64_t variable_number(const Environment& environment, const std::string& name, std::string_view set_by) {
  const std::string text = variable(environment, name);
  int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  DS_CHECK(error == std::errc() && stop == text.data() + text.size() && value >= 0, ValueError, "[launcher] ", name,
           ": got \"", text, "\", expected a number, as ", set_by, " sets it.");
  return value;
}

}  // namespace deepspeed::launcher

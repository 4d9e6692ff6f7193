// Choosing, reading and showing variables.
#include "launcher/exported_environment.h"

#include <algorithm>
#include <array>

#include "deepspeed/error.h"
#include "launcher/failure_report.h"

namespace deepspeed::launcher {
namespace {

constexpr std::array<std::string_view, 10> kPrefixes = {"DEEPSPEED_", "DS_",  "GLOO_",  "MLFLOW", "MV2",
                                                        "NCCL",       "OMP_", "PYTHON", "TORCH_", "UCX"};
constexpr std::array<std::string_view, 10> kSecretParts = {"ACCESS", "AUTH", "CONNECTION", "CREDENTIAL", "DSN",
                                                           "KEY",    "PASS", "PWD",        "SECRET",     "TOKEN"};
// With what they stand for behind them, as connection strings and signed addresses have them.
constexpr std::array<std::string_view, 6> kSecretFields = {"KEY=", "PASSWORD=", "PWD=", "SECRET=", "SIG=", "TOKEN="};
constexpr std::string_view kBlanks = " \t\r";

bool is_exported(const std::string& name, bool is_aisc) {
  if (is_aisc && (name == "NCCL_IB_HCA" || name == "UCX_NET_DEVICES")) return false;
  return std::any_of(kPrefixes.begin(), kPrefixes.end(), [&](std::string_view one) { return name.starts_with(one); });
}

std::string to_upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c); });
  return text;
}

template <class Parts>
bool has_any(const std::string& text, const Parts& parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](std::string_view part) { return text.find(part) != std::string::npos; });
}

// PAT (a personal access token) is a word by itself: PYTHONPATH is none.
bool has_secret_name(const std::string& name) {
  const std::string upper = to_upper(name);
  return has_any(upper, kSecretParts) || ("_" + upper + "_").find("_PAT_") != std::string::npos;
}

// https://user:password@host, AccountKey=...
bool has_secret_value(const std::string& value) {
  const size_t address = value.find("://");
  const bool names_user = address != std::string::npos && value.find('@', address) != std::string::npos;
  return names_user || has_any(to_upper(value), kSecretFields);
}

bool is_name_character(char c, bool is_first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!is_first && c >= '0' && c <= '9');
}

// Column of the first character that cannot stand in a name that ends at `=`; npos where all is well.
size_t bad_character(std::string_view line, size_t begin) {
  size_t at = begin;
  while (at < line.size() && is_name_character(line[at], at == begin)) ++at;
  return at < line.size() && line[at] == '=' && at > begin ? std::string_view::npos : at;
}

// Others can stand in an environment, but not in a shell's `export`, where they would be commands.
bool is_name(std::string_view name) {
  for (size_t i = 0; i < name.size(); ++i) {
    if (!is_name_character(name[i], i == 0)) return false;
  }
  return !name.empty();
}

size_t skip_blanks(std::string_view line, size_t at) {
  return std::min(line.find_first_not_of(kBlanks, at), line.size());
}

}  // namespace

Environment exported_variables(const Environment& environment, const std::string& folder) {
  const bool is_aisc = environment.count("AISC_JOB_NAME") == 1;
  Environment exported;
  for (const auto& [name, value] : environment) {
    if (is_exported(name, is_aisc) && is_name(name)) exported.emplace(name, value);
  }
  std::string& path = exported["PYTHONPATH"];
  path = path.empty() ? folder : folder + ":" + path;
  return exported;
}

Environment parse_environment_file(std::string_view text, const std::string& path) {
  constexpr std::string_view kExport = "export ";
  Environment variables;
  for (int line_number = 1; !text.empty(); ++line_number) {
    const size_t line_end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, line_end);
    text.remove_prefix(std::min(line_end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    size_t begin = skip_blanks(line, 0);
    if (begin == line.size() || line[begin] == '#') continue;
    if (line.substr(begin).starts_with(kExport)) begin = skip_blanks(line, begin + kExport.size());
    const size_t bad = bad_character(line, begin);
    DS_CHECK(bad == std::string_view::npos, ValueError, "[launcher] ", path, " line ", line_number, ", column ",
             bad + 1, ": expected NAME=VALUE, the name of letters, digits and _. Begin a comment with #.");
    const size_t equals = line.find('=', begin);
    const std::string_view value = line.substr(equals + 1);
    DS_CHECK(value.find('\0') == std::string_view::npos, ValueError, "[launcher] ", path, " line ", line_number,
             ", column ", equals + 2 + value.find('\0'), ": a zero byte, which no variable can hold.");
    variables[std::string(line.substr(begin, equals - begin))] = value;
  }
  return variables;
}

std::string describe_variables(const Environment& variables) {
  std::string text;
  for (const auto& [name, value] : variables) {
    text += concat(text.empty() ? "" : " ", name, "=",
                   has_secret_name(name) || has_secret_value(value) ? "***" : quoted({value}));
  }
  return text;
}

}  // namespace deepspeed::launcher

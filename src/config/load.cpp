// From a file, a text or a base64 argument to a checked Config.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "config/base64.h"
#include "config/config.h"
#include "config/known_keys.h"
#include "config/landed.h"
#include "config/nearest.h"
#include "config/reader.h"
#include "config/text.h"
#include "core/file.h"
#include "core/log.h"
#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

std::string current_folder() {
  std::error_code error;
  return std::filesystem::current_path(error).string();
}

// A top-level key that no field has: a typing error or a key of a section is an error, anything else may stay.
void accept_unknown_key(const std::string& key, Config& config) {
  if (key.find('.') != std::string::npos && is_known_path(key)) {
    core::log_debug("[config] ", key, ": a key with a dot at top level sets nothing; passed over");
    return;
  }
  const auto known = spellings(fields(config));
  const auto fail_naming = [&](const std::vector<std::string>& names) {
    config.provenance.fail(key,
                           concat("unknown key \"", key, "\" at top level. Did you mean ", quote_list(names), "?"));
  };
  const Nearest nearest = find_nearest(key, known);
  if (is_likely_typo(key, nearest)) fail_naming(nearest.names);
  if (const std::string ours = find_by_other_name(key); !ours.empty()) fail_naming({ours});
  const auto sections = sections_with_key(key);
  if (!sections.empty() && key.find('_') != std::string::npos) {
    config.provenance.fail(
        key, concat("the key \"", key, "\" has no meaning at top level. It belongs in ", quote_list(sections), "."));
  }
  if (const auto similar = find_with_words(key, known); !similar.empty()) fail_naming(similar);
  std::string sentence = concat("unknown key \"", key, "\" at top level; nothing reads it.");
  if (!sections.empty()) sentence += concat(" A key of this name belongs in ", quote_list(sections), ".");
  if (config.strict) config.provenance.fail(key, sentence + " Remove it, or remove \"strict\": true.");
  config.warnings.push_back(concat(key, config.provenance.location(key), ": ", sentence));
}

bool starts_like_json(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  return first != std::string_view::npos && (text[first] == '{' || text[first] == '/' || text[first] == '#');
}

}  // namespace

Config load_config(std::string_view text, std::string_view origin) {
  Text parsed = parse_text(text, origin);
  Config config;
  config.raw = std::move(parsed.value);
  config.provenance = Provenance(std::string(origin), std::move(parsed.lines));
  Reader reader(config.provenance, config.warnings);
  const auto strict = config.raw.find("strict");  // wanted before the first unknown key
  config.strict = strict != config.raw.end() && strict->is_boolean() && strict->get<bool>();
  reader.read_object(fields(config), config.raw, "", [&](const std::string& key) { accept_unknown_key(key, config); });
  check_config(config);
  check_landed(config);
  return config;
}

Config load_config_file(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    throw IoError(concat("[config] no config file ", path.string(), " (current folder ", current_folder(), ")"),
                  path.string(), error ? error.value() : ENOENT);
  }
  if (std::filesystem::is_directory(path, error)) {
    throw IoError(concat("[config] the config file ", path.string(), " is a folder"), path.string(), EISDIR);
  }
  return load_config(core::read_file(path), path.string());
}

Config load_config_argument(const std::string& argument) {
  std::error_code error;
  if (std::filesystem::exists(argument, error)) return load_config_file(argument);
  if (argument.find('{') != std::string::npos && starts_like_json(argument)) {
    return load_config(argument, "the config argument");
  }
  const auto decoded = decode_base64(argument);
  if (decoded && starts_like_json(*decoded)) return load_config(*decoded, "the base64 config argument");
  constexpr size_t kShown = 200;
  throw ConfigError(concat("[config] got \"", argument.substr(0, kShown), argument.size() > kShown ? "..." : "",
                           "\", which is no existing file (current folder ", current_folder(),
                           "), no JSON text and no base64 of JSON text. Check the path of your ds_config.json."));
}

}  // namespace deepspeed::config

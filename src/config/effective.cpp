#include "config/effective.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "config/config.h"
#include "config/known_keys.h"
#include "config/landed.h"
#include "config/nearest.h"
#include "config/text.h"
#include "config/value.h"
#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

constexpr size_t kWidestValue = 40;

struct Line {
  std::string path;
  std::string value;
  std::string origin;
};

void collect(const Fields& fields, const std::string& path, const Provenance& from, std::vector<Line>& lines) {
  for (const auto& field : fields) {
    const std::string field_path = join_path(path, field.key);
    if (const auto* section = std::get_if<Section>(&field.target)) {
      if (section->exists()) {
        collect(section->open(), field_path, from, lines);
      } else {
        lines.push_back({field_path, "null", from.describe(field_path)});
      }
    } else if (const auto* group = std::get_if<SectionGroup>(&field.target)) {
      for (auto& [name, item] : group->items()) collect(item, field_path + name, from, lines);
    } else {
      lines.push_back({field_path, show_value(current_value(field)), from.describe(field_path)});
    }
  }
}

std::string escape_table(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

std::string describe_names(const Field& field) {
  std::string text;
  if (!field.aliases.empty()) text += "also " + quote_list(field.aliases);
  if (!field.old_names.empty()) text += (text.empty() ? "" : "; ") + ("once " + quote_list(field.old_names));
  return text;
}

std::string describe_status(const std::string& path) {
  std::string text;
  for (const auto& entry : not_landed()) {
    if (path != entry.path) continue;
    text +=
        concat(text.empty() ? "" : "; ", entry.capability, entry.effect == Missing::kNothing ? "" : " not built yet",
               entry.effect == Missing::kRefused ? " (an error)" : " (a warning)");
  }
  return text;
}

void write_row(std::ostringstream& out, const std::string& path, const Field& field) {
  const bool is_nested =
      std::holds_alternative<Section>(field.target) || std::holds_alternative<SectionGroup>(field.target);
  std::string notes = describe_names(field);
  const std::string status = describe_status(path);
  if (!status.empty()) notes += (notes.empty() ? "" : "; ") + status;
  const std::string value = is_nested ? "" : "`" + show_value(current_value(field)) + "`";
  out << "| `" << path << "` | " << escape_table(describe_expected(field)) << " | " << escape_table(value) << " | "
      << escape_table(notes) << " |\n";
}

}  // namespace

std::string effective_config(const Config& config) {
  Config copy = config;  // fields point into a config that they may change; this one is ours
  std::vector<Line> lines;
  collect(fields(copy), "", config.provenance, lines);
  std::stable_partition(lines.begin(), lines.end(), [](const Line& line) { return line.origin != "default"; });
  size_t path_width = 0;
  size_t value_width = 0;
  for (const auto& line : lines) {
    path_width = std::max(path_width, line.path.size());
    value_width = std::max(value_width, std::min(line.value.size(), kWidestValue));
  }
  std::string text;
  for (const auto& line : lines) {
    std::string row = line.path + std::string(path_width - line.path.size(), ' ') + " = " + line.value;
    if (line.value.size() < value_width) row.append(value_width - line.value.size(), ' ');
    text += row + "  (" + line.origin + ")\n";
  }
  return text;
}

std::string config_reference() {
  Config defaults;
  std::ostringstream out;
  out << "| key | value | default | notes |\n|---|---|---|---|\n";
  walk_fields(fields(defaults), "", [&](const std::string& path, Field& field) { write_row(out, path, field); });
  return out.str();
}

}  // namespace deepspeed::config

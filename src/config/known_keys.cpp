#include "config/known_keys.h"

#include <algorithm>
#include <set>

#include "config/config.h"
#include "config/reader.h"
#include "config/text.h"

namespace deepspeed::config {
namespace {

constexpr size_t kShownSections = 3;

// The schema never changes, so its paths are collected once: only bad or unusual configs ask for them.
const std::set<std::string>& known_paths() {
  static const std::set<std::string> kPaths = [] {
    Config scratch;
    std::set<std::string> collected;
    walk_fields(fields(scratch), "", [&](const std::string& path, Field& field) {
      const size_t dot = path.rfind('.');
      const std::string parent = dot == std::string::npos ? "" : path.substr(0, dot);
      for (const auto& name : spellings(field)) collected.insert(join_path(parent, name));
    });
    return collected;
  }();
  return kPaths;
}

}  // namespace

void walk_fields(Fields fields, const std::string& path, const FieldVisitor& visit) {
  for (auto& field : fields) {
    const std::string field_path = join_path(path, field.key);
    visit(field_path, field);
    if (const auto* section = std::get_if<Section>(&field.target)) walk_fields(section->open(), field_path, visit);
    if (const auto* group = std::get_if<SectionGroup>(&field.target)) {
      walk_fields(group->add("<name>"), field_path + (group->named ? ".<name>" : "[]"), visit);
    }
  }
}

bool is_known_path(const std::string& path) { return known_paths().count(path) != 0; }

std::vector<std::string> sections_with_key(const std::string& key) {
  std::vector<std::string> sections;
  for (const auto& path : known_paths()) {
    const size_t dot = path.rfind('.');
    if (dot == std::string::npos || path.compare(dot + 1, std::string::npos, key) != 0) continue;
    if (sections.size() < kShownSections) sections.push_back(path.substr(0, dot));
  }
  return sections;
}

std::optional<Field> find_field(Config& config, const std::string& path) {
  Fields level = fields(config);
  for (size_t begin = 0;;) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string key = path.substr(begin, end - begin);
    const auto found = std::find_if(level.begin(), level.end(), [&](const Field& field) { return field.key == key; });
    if (found == level.end()) return std::nullopt;
    if (end == path.size()) return *found;
    const auto* section = std::get_if<Section>(&found->target);
    if (section == nullptr || !section->exists()) return std::nullopt;
    Fields next = section->open();
    level = std::move(next);
    begin = end + 1;
  }
}

}  // namespace deepspeed::config

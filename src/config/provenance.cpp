#include "config/provenance.h"

#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::config {

Provenance::Provenance(std::string text_name, std::map<std::string, int> lines)
    : text_name_(std::move(text_name)), lines_(std::move(lines)) {}

void Provenance::set(const std::string& path, Origin origin, std::string note) {
  entries_[path] = {origin, std::move(note)};
}

Origin Provenance::origin(const std::string& path) const {
  const auto found = entries_.find(path);
  return found == entries_.end() ? Origin::kDefault : found->second.origin;
}

bool Provenance::given(const std::string& path) const {
  const Origin from = origin(path);
  return from == Origin::kGiven || from == Origin::kDeprecated;
}

std::string Provenance::describe(const std::string& path) const {
  const auto found = entries_.find(path);
  if (found == entries_.end()) return "default";
  const std::string& note = found->second.note;
  switch (found->second.origin) {
    case Origin::kDefault:
      return "default";
    case Origin::kGiven:
      return "given";
    case Origin::kAuto:
      return "auto";
    case Origin::kDerived:
      return note.empty() ? "derived" : "derived: " + note;
    case Origin::kDeprecated:
      return "deprecated key " + note;
  }
  DS_INTERNAL_CHECK(false, "unknown origin of ", path);
}

void Provenance::set_spelling(const std::string& path, std::string spelled) { spellings_[path] = std::move(spelled); }

std::string Provenance::location(const std::string& path) const {
  auto line = lines_.find(path);
  for (auto spelling = spellings_.begin(); line == lines_.end() && spelling != spellings_.end(); ++spelling) {
    if (path.starts_with(spelling->first)) line = lines_.find(spelling->second + path.substr(spelling->first.size()));
  }
  return line == lines_.end() ? "" : concat(" (", text_name_, ", line ", line->second, ")");
}

void Provenance::fail(const std::string& path, const std::string& what) const {
  throw ConfigError(concat("[config] ", path, location(path), ": ", what));
}

}  // namespace deepspeed::config

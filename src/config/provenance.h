// Where each value of a config came from, so that errors and the printed config can say it.
#pragma once

#include <map>
#include <string>

namespace deepspeed::config {

enum class Origin { kDefault, kGiven, kAuto, kDerived, kDeprecated };

/// Keys are paths such as "zero_optimization.stage".
class Provenance {
 public:
  Provenance() = default;
  /// `text_name` names the file or argument; `lines` maps paths to lines in it.
  Provenance(std::string text_name, std::map<std::string, int> lines);

  /// `note` names the old key of kDeprecated, or how a derived value was found.
  void set(const std::string& path, Origin origin, std::string note = {});
  Origin origin(const std::string& path) const;
  /// True where the text itself has a value for this key, under its name or an old one.
  bool given(const std::string& path) const;
  /// "given", "default", "auto", "derived: ..." or "deprecated key x".
  std::string describe(const std::string& path) const;
  /// The text calls `path`, and what is below it, `spelled`: an alias or an old name.
  void set_spelling(const std::string& path, std::string spelled);
  /// " (ds_config.json, line 12)", or nothing where the key is not in the text.
  std::string location(const std::string& path) const;

  /// Throws ConfigError: path, place in the text, then `what`.
  [[noreturn]] void fail(const std::string& path, const std::string& what) const;

 private:
  struct Entry {
    Origin origin;
    std::string note;
  };
  std::string text_name_;
  std::map<std::string, int> lines_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> spellings_;
};

}  // namespace deepspeed::config

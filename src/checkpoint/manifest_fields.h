// Reads the fields of one JSON object of a manifest, strictly: each must be there, of its kind, and no other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/json_text.h"

namespace deepspeed::checkpoint {

/// Borrows the object. Every error is a CheckpointError that starts with `context` (file and place in it).
class ManifestFields {
 public:
  ManifestFields(const io::Json& object, std::string context);

  const io::Json& value(const char* field);
  const std::string& text(const char* field);
  int64_t integer(const char* field, int64_t minimum, int64_t maximum);
  std::vector<int64_t> integers(const char* field);
  const io::Json& object(const char* field);
  const io::Json& array(const char* field);
  uint32_t checksum(const char* field);

  /// To be called last: throws where the object has a field that was never asked for.
  void expect_no_other() const;

  [[noreturn]] void fail(const std::string& problem) const;

 private:
  const io::Json& object_;
  std::string context_;
  std::vector<std::string> known_;
};

}  // namespace deepspeed::checkpoint

// The exceptions that this library throws. A message says what failed, on which rank, for which parameter, file or
// key, with which value, and what to do about it. Bad input never aborts the process.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

#include "deepspeed/export.h"

namespace deepspeed {

/// Base of all of them: catch this to catch everything that we throw.
class DS_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~Error() override;
};

/// A wrong or contradictory ds_config.json; Python sees a ValueError.
class DS_API ConfigError : public Error {
 public:
  using Error::Error;
  ~ConfigError() override;
};

/// A wrong argument to a function; Python sees a ValueError.
class DS_API ValueError : public Error {
 public:
  using Error::Error;
  ~ValueError() override;
};

/// A collective failed or ranks disagree; Python sees a RuntimeError.
class DS_API CommError : public Error {
 public:
  using Error::Error;
  ~CommError() override;
};

/// A system call on a file failed; Python sees an OSError with the same errno and path.
class DS_API IoError : public Error {
 public:
  /// `what` says which operation on which file; strerror(error_number) is appended.
  IoError(const std::string& what, std::string path, int error_number);
  ~IoError() override;
  const std::string& path() const { return path_; }
  int error_number() const { return error_number_; }

 private:
  std::string path_;
  int error_number_;
};

/// A checkpoint is missing, torn or does not fit the model; Python sees a RuntimeError.
class DS_API CheckpointError : public Error {
 public:
  using Error::Error;
  ~CheckpointError() override;
};

/// Known, but not built yet or not possible here; Python sees a NotImplementedError.
class DS_API NotSupported : public Error {
 public:
  using Error::Error;
  ~NotSupported() override;
};

/// A bug of ours: please report it with the message.
class DS_API InternalError : public Error {
 public:
  using Error::Error;
  ~InternalError() override;
};

/// Joins its arguments into one string with operator<<.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace deepspeed

/// DS_CHECK(stage <= 3, ConfigError, "[config] zero_optimization.stage: got ", stage, ", expected 0, 1, 2 or 3")
#define DS_CHECK(condition, Type, ...)                           \
  do {                                                           \
    if (!(condition)) [[unlikely]] {                             \
      throw ::deepspeed::Type(::deepspeed::concat(__VA_ARGS__)); \
    }                                                            \
  } while (false)

/// An invariant of ours; its failure is a bug, never a user's mistake.
#define DS_INTERNAL_CHECK(condition, ...) \
  DS_CHECK(condition, InternalError, "[", __FILE__, ":", __LINE__, "] ", __VA_ARGS__, " (please report this)")

// One logger for the whole library. Quiet by default: warnings and errors only, on standard error, one whole line a
// message, with the rank once it is known.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "deepspeed/error.h"
#include "deepspeed/export.h"

namespace deepspeed::core {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

/// Reads "debug", "info", "warning", "error" or "critical"; throws ValueError that lists them otherwise.
LogLevel parse_log_level(std::string_view name);
/// The other way; "error" for kOff too.
const char* name_of(LogLevel level);

void set_log_level(LogLevel level);
LogLevel log_level();

/// Messages carry "[rank r]" from now on. -1: no rank.
void set_log_rank(int rank);

/// Replaces standard error (the Python front end sends messages to its logger). An empty function restores it.
/// The sink may be called from any thread.
void set_log_sink(std::function<void(LogLevel, const std::string&)> sink);

void log(LogLevel level, const std::string& message);

/// As log(), but a message with the same `key` is shown once a process.
void log_once(const std::string& key, LogLevel level, const std::string& message);

template <class... Parts>
void log_debug(const Parts&... parts) {
  if (log_level() <= LogLevel::kDebug) log(LogLevel::kDebug, concat(parts...));
}
template <class... Parts>
void log_info(const Parts&... parts) {
  if (log_level() <= LogLevel::kInfo) log(LogLevel::kInfo, concat(parts...));
}
template <class... Parts>
void log_warning(const Parts&... parts) {
  log(LogLevel::kWarning, concat(parts...));
}

}  // namespace deepspeed::core

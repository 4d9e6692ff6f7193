// The logger: spdlog does the formatting and the locking; this file is the only one that sees it.
#include "core/log.h"

#define FMT_HEADER_ONLY
#define SPDLOG_FMT_EXTERNAL
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>

namespace deepspeed::core {
namespace {

struct State {
  std::mutex mutex;
  std::shared_ptr<spdlog::logger> console =
      std::make_shared<spdlog::logger>("DeepSpeed", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  std::function<void(LogLevel, const std::string&)> sink;
  std::set<std::string> shown;
  std::atomic<LogLevel> level{LogLevel::kWarning};
  std::atomic<int> rank{-1};

  State() {
    console->set_pattern("[%H:%M:%S] [deepspeed] [%l] %v");
    console->set_level(spdlog::level::trace);
  }
};

// Leaked on purpose: threads may log while the process is going down.
State& state() {
  static State* instance = new State;
  return *instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    default:
      return spdlog::level::err;
  }
}

}  // namespace

LogLevel parse_log_level(std::string_view name) {
  static const std::unordered_map<std::string_view, LogLevel> kNames = {{"debug", LogLevel::kDebug},
                                                                        {"info", LogLevel::kInfo},
                                                                        {"warning", LogLevel::kWarning},
                                                                        {"error", LogLevel::kError},
                                                                        {"critical", LogLevel::kError}};
  const auto found = kNames.find(name);
  DS_CHECK(found != kNames.end(), ValueError, "[core] log level: got \"", name,
           "\", expected debug, info, warning, error or critical");
  return found->second;
}

const char* name_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    default:
      return "error";
  }
}

void set_log_level(LogLevel level) { state().level = level; }
LogLevel log_level() { return state().level; }
void set_log_rank(int rank) { state().rank = rank; }

void set_log_sink(std::function<void(LogLevel, const std::string&)> sink) {
  const std::lock_guard lock(state().mutex);
  state().sink = std::move(sink);
}

void log(LogLevel level, const std::string& message) {
  if (level < state().level) return;
  const int rank = state().rank;
  const std::string line = rank < 0 ? message : concat("[rank ", rank, "] ", message);
  std::function<void(LogLevel, const std::string&)> sink;
  {
    const std::lock_guard lock(state().mutex);
    sink = state().sink;
  }
  if (sink) {
    sink(level, line);
  } else {
    state().console->log(to_spdlog(level), line);
  }
}

void log_once(const std::string& key, LogLevel level, const std::string& message) {
  {
    const std::lock_guard lock(state().mutex);
    if (!state().shown.insert(key).second) return;
  }
  log(level, message);
}

}  // namespace deepspeed::core

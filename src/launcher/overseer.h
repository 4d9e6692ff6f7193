// Whom a supervisor of ranks serves: the user in front of it, or the launcher on another host.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "launcher/failure_report.h"
#include "launcher/line_sink.h"
#include "launcher/watch.h"

namespace deepspeed::launcher {

/// What an overseer asks of the supervisor.
struct Demand {
  enum class Kind {
    kSignal,   ///< as if `signal` had come to this process
    kEnd,      ///< the launch is over (a rank of another host failed, or the connection is gone): end in short
    kSuspend,  ///< stop all ranks
    kResume    ///< let them go on
  };
  Kind kind = Kind::kEnd;
  int signal = 0;
};

/// One thread; none of these waits.
class Overseer {
 public:
  using Clock = std::chrono::steady_clock;
  virtual ~Overseer() = default;

  virtual LineSink& lines() = 0;
  /// Whether this process's standard streams are the user's, which ranks may share, or something of our own.
  virtual bool has_user_streams() const = 0;
  virtual void add_watches(std::vector<Watch>& watches) = 0;
  /// What is asked for now, if anything; looked at after each wait.
  virtual std::optional<Demand> next_demand() = 0;
  /// When next_demand() must be looked at even if no descriptor is ready.
  virtual std::optional<Clock::time_point> wake_at() const = 0;
  /// The first rank of this host that failed, as soon as it is seen; at most once.
  virtual void take_failure(const Failure& failure) = 0;
  virtual void say(const std::string& text) = 0;
};

}  // namespace deepspeed::launcher

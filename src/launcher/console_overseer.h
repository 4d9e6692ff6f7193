// The user in front of a launch on one host: a console, and no demands but signals.
#pragma once

#include <optional>

#include "launcher/console.h"
#include "launcher/overseer.h"

namespace deepspeed::launcher {

class ConsoleOverseer final : public Overseer {
 public:
  /// `collapses_lines_of`: shows equal lines of that many ranks once; 0: shows each.
  ConsoleOverseer(int live_rank, int collapses_lines_of);

  LineSink& lines() override { return console_; }
  bool has_user_streams() const override { return true; }
  void add_watches(std::vector<Watch>& watches) override { console_.add_watches(watches); }
  std::optional<Demand> next_demand() override {
    console_.release_lines();
    return std::nullopt;
  }
  std::optional<Clock::time_point> wake_at() const override { return console_.wake_at(); }
  void take_failure(const Failure& failure) override { failure_ = failure; }
  void say(const std::string& text) override { console_.say(text); }
  const std::optional<Failure>& failure() const { return failure_; }

  /// After the last rank: the block about the failure, or that `signal` (0: none) ended all, below all output.
  void finish(int signal);

 private:
  Console console_;
  std::optional<Failure> failure_;
};

}  // namespace deepspeed::launcher

// A loop over requests, and the meeting point beside it.
#include "hosts/probe.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <iostream>
#include <optional>

#include "deepspeed/error.h"
#include "hosts/meeting_point.h"
#include "hosts/read_facts.h"
#include "launcher/command.h"
#include "launcher/line_splitter.h"
#include "launcher/watch.h"

namespace deepspeed::hosts {
namespace {

class Probe {
 public:
  explicit Probe(const ToolCall& call) : call_(call) {}

  int run() {
    say(concat("\n", kProbePreamble, DS_VERSION));
    while (!is_at_end_) {
      std::vector<launcher::Watch> watches = {{STDIN_FILENO, POLLIN, [this] { read(); }}};
      if (point_) watches.push_back({point_->fd(), POLLIN, [this] { serve(); }});
      launcher::wait_for(watches, std::chrono::steady_clock::time_point::max());
    }
    return 0;
  }

 private:
  void serve() {
    if (point_) point_->serve();
  }

  void read() {
    std::array<char, 4096> buffer;
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) return;
    if (count <= 0) {
      is_at_end_ = true;
      return;
    }
    splitter_.feed({buffer.data(), static_cast<size_t>(count)}, [this](const launcher::Line& line) {
      say(std::visit([this](const auto& request) { return answer(request); }, decode_request(line.text)));
    });
  }

  std::string answer(const FactsRequest&) const { return encode_facts(facts_of_this_host(call_)); }

  std::string answer(const ClockRequest&) const {
    const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    return encode_clock(now.count());
  }

  std::string answer(const ListenRequest& request) {
    point_.reset();
    try {
      point_.emplace(request);
      return encode_listening({.port = point_->port()});
    } catch (const ValueError& error) {
      return encode_listening({.port = request.port, .fault = error.what()});
    }
  }

  std::string answer(const MeetRequest& request) const { return encode_meeting(meet(request)); }

  static void say(const std::string& line) { std::cout << line << std::endl; }

  const ToolCall& call_;
  launcher::LineSplitter splitter_;
  std::optional<MeetingPoint> point_;
  bool is_at_end_ = false;
};

}  // namespace

HostFacts facts_of_this_host(const ToolCall& call) {
  const auto folders = launcher::program_folders(call.invoked_as, call.environment);
  try {
    return read_facts(launcher::find_python(folders, call.environment).string(), "");
  } catch (const ValueError& error) {
    return read_facts("", error.what());
  }
}

int run_probe(const ToolCall& call) { return Probe(call).run(); }

}  // namespace deepspeed::hosts

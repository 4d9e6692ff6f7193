// The control connection's unit: a kind and some bytes, cut out of a stream. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace deepspeed::launcher {

/// [Note: Control connection]
/// A launch on several hosts has one agent a host, behind the standard input and output of an ssh, an srun or a local
/// process. An agent says kPreamble and kHello. When all have, each gets kOrder, plans, and answers kReady or
/// kRefused; when all are ready, all get kStart. Lines of ranks come as kLine, no more than the launcher has given
/// kCredit for, so that a slow reader of the launcher's output holds up lines and nothing else. The first failure of a
/// host is kFailure, at once; kEnded says that all its ranks are gone, and kLast that no line follows. kBeat goes both
/// ways every two seconds; a side that hears nothing for eight takes the other for lost, but not between kSuspend and
/// kResume. A side whose connection is
/// lost ends its ranks.
enum class FrameKind : uint8_t {
  // from the agent
  kHello = 1,
  kReady,
  kRefused,
  kLine,
  kSay,
  kFailure,
  kEnded,
  kLast,
  // from the launcher
  kOrder = 32,
  kStart,
  kSignal,
  kEnd,
  kSuspend,
  kResume,
  kCredit,
  // both
  kBeat = 64
};

struct Frame {
  FrameKind kind = FrameKind::kBeat;
  std::string payload;
};

/// What an agent says first; a login shell may have said something before.
inline constexpr std::string_view kPreamble = "\ndeepspeed host agent, protocol 2\n";
inline constexpr size_t kLargestFrameBytes = 16 << 20;

/// Four bytes of length (of kind and payload, big end first), the kind, the payload, and a newline: srun passes on what
/// ends in one, and keeps back the rest.
std::string encode_frame(FrameKind kind, std::string_view payload);

class FrameDecoder {
 public:
  /// `skips_to_preamble`: frames begin after kPreamble; what stands before is kept, to be shown.
  explicit FrameDecoder(bool skips_to_preamble) : is_skipping_(skips_to_preamble) {}

  void feed(std::string_view bytes);
  /// The next whole frame. Throws ValueError on a length or kind that cannot be, and where no preamble comes.
  std::optional<Frame> next();
  bool has_begun() const { return !is_skipping_; }
  const std::string& skipped() const { return skipped_; }
  /// What has come and is no frame yet; all of it where frames have not begun.
  const std::string& unread() const { return buffer_; }

 private:
  void skip();

  bool is_skipping_;
  std::string buffer_;
  std::string skipped_;
};

}  // namespace deepspeed::launcher

// Why a host gave no answer over ssh, in words and with what to do. Pure: from what ssh said and how it ended.
#pragma once

#include <string>
#include <vector>

namespace deepspeed::hosts {

enum class NoAnswerKind {
  kUnknownHostKey,   ///< ssh has never seen the host, and may not ask
  kChangedHostKey,   ///< it has another key than the known one
  kNeedsPassword,    ///< no key of ours is accepted
  kRefused,          ///< nobody listens on the port of ssh
  kTimedOut,         ///< nothing came back in time
  kNoRoute,          ///< no way there
  kUnknownName,      ///< the name has no address
  kClosed,           ///< the other side hung up before it had answered
  kProgramNotFound,  ///< ssh works; our program is not there
  kOtherVersion,     ///< our program there is of another version
  kOther             ///< anything else; ssh's own words say what
};

struct NoAnswer {
  NoAnswerKind kind = NoAnswerKind::kOther;
  std::string what;    ///< a sentence without its full stop
  std::string remedy;  ///< a sentence, or empty
};

/// A short name of the kind, for programs that read our JSON.
const char* name_of(NoAnswerKind kind);

/// How an ssh ended that brought no answer.
struct SshEnd {
  std::string host;
  int exit_code = 0;
  bool timed_out = false;
  double patience_s = 0;  ///< with timed_out
  std::vector<std::string> error_lines = {};
  std::string program = {};  ///< that should have answered; empty: none of ours
};

NoAnswer explain_no_answer(const SshEnd& end);

/// Where what it answers is no answer, for the reason `why`.
NoAnswer senseless_answer(std::string why);

/// Where our program there has begun, but says nothing for so long.
NoAnswer slow_probe(double waited_s);

/// Where both ends have the program, but not the same one.
NoAnswer other_version(const std::string& there, const std::string& here);

}  // namespace deepspeed::hosts

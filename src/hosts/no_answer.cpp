// A table of what OpenSSH says. Its messages are not translated, and have stood for many years.
#include "hosts/no_answer.h"

#include <array>
#include <string_view>

#include "deepspeed/error.h"
#include "hosts/table.h"

namespace deepspeed::hosts {
namespace {

constexpr int kSshFailed = 255;
constexpr int kNotFound = 127;
constexpr int kNotExecutable = 126;
constexpr size_t kMostQuotedBytes = 300;

struct Message {
  std::string_view part;
  NoAnswerKind kind;
};

// In this order: a changed key is followed by "Host key verification failed." too.
constexpr std::array<Message, 19> kMessages = {{
    {"REMOTE HOST IDENTIFICATION HAS CHANGED", NoAnswerKind::kChangedHostKey},
    {"Host key for", NoAnswerKind::kChangedHostKey},
    {"Host key verification failed", NoAnswerKind::kUnknownHostKey},
    {"host key is known for", NoAnswerKind::kUnknownHostKey},
    {"Permission denied", NoAnswerKind::kNeedsPassword},
    {"Too many authentication failures", NoAnswerKind::kNeedsPassword},
    {"Connection refused", NoAnswerKind::kRefused},
    {"Connection timed out", NoAnswerKind::kTimedOut},
    {"Operation timed out", NoAnswerKind::kTimedOut},
    {"timed out during banner exchange", NoAnswerKind::kTimedOut},
    {"not responding", NoAnswerKind::kTimedOut},
    {"No route to host", NoAnswerKind::kNoRoute},
    {"Network is unreachable", NoAnswerKind::kNoRoute},
    {"Could not resolve hostname", NoAnswerKind::kUnknownName},
    {"Name or service not known", NoAnswerKind::kUnknownName},
    {"Connection closed by", NoAnswerKind::kClosed},
    {"Connection reset by", NoAnswerKind::kClosed},
    {"kex_exchange_identification", NoAnswerKind::kClosed},
    {"Broken pipe", NoAnswerKind::kClosed},
}};

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    if (!line.empty() && line.find_first_not_of('@') != std::string::npos) text += (text.empty() ? "" : " / ") + line;
  }
  if (text.size() > kMostQuotedBytes) text = "... " + text.substr(text.size() - kMostQuotedBytes);
  return text;
}

// What holds for ssh's failures: they are told apart by its words.
NoAnswerKind kind_of(const std::vector<std::string>& lines) {
  for (const Message& message : kMessages) {
    for (const std::string& line : lines) {
      if (line.find(message.part) != std::string::npos) return message.kind;
    }
  }
  return NoAnswerKind::kOther;
}

NoAnswer program_not_found(const SshEnd& end) {
  return {
      NoAnswerKind::kProgramNotFound,
      concat("ssh works, but there is no ", end.program, " there, neither at the path that it has here nor on PATH"),
      "Install deepspeed at the same place on every host."};
}

NoAnswer explain(NoAnswerKind kind, const SshEnd& end, const std::string& said) {
  const std::string& host = end.host;
  switch (kind) {
    case NoAnswerKind::kUnknownHostKey:
      return {kind, "ssh does not know its host key and may not ask",
              concat("Look at the key and accept it once: ssh ", host, " true")};
    case NoAnswerKind::kChangedHostKey:
      return {kind, "its host key is not the known one",
              concat("If the host was set up anew, forget the old key: ssh-keygen -R ", host,
                     ". Else somebody stands between.")};
    case NoAnswerKind::kNeedsPassword:
      return {kind, concat("ssh needs a password, or no key of ours is accepted (", said, ")"),
              concat("Give it your key once: ssh-copy-id ", host)};
    case NoAnswerKind::kRefused:
      return {kind, concat("connection refused: no sshd listens there (", said, ")"),
              "Start sshd there, or name its port with --ssh_port."};
    case NoAnswerKind::kTimedOut:
      return {kind, concat("no answer: the host is down, or a firewall drops packets (", said, ")"),
              concat("Try: ping ", host)};
    case NoAnswerKind::kNoRoute:
      return {kind, concat("no way there (", said, ")"), "Is the host up, and the address right?"};
    case NoAnswerKind::kUnknownName:
      return {kind, "the name has no address",
              "Write an address in its place, or add the name to /etc/hosts or to ~/.ssh/config."};
    case NoAnswerKind::kClosed:
      return {kind, concat("the connection was closed before an answer came (", said, ")"),
              "Its sshd may be starting, at its limit of connections (MaxStartups), or refuse this host."};
    case NoAnswerKind::kProgramNotFound:
      return program_not_found(end);
    default:
      return {kind, concat("ssh failed: ", said.empty() ? std::string("it says nothing") : said),
              concat("Try: ssh ", host, " true")};
  }
}

}  // namespace

const char* name_of(NoAnswerKind kind) {
  switch (kind) {
    case NoAnswerKind::kUnknownHostKey:
      return "host_key_unknown";
    case NoAnswerKind::kChangedHostKey:
      return "host_key_changed";
    case NoAnswerKind::kNeedsPassword:
      return "password_needed";
    case NoAnswerKind::kRefused:
      return "connection_refused";
    case NoAnswerKind::kTimedOut:
      return "timed_out";
    case NoAnswerKind::kNoRoute:
      return "no_route";
    case NoAnswerKind::kUnknownName:
      return "unknown_name";
    case NoAnswerKind::kClosed:
      return "connection_closed";
    case NoAnswerKind::kProgramNotFound:
      return "program_not_found";
    case NoAnswerKind::kOtherVersion:
      return "other_version";
    case NoAnswerKind::kOther:
      break;
  }
  return "other";
}

NoAnswer explain_no_answer(const SshEnd& end) {
  const std::string said = joined(end.error_lines);
  if (end.timed_out) {
    const NoAnswerKind kind = NoAnswerKind::kTimedOut;
    return explain(kind, end, said.empty() ? concat("nothing came within ", end.patience_s, " s") : said);
  }
  if (end.exit_code == kSshFailed) return explain(kind_of(end.error_lines), end, said);
  if (!end.program.empty() && (end.exit_code == kNotFound || end.exit_code == kNotExecutable)) {
    return program_not_found(end);
  }
  return {NoAnswerKind::kOther,
          concat("ssh works, but what ran there ended with exit code ", end.exit_code, " and gave no answer",
                 said.empty() ? "" : ": ", said),
          "Does its login shell start and print nothing unusual?"};
}

NoAnswer senseless_answer(std::string why) {
  if (why.ends_with('.')) why.pop_back();
  return {NoAnswerKind::kOther, concat("its answer makes no sense: ", why),
          "Is deepspeed the same version there? Nothing that its login shell starts may print anything later."};
}

NoAnswer slow_probe(double waited_s) {
  return {NoAnswerKind::kOther,
          concat("ssh works, but the probe there did not answer within ", rounded(waited_s), " s"),
          "Is the host overloaded, or its Python on a slow file system? Give it longer with --timeout."};
}

NoAnswer other_version(const std::string& there, const std::string& here) {
  return {NoAnswerKind::kOtherVersion, concat("its deepspeed-cpp is version ", there, ", here it is ", here),
          "Install the same version on every host."};
}

}  // namespace deepspeed::hosts

// Signals in words, and the block about the first failure.
#include "launcher/failure_report.h"

#include <sys/wait.h>

#include <csignal>
#include <cstring>
#include <sstream>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

constexpr size_t kLongestShownLineBytes = 2000;
constexpr int kSignalExitBase = 128;

std::string oom_in_words(const MemoryFacts& memory) {
  if (!memory.before || !memory.after) return "killed, perhaps by the kernel's out-of-memory killer";
  if (memory.after->count > memory.before->count) {
    return concat("killed by the kernel's out-of-memory killer, most likely (", memory.after->source, " oom_kill went ",
                  memory.before->count, " -> ", memory.after->count, "); use less memory a rank, or fewer ranks");
  }
  return concat("killed from outside: kill -9, a job scheduler, or an out-of-memory killer that is not the kernel's (",
                memory.after->source, " oom_kill stayed ", memory.after->count, ")");
}

std::string signal_in_words(int signal, const MemoryFacts& memory) {
  switch (signal) {
    case SIGKILL:
      return "SIGKILL: " + oom_in_words(memory);
    case SIGSEGV:
      return "SIGSEGV: segmentation fault, a read or write of memory that is not there";
    case SIGBUS:
      return concat("SIGBUS: a page of mapped memory could not be had; often /dev/shm is full (its size is ",
                    memory.shared_memory_bytes >> 20, " MiB; in docker, --shm-size) or a mapped file became shorter");
    case SIGABRT:
      return "SIGABRT: the program gave up (abort, an uncaught C++ exception, or a failed check); its last lines say "
             "why";
    case SIGFPE:
      return "SIGFPE: an integer division by zero, or overflow";
    case SIGILL:
      return "SIGILL: an instruction that this CPU does not have";
    case SIGTERM:
      return "SIGTERM: asked to end, from outside this launch";
    case SIGINT:
      return "SIGINT: interrupted (Ctrl-C)";
    case SIGHUP:
      return "SIGHUP: its terminal went away";
    case SIGPIPE:
      return "SIGPIPE: wrote to a pipe that nobody reads";
    case SIGXCPU:
      return "SIGXCPU: over its limit of CPU time (ulimit -t)";
    case SIGXFSZ:
      return "SIGXFSZ: over its limit of file size (ulimit -f)";
    default:
      return concat("signal ", signal, " (", ::strsignal(signal), ")");
  }
}

bool is_plain(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,@%+";
  return !word.empty() && word.find_first_not_of(kPlain) == std::string::npos;
}

}  // namespace

void LastLines::add(const Line& line) {
  if (is_open_ && !lines_.empty()) {
    lines_.back() = line.text.substr(0, kLongestShownLineBytes);
  } else {
    lines_.emplace_back(line.text.substr(0, kLongestShownLineBytes));
  }
  is_open_ = line.end == LineEnd::kReturn;
  if (lines_.size() > kMostLines) lines_.pop_front();
}

std::vector<std::string> LastLines::lines() const { return {lines_.begin(), lines_.end()}; }

int exit_code_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? kSignalExitBase + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

std::string describe_exit(int wait_status, const MemoryFacts& memory) {
  if (WIFSIGNALED(wait_status)) return signal_in_words(WTERMSIG(wait_status), memory);
  return concat("exit code ", WEXITSTATUS(wait_status));
}

std::string quoted(const std::vector<std::string>& command) {
  std::string text;
  for (const std::string& word : command) {
    if (!text.empty()) text += ' ';
    if (is_plain(word)) {
      text += word;
      continue;
    }
    text += '\'';
    for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    text += '\'';
  }
  return text;
}

std::string describe_failure(const Failure& failure) {
  std::ostringstream out;
  out << "deepspeed: rank " << failure.rank << " failed"
      << (failure.world_size > 1 ? " first; the others were ended" : "") << ".\n"
      << "  rank      " << failure.rank << " of " << failure.world_size << ", local rank " << failure.local_rank << "\n"
      << "  host      " << failure.host << "\n"
      << "  pid       " << failure.pid << "\n"
      << "  command   " << quoted(failure.command) << "\n"
      << "  ended by  " << failure.ended_by << "\n";
  if (!failure.log_file.empty()) out << "  log       " << failure.log_file << "\n";
  if (failure.is_on_console) {
    out << "  Its output is above.\n";
  } else if (failure.lines.empty()) {
    out << "  It printed nothing.\n";
  } else {
    out << "  Its last lines:\n";
    for (const std::string& line : failure.lines) out << "    | " << line << "\n";
  }
  return out.str();
}

}  // namespace deepspeed::launcher

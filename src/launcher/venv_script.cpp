// bash, env -0, and setenv.
#include "launcher/venv_script.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>

#include "core/subprocess.h"
#include "deepspeed/error.h"
#include "launcher/environment_values.h"
#include "launcher/failure_report.h"
#include "launcher/launch_plan.h"

namespace deepspeed::launcher {
namespace {

// The script sees no arguments, and its output stays out of ours. PATH may be another one behind it.
constexpr const char* kSource =
    "deepspeed_script=$1 deepspeed_env=$2; set --; . \"$deepspeed_script\" >&2 && exec \"$deepspeed_env\" -0";

// Of bash itself, not of the script.
constexpr std::array<std::string_view, 4> kShellsOwn = {"_", "OLDPWD", "PWD", "SHLVL"};

bool is_shells_own(const std::string& name) {
  return std::find(kShellsOwn.begin(), kShellsOwn.end(), name) != kShellsOwn.end();
}

std::string find_tool(const std::string& name, const std::string& host_name) {
  const auto found = find_on_path(name, environment_map());
  DS_CHECK(found, ValueError, "[launcher] --venv_script on host ", host_name, ": no ", name,
           " on PATH, which sources the script. Install it, or leave the flag out.");
  return found->string();
}

Environment parse_block(std::string_view text) {
  Environment variables;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\0'), text.size());
    const std::string_view one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = one.find('=');
    if (equals != std::string_view::npos && equals > 0) {
      variables.emplace(one.substr(0, equals), one.substr(equals + 1));
    }
  }
  return variables;
}

void replace_environment(const Environment& before, const Environment& after) {
  for (const auto& [name, value] : before) {
    if (!is_shells_own(name) && after.count(name) == 0) ::unsetenv(name.c_str());
  }
  for (const auto& [name, value] : after) {
    if (!is_shells_own(name)) ::setenv(name.c_str(), value.c_str(), 1);
  }
}

}  // namespace

VenvScript::VenvScript(const std::string& path, std::string host_name) : host_name_(std::move(host_name)) {
  std::error_code error;
  path_ = std::filesystem::absolute(path, error);  // a bare name would be looked for on PATH
  DS_CHECK(std::filesystem::exists(path_, error), ValueError, "[launcher] --venv_script ", path_.string(), " on host ",
           host_name_, ": no such file. It has to be at the same place on every host.");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw IoError("[launcher] a pipe to --venv_script", path_.string(), errno);
  output_ = core::Descriptor(ends[0]);
  const core::Descriptor write_end(ends[1]);
  const core::Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  pid_ = core::spawn(
      {.command = {find_tool("bash", host_name_), "-c", kSource, "bash", path_.string(), find_tool("env", host_name_)},
       .environment = core::current_environment(),
       .stdin_fd = null.get(),
       .stdout_fd = write_end.get(),
       .own_process_group = false});  // Ctrl-C is for it too
  is_running_ = true;
  handle_ = core::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
}

VenvScript::~VenvScript() {
  if (!is_running_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void VenvScript::add_watches(std::vector<Watch>& watches) {
  if (output_) watches.push_back({output_.get(), POLLIN, [this] { read(); }});
  if (output_ && handle_) watches.push_back({handle_.get(), POLLIN, [this] { read_rest(); }});
}

// Whether there may be more.
bool VenvScript::read() {
  if (!output_) return false;
  std::array<char, 4096> buffer;
  const ssize_t count = ::read(output_.get(), buffer.data(), buffer.size());
  if (count > 0) text_.append(buffer.data(), static_cast<size_t>(count));
  if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)) output_.reset();
  return count > 0 || (count < 0 && errno == EINTR);
}

// bash is gone, and its end of the pipe may live on in what the script has left behind.
void VenvScript::read_rest() {
  if (!output_) return;
  ::fcntl(output_.get(), F_SETFL, ::fcntl(output_.get(), F_GETFL) | O_NONBLOCK);
  while (read()) {
  }
  output_.reset();
}

std::vector<std::filesystem::path> VenvScript::apply() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  is_running_ = false;
  DS_CHECK(exit_code_of(status) == 0, ValueError, "[launcher] --venv_script ", path_.string(), " on host ", host_name_,
           " failed with exit code ", exit_code_of(status), ". Try `bash -c '. ", path_.string(), "'` there.");
  DS_CHECK(!text_.empty(), ValueError, "[launcher] --venv_script ", path_.string(), " on host ", host_name_,
           " ended its shell with exit code 0. It is sourced: let it end with `return`, not `exit`.");
  const Environment before = environment_map();
  const Environment after = parse_block(text_);
  replace_environment(before, after);
  std::vector<std::filesystem::path> folders;
  for (const char* name : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    const std::string folder = variable(after, name);
    if (!folder.empty() && folder != variable(before, name)) folders.push_back(std::filesystem::path(folder) / "bin");
  }
  return folders;
}

}  // namespace deepspeed::launcher

// Greeting, planning, and handing over to the supervisor.
#include "launcher/agent.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "core/descriptor.h"
#include "core/environment.h"
#include "deepspeed/error.h"
#include "launcher/agent_guard.h"
#include "launcher/agent_overseer.h"
#include "launcher/launch_plan.h"
#include "launcher/master_address.h"
#include "launcher/messages.h"
#include "launcher/pid_file.h"
#include "launcher/python_versions.h"
#include "launcher/reserved_port.h"
#include "launcher/supervisor.h"
#include "launcher/venv_script.h"

namespace deepspeed::launcher {
namespace {

constexpr int kLostExit = 1;
constexpr std::chrono::seconds kPythonPatience{5};  // below the silence that a launcher takes for a loss

// The connection under numbers of its own, so that nothing that is printed by accident gets into it.
core::Descriptor take_over(int fd) {
  core::Descriptor copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) throw IoError("[launcher.agent] the control connection", "dup", errno);
  const core::Descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ::dup2(null.get(), fd);
  return copy;
}

// Slurm only says who called.
void read_way_here(Hello& hello) {
  if (const auto launcher = core::environment("SLURM_LAUNCH_NODE_IPADDR")) {
    hello.caller_address = *launcher;
    hello.called_address = own_address_towards(*launcher);
    return;
  }
  const SshConnection connection = ssh_connection();
  hello.caller_address = connection.client_address;
  hello.called_address = connection.server_address;
}

void enter(const StartOrder& order) {
  for (const auto& [name, value] : order.environment) ::setenv(name.c_str(), value.c_str(), 1);
  DS_CHECK(::chdir(order.folder.c_str()) == 0, ValueError, "[launcher] the folder ", order.folder, ": ",
           std::strerror(errno), ". Ranks start in the folder of the command, which every host has to have.");
  if (order.hosts.size() > 1) choose_gloo_interface(order.master_addr);
}

class Agent {
 public:
  Agent(std::string invoked_as, pid_t guard)
      : invoked_as_(std::move(invoked_as)),
        guard_(guard),
        in_(take_over(STDIN_FILENO)),
        out_(take_over(STDOUT_FILENO)),
        channel_(in_.get(), out_.get(), false) {}

  int run() {
    greet();
    try {
      const auto order = await(FrameKind::kOrder);
      if (!order) return kLostExit;
      prepare(decode_order(order->payload));
      channel_.send(FrameKind::kReady, versions_of_ranks());
      if (!await(FrameKind::kStart)) return kLostExit;
      return supervise();
    } catch (const std::exception& error) {
      return refuse(error.what());
    }
  }

 private:
  void greet() {
    port_.emplace();
    machine_ = read_machine("/", usable_cpus());
    Hello hello{.version = DS_VERSION,
                .host_name = machine_.host_name,
                .pid = ::getpid(),
                .free_port = port_->port(),
                .addresses = interface_addresses(),
                .num_gpus = num_usable_gpus(machine_, environment_map())};
    read_way_here(hello);
    channel_.send_bytes(kPreamble);
    channel_.send(FrameKind::kHello, encode_hello(hello));
  }

  // Nothing: the connection is gone, or the launch is called off.
  std::optional<Frame> await(FrameKind kind) {
    while (true) {
      if (auto frame = channel_.next()) {
        if (frame->kind == FrameKind::kEnd) return std::nullopt;
        DS_CHECK(frame->kind == kind, ValueError, "[launcher.agent] a frame of kind ", static_cast<int>(frame->kind),
                 ", expected ", static_cast<int>(kind), ".");
        return frame;
      }
      if (channel_.is_closed() || channel_.keep_alive()) return std::nullopt;
      step();
    }
  }

  void step() {
    std::vector<Watch> watches;
    channel_.add_watches(watches);
    wait_for(watches, channel_.next_beat());
  }

  // The launcher hears from us however long it takes.
  std::vector<std::filesystem::path> source_venv_script() {
    if (options_.several_hosts.venv_script.empty()) return {};
    VenvScript script(options_.several_hosts.venv_script, machine_.host_name);
    while (!script.is_done()) {
      DS_CHECK(!channel_.is_closed() && !channel_.keep_alive(), ValueError,
               "[launcher.agent] the launcher is gone while --venv_script runs.");
      std::vector<Watch> watches;
      channel_.add_watches(watches);
      script.add_watches(watches);
      wait_for(watches, channel_.next_beat());
    }
    return script.apply();
  }

  // Where Python is looked for. The script may set another PATH.
  std::vector<std::filesystem::path> folders_of_python() {
    const auto others = program_folders(invoked_as_, environment_map());
    auto folders = source_venv_script();
    folders.insert(folders.end(), others.begin(), others.end());
    return folders;
  }

  void prepare(const StartOrder& order) {
    options_ = std::get<Options>(parse_options(order.arguments));
    core::set_log_level(options_.log_level);
    enter(order);
    if (order.host_index != 0) {
      port_.reset();
    } else if (order.master_port != port_->port()) {
      port_.emplace(order.master_port);
    }
    const auto folders = folders_of_python();
    PlanInputs inputs;
    inputs.environment = environment_map();
    inputs.machine = machine_;
    inputs.hosts = order.hosts;
    inputs.host_index = static_cast<size_t>(order.host_index);
    inputs.master_addr = order.master_addr;
    inputs.master_port = order.master_port;
    inputs.timestamp = order.timestamp;
    inputs.command = resolve_command(options_, folders, inputs.environment);
    if (inputs.command.words.size() > 1) interpreter_ = inputs.command.words.front();
    plan_ = plan_launch(options_, inputs);
    log_plan(plan_);
  }

  // What the launcher compares before it starts anything; empty where there is nothing to compare.
  std::string versions_of_ranks() const {
    if (plan_.hosts.size() < 2 || options_.several_hosts.no_ssh_check || interpreter_.empty()) return {};
    return encode_versions(ask_python(interpreter_, kPythonPatience));
  }

  int supervise() {
    std::optional<PidFile> pid_file;
    if (options_.save_pid) pid_file.emplace();
    AgentOverseer overseer(channel_, guard_);
    const auto result = Supervisor(plan_, machine_.host_name, overseer).run();
    pid_file.reset();  // after the last frame a local launcher kills us
    overseer.finish(result.exit_code);
    return overseer.is_lost() ? kLostExit : 0;
  }

  int refuse(const std::string& why) {
    channel_.send(FrameKind::kRefused, why);
    while (!channel_.is_closed() && !channel_.is_drained()) step();
    return kLostExit;
  }

  std::string invoked_as_;
  pid_t guard_;
  core::Descriptor in_, out_;
  FrameChannel channel_;
  std::optional<ReservedPort> port_;
  Machine machine_;
  Options options_;
  LaunchPlan plan_;
  std::string interpreter_;  // of the ranks; empty: they are programs
};

}  // namespace

int run_agent(const std::string& invoked_as) {
  return run_guarded([&](pid_t guard) { return Agent(invoked_as, guard).run(); });
}

}  // namespace deepspeed::launcher

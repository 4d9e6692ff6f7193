// The command line of `deepspeed`: every flag of DeepSpeed 0.19.8, as one struct of values.
// What stands after the script belongs to the script, whatever it looks like.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/log.h"

namespace deepspeed::launcher {

/// Rank 0's port where it has to be known without asking anyone; as torch and DeepSpeed have it.
inline constexpr int kDefaultPort = 29500;
inline constexpr int kLargestPort = 65535;

/// Flags about several hosts.
struct SeveralHostsOptions {
  int num_nodes = -1;         ///< --num_nodes: use the first N hosts; -1: all
  int node_rank = -1;         ///< --node_rank: this host's number, with --no_ssh
  int max_restarts = 0;       ///< --max_restarts: how often a launch that has failed is started again
  int min_nodes = 0;          ///< --min_nodes: hosts that are enough for that; 0: all are needed
  std::string launcher;       ///< --launcher; empty: slurm in a Slurm job, else ssh
  std::string launcher_args;  ///< --launcher_args: words for ssh or srun
  std::string ssh_port;       ///< --ssh_port; empty: what ssh's configuration says
  std::string venv_script;    ///< --venv_script: sourced on each host; empty: none
  std::string autotuning;     ///< --autotuning: "tune" or "run"
  bool no_ssh = false;        ///< --no_ssh
  bool no_ssh_check = false;  ///< --no_ssh_check: hosts may have different versions of Python, torch, deepspeed
  bool force_multi = false;   ///< --force_multi: an agent over ssh even for one host that is this one
};

struct Options {
  std::optional<std::string> hostfile;               ///< --hostfile; absent: /job/hostfile where that exists
  std::string include;                               ///< --include: HOST[:SLOT[,SLOT...]][@HOST...]
  std::string exclude;                               ///< --exclude: as include
  std::optional<int> num_gpus;                       ///< --num_gpus, --num_accelerators: ranks a host
  std::string master_addr;                           ///< --master_addr; empty: 127.0.0.1, or found on several hosts
  std::optional<int> master_port;                    ///< --master_port; absent: a free port
  bool module = false;                               ///< --module: `script` names a Python module
  bool no_python = false;                            ///< --no_python: `script` is a program
  bool no_local_rank = false;                        ///< --no_local_rank: do not pass --local_rank=N
  bool bind_cores_to_rank = false;                   ///< --bind_cores_to_rank
  std::string bind_core_list;                        ///< --bind_core_list, for example 0-3,8; empty: all physical cores
  std::string rank_log_folder;                       ///< --enable_each_rank_log; empty: output goes to the console
  bool save_pid = false;                             ///< --save_pid
  bool collapse_lines = false;                       ///< --collapse_lines: equal lines of several ranks are one
  core::LogLevel log_level = core::LogLevel::kInfo;  ///< --log_level, -q: this launcher's own messages
  SeveralHostsOptions several_hosts;

  std::string script;
  std::vector<std::string> script_arguments;
};

/// The text that -h asks for.
struct HelpText {
  std::string text;
};

/// Reads the arguments without the program's name. Throws ValueError that names the flag, its value and, for an
/// unknown flag, the nearest known one.
std::variant<Options, HelpText> parse_options(const std::vector<std::string>& arguments);

/// Throws NotSupported, naming the flag, where one is given that this version does not have.
void require_landed(const SeveralHostsOptions& options);

}  // namespace deepspeed::launcher

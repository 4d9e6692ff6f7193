// The flags, in groups, on CLI11.
#include "launcher/options.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <memory>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

constexpr const char* kExamples = R"(Examples:
  deepspeed train.py --deepspeed_config ds_config.json
      one rank on each GPU of this machine; without GPUs, one on each CPU socket
  deepspeed --num_gpus 2 train.py --epochs 3
      two ranks; --epochs 3 goes to train.py, and so does all else that follows it
  deepspeed --include localhost:0,2 --no_python ./train ds_config.json
      a C++ program, on GPUs 0 and 2
  deepspeed --hostfile hostfile.txt train.py --deepspeed_config ds_config.json
      on all hosts of a file with lines `node1 slots=4`, over ssh without a password; this command, the script and the
      folder are at the same place on each. `ds_hosts` writes such a file, `ds_check` says what would go wrong
  deepspeed --no_ssh --node_rank 1 --master_addr node1 --hostfile hostfile.txt train.py
      without ssh: the same command on each host, each with its own number
  salloc --nodes 2 --gpus-per-node 4 deepspeed train.py
      in a Slurm job (salloc, sbatch) without a flag: a rank on each GPU of the job; without GPUs, one for each task
  srun --nodes 2 --ntasks-per-node 1 deepspeed train.py
      the same by srun: with one task a host each starts its host's ranks, with more each is one rank, as under mpirun

Each rank finds RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT in its environment.
When a rank fails, all others are ended and the exit code is that rank's own, or 128 + its signal. Ctrl-C and SIGTERM
are passed on, and ranks get 30 seconds to save; a second one kills them.
On several hosts variables that begin with NCCL, TORCH_, PYTHON, UCX, GLOO_, OMP_, MV2, MLFLOW, DS_ or DEEPSPEED_ go along,
and so do lines NAME=VALUE of ~/.deepspeed_env and ./.deepspeed_env (another name: DS_ENV_FILE).)";

class HelpFormatter final : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(36); }
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: deepspeed [flags] script [arguments of the script]\n";
  }
};

// What CLI11 fills in; texts that need a second look (levels, "None") are turned into Options afterwards.
struct RawOptions {
  Options options;
  std::string hostfile;
  std::string rank_log_folder = "None";
  std::string log_level = "info";
  int num_gpus = -1;
  int master_port = 0;
  bool quiet = false;
};

void add_rank_flags(CLI::App& app, RawOptions& raw) {
  const std::string group = "Which ranks";
  app.add_option("--num_gpus,--num_accelerators", raw.num_gpus,
                 "Ranks to start: GPUs 0 to N-1, or N CPU ranks where there is no GPU (default: all GPUs; no GPU: one "
                 "rank a CPU socket)")
      ->group(group)
      ->type_name("N");
  app.add_option("-i,--include", raw.options.include, "Use only these: HOST[:SLOT[,SLOT...]], several joined by @")
      ->group(group)
      ->type_name("SLOTS");
  app.add_option("-e,--exclude", raw.options.exclude, "Use all but these; as --include")
      ->group(group)
      ->type_name("SLOTS");
  app.add_option("-H,--hostfile", raw.hostfile,
                 "File with lines `HOST slots=N` (default: /job/hostfile where it exists)")
      ->group(group)
      ->type_name("FILE");
}

void add_program_flags(CLI::App& app, RawOptions& raw) {
  const std::string group = "What to run";
  app.add_flag("--module", raw.options.module, "The script is a Python module, as in `python -m`")->group(group);
  app.add_flag("--no_python", raw.options.no_python, "The script is a program; run it without Python")->group(group);
  app.add_flag("--no_local_rank", raw.options.no_local_rank, "Do not pass --local_rank=N to the script")->group(group);
  app.add_option(
         "--venv_script", raw.options.several_hosts.venv_script,
         "Let a bash source this on each host before ranks start; they get its variables, and the Python of the "
         "virtual environment that it activates")
      ->group(group)
      ->type_name("FILE");
}

void add_rendezvous_flags(CLI::App& app, RawOptions& raw) {
  const std::string group = "How ranks meet";
  app.add_option("--master_addr", raw.options.master_addr,
                 "Address of rank 0 (default: 127.0.0.1; on several hosts, found)")
      ->group(group)
      ->type_name("ADDRESS");
  app.add_option("--master_port", raw.master_port, "Port of rank 0 (default: a free one, kept for this launch)")
      ->group(group)
      ->type_name("PORT");
}

void add_binding_flags(CLI::App& app, RawOptions& raw) {
  const std::string group = "CPU cores";
  app.add_flag("--bind_cores_to_rank", raw.options.bind_cores_to_rank,
               "Give each rank cores of its own and set OMP_NUM_THREADS to their number")
      ->group(group);
  app.add_option("--bind_core_list", raw.options.bind_core_list,
                 "Cores to share out, such as 0-3,8 (default: all physical cores)")
      ->group(group)
      ->type_name("LIST");
}

void add_output_flags(CLI::App& app, RawOptions& raw) {
  const std::string group = "Output";
  app.add_option("--enable_each_rank_log", raw.rank_log_folder,
                 "Write each rank's output to FOLDER/<time>_rank<N>.log, not to the console")
      ->group(group)
      ->type_name("FOLDER");
  app.add_flag("--collapse_lines", raw.options.collapse_lines,
               "Show a line once that several ranks print within a quarter of a second, as [ranks 0-3]")
      ->group(group);
  app.add_option("--log_level", raw.log_level,
                 "Of the launcher's own messages: debug, info, warning, error, critical (default: info)")
      ->group(group)
      ->type_name("LEVEL");
  app.add_flag("-q,--quiet", raw.quiet, "Same as --log_level error")->group(group);
  app.add_flag("--save_pid", raw.options.save_pid, "Write the launcher's pid to /tmp/<pid>.deepspeed while it runs")
      ->group(group);
}

void add_restart_flags(CLI::App& app, RawOptions& raw) {
  const std::string group = "After a failure";
  app.add_option("--max_restarts", raw.options.several_hosts.max_restarts,
                 "Start all ranks again up to N times (default: 0). They find the count in DEEPSPEED_RESTART_COUNT; a "
                 "script that begins with engine.load_checkpoint(folder) resumes")
      ->group(group)
      ->type_name("N");
  app.add_option(
         "--min_nodes", raw.options.several_hosts.min_nodes,
         "With --max_restarts: go on without hosts that were lost while at least N are left (default: all hosts)")
      ->group(group)
      ->type_name("N");
}

void add_several_hosts_flags(CLI::App& app, RawOptions& raw) {
  const std::string group = "Several hosts";
  SeveralHostsOptions& hosts = raw.options.several_hosts;
  app.add_option("--num_nodes", hosts.num_nodes, "Use the first N hosts of the hostfile (default: all)")
      ->group(group)
      ->type_name("N");
  app.add_option(
         "--launcher", hosts.launcher,
         "ssh, slurm, or local: every host of the hostfile is played by this one (default: slurm inside a job "
         "without a hostfile, else ssh). pdsh, openmpi, mpich, impi: that program takes over, and watches as it "
         "does")
      ->group(group)
      ->type_name("NAME");
  app.add_option("--launcher_args", hosts.launcher_args,
                 "Flags for ssh, such as '-i ~/.ssh/cluster -l me', or for srun, pdsh or mpirun")
      ->group(group)
      ->type_name("TEXT");
  app.add_option("--ssh_port", hosts.ssh_port, "Port of sshd (default: what ssh's configuration says)")
      ->group(group)
      ->type_name("PORT");
  app.add_flag("--no_ssh", hosts.no_ssh,
               "Start this host's ranks only; give the same command on each host, with --node_rank and --master_addr. "
               "No connection joins these commands: when one fails, the others' ranks end when they miss their peers")
      ->group(group);
  app.add_option("--node_rank", hosts.node_rank, "Number of this host, from 0, with --no_ssh")
      ->group(group)
      ->type_name("N");
  app.add_flag("--force_multi", hosts.force_multi, "Over ssh even if the only host is this one")->group(group);
  app.add_flag("--no_ssh_check", hosts.no_ssh_check,
               "Start even if hosts have different versions of Python, torch, deepspeed, CUDA or NCCL")
      ->group(group);
  const std::string later = "Not in this version: these stop with a message";
  app.add_option("--autotuning", hosts.autotuning, "tune or run")->group(later)->type_name("MODE");
}

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string nearest_flag(const CLI::App& app, const std::string& name) {
  std::string best;
  size_t best_distance = 4;  // further off is another word
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& known : option->get_lnames()) {
      const size_t distance = edit_distance(name, "--" + known);
      if (distance < best_distance) {
        best_distance = distance;
        best = "--" + known;
      }
    }
  }
  return best;
}

[[noreturn]] void fail_unknown_flag(const CLI::App& app, const std::string& name) {
  const std::string nearest = nearest_flag(app, name);
  throw ValueError(concat("[launcher] unknown flag ", name, nearest.empty() ? "" : "; did you mean " + nearest + "?",
                          nearest.empty() ? "." : "",
                          " Arguments of the script go after the script; `deepspeed -h` lists the flags."));
}

// The option that `name` stands for: by its whole name, or by the beginning of one option's names, as in argparse.
const CLI::Option* find_option(const CLI::App& app, std::string& name) {
  if (const CLI::Option* whole = app.get_option_no_throw(name)) return whole;
  const CLI::Option* found = nullptr;
  std::string names;
  std::string first;
  bool is_ambiguous = false;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& known : option->get_lnames()) {
      if (!("--" + known).starts_with(name)) continue;
      is_ambiguous = is_ambiguous || (found != nullptr && found != option);
      if (found == nullptr) first = "--" + known;
      found = option;
      names += concat(names.empty() ? "" : ", ", "--", known);
    }
  }
  DS_CHECK(!is_ambiguous, ValueError, "[launcher] flag ", name, " is the beginning of ", names,
           ". Write the whole name.");
  if (found == nullptr) fail_unknown_flag(app, name);
  name = first;
  return found;
}

struct SplitArguments {
  std::vector<std::string> flags;   ///< with their values and whole names
  std::vector<std::string> script;  ///< and its arguments
};

// The script is the first argument that is neither a flag nor a flag's value, or what follows "--".
SplitArguments split_arguments(const CLI::App& app, const std::vector<std::string>& arguments) {
  SplitArguments split;
  size_t at = 0;
  while (at < arguments.size() && arguments[at].size() > 1 && arguments[at].front() == '-') {
    const std::string& argument = arguments[at++];
    if (argument == "--") break;
    const bool is_long = argument.starts_with("--");
    const size_t name_end = is_long ? std::min(argument.find('='), argument.size()) : 2;
    std::string name = argument.substr(0, name_end);
    const CLI::Option* option = is_long ? find_option(app, name) : app.get_option_no_throw(name);
    if (option == nullptr) fail_unknown_flag(app, argument);
    const bool takes_value = option->get_items_expected_max() > 0;
    if (takes_value && is_long && name_end < argument.size()) {
      // As two words, of which CLI11 takes the second as it is; after `--flag=` it would take the next flag.
      split.flags.insert(split.flags.end(), {name, argument.substr(name_end + 1)});
      continue;
    }
    split.flags.push_back(name + argument.substr(name_end));
    if (takes_value && name_end == argument.size() && at < arguments.size()) split.flags.push_back(arguments[at++]);
  }
  split.script.assign(arguments.begin() + static_cast<std::ptrdiff_t>(at), arguments.end());
  return split;
}

void take_script(std::vector<std::string> rest, Options& options) {
  DS_CHECK(!rest.empty(), ValueError,
           "[launcher] no script was given. Usage: deepspeed [flags] script [arguments of the script]; -h explains the "
           "flags.");
  options.script = std::move(rest.front());
  options.script_arguments.assign(std::make_move_iterator(rest.begin() + 1), std::make_move_iterator(rest.end()));
}

void check_several_hosts(const Options& options) {
  const SeveralHostsOptions& several = options.several_hosts;
  DS_CHECK(several.num_nodes == -1 || several.num_nodes >= 1, ValueError, "[launcher] --num_nodes: got ",
           several.num_nodes, ", expected 1 or more.");
  DS_CHECK((options.include.empty() && options.exclude.empty()) || several.num_nodes == -1, ValueError,
           "[launcher] --num_nodes cannot be combined with --include or --exclude: they already say which hosts.");
  int port = 0;
  const char* end = several.ssh_port.data() + several.ssh_port.size();
  const auto [stop, error] = std::from_chars(several.ssh_port.data(), end, port);
  DS_CHECK(several.ssh_port.empty() || (error == std::errc() && stop == end && port >= 1 && port <= kLargestPort),
           ValueError, "[launcher] --ssh_port: got ", several.ssh_port, ", expected 1 to ", kLargestPort, ".");
}

void check_restarts(const SeveralHostsOptions& several) {
  DS_CHECK(several.max_restarts >= 0, ValueError, "[launcher] --max_restarts: got ", several.max_restarts,
           ", expected 0 or more.");
  DS_CHECK(several.min_nodes >= 0, ValueError, "[launcher] --min_nodes: got ", several.min_nodes,
           ", expected 1 or more.");
  DS_CHECK(several.min_nodes == 0 || several.max_restarts > 0, ValueError, "[launcher] --min_nodes ", several.min_nodes,
           " says on how many hosts a launch is started again: add --max_restarts N.");
  DS_CHECK(several.max_restarts == 0 || !several.no_ssh, ValueError,
           "[launcher] --max_restarts with --no_ssh: no command could tell the others to start again. Leave one out.");
}

void check_values(const CLI::App& app, RawOptions& raw) {
  Options& options = raw.options;
  if (app.count("--hostfile") > 0) options.hostfile = raw.hostfile;
  if (raw.num_gpus != -1) {
    DS_CHECK(raw.num_gpus >= 1, ValueError, "[launcher] --num_gpus: got ", raw.num_gpus, ", expected 1 or more.");
    options.num_gpus = raw.num_gpus;
  }
  if (app.count("--master_port") > 0) {
    DS_CHECK(raw.master_port >= 1 && raw.master_port <= kLargestPort, ValueError, "[launcher] --master_port: got ",
             raw.master_port, ", expected 1 to ", kLargestPort, ". Leave it out for a free port.");
    options.master_port = raw.master_port;
  }
  DS_CHECK(options.include.empty() || options.exclude.empty(), ValueError,
           "[launcher] --include and --exclude exclude each other: got both.");
  DS_CHECK((options.include.empty() && options.exclude.empty()) || !options.num_gpus, ValueError,
           "[launcher] --num_gpus cannot be combined with --include or --exclude: they already say which slots.");
  check_several_hosts(options);
  check_restarts(options.several_hosts);
  DS_CHECK(!options.module || !options.no_python, ValueError,
           "[launcher] --module and --no_python exclude each other: a module needs Python.");
  DS_CHECK(options.bind_core_list.empty() || options.bind_cores_to_rank, ValueError,
           "[launcher] --bind_core_list needs --bind_cores_to_rank.");
  if (raw.rank_log_folder != "None") options.rank_log_folder = raw.rank_log_folder;
  options.log_level = raw.quiet ? core::LogLevel::kError : core::parse_log_level(raw.log_level);
}

}  // namespace

std::variant<Options, HelpText> parse_options(const std::vector<std::string>& arguments) {
  CLI::App app("Starts one process a GPU (or CPU rank) for a training script, watches them, and ends them together.");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag();  // added again below, where its group is
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.footer(kExamples);

  RawOptions raw;
  add_rank_flags(app, raw);
  add_program_flags(app, raw);
  add_rendezvous_flags(app, raw);
  add_binding_flags(app, raw);
  add_output_flags(app, raw);
  add_restart_flags(app, raw);
  add_several_hosts_flags(app, raw);
  app.set_help_flag("-h,--help", "Show this help")->group("Output");
  SplitArguments split = split_arguments(app, arguments);
  try {
    std::reverse(split.flags.begin(), split.flags.end());  // CLI11 takes them from the back
    app.parse(split.flags);
  } catch (const CLI::CallForHelp&) {
    return HelpText{app.help()};
  } catch (const CLI::ParseError& error) {
    throw ValueError(concat("[launcher] ", error.what(), ". `deepspeed -h` lists the flags."));
  }
  take_script(std::move(split.script), raw.options);
  check_values(app, raw);
  return raw.options;
}

void require_landed(const SeveralHostsOptions& options) {
  DS_CHECK(options.autotuning.empty(), NotSupported, "[launcher] --autotuning ", options.autotuning,
           ": autotuning is not in this version. Leave the flag out to train.");
}

}  // namespace deepspeed::launcher

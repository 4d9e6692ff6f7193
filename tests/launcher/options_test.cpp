#include "launcher/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Options parse(const std::vector<std::string>& arguments) { return std::get<Options>(parse_options(arguments)); }

std::string error_of(const std::vector<std::string>& arguments) {
  try {
    parse_options(arguments);
  } catch (const ValueError& error) {
    return error.what();
  }
  return "no error";
}

std::string refusal_of(std::vector<std::string> arguments) {
  arguments.push_back("train.py");
  try {
    require_landed(parse(arguments).several_hosts);
  } catch (const NotSupported& error) {
    return error.what();
  }
  return "no refusal";
}

TEST(Options, DefaultsAreThoseOfOneHost) {
  const Options options = parse({"train.py"});
  EXPECT_EQ(options.script, "train.py");
  EXPECT_THAT(options.script_arguments, IsEmpty());
  EXPECT_FALSE(options.hostfile || options.num_gpus || options.master_port);
  EXPECT_TRUE(options.rank_log_folder.empty());
  EXPECT_EQ(options.log_level, core::LogLevel::kInfo);
  EXPECT_NO_THROW(require_landed(options.several_hosts));
}

TEST(Options, EverythingAfterTheScriptBelongsToTheScript) {
  const Options options =
      parse({"--num_gpus", "2", "train.py", "-h", "--num_gpus=4", "--unknown", "--", "-q", "a  b", "$(date)", ""});
  EXPECT_EQ(options.num_gpus, 2);
  EXPECT_EQ(options.log_level, core::LogLevel::kInfo);
  EXPECT_THAT(options.script_arguments,
              ElementsAre("-h", "--num_gpus=4", "--unknown", "--", "-q", "a  b", "$(date)", ""));
}

TEST(Options, EveryFlagOfOneHostIsRead) {
  const Options options = parse({"--include=localhost:0,2", "--master_addr", "10.0.0.1", "--master_port", "1234",
                                 "--module", "--no_local_rank", "--bind_cores_to_rank", "--bind_core_list", "0-1",
                                 "--enable_each_rank_log", "logs", "--save_pid", "--log_level", "debug", "pkg.train"});
  EXPECT_EQ(options.include, "localhost:0,2");
  EXPECT_EQ(options.master_addr, "10.0.0.1");
  EXPECT_EQ(options.master_port, 1234);
  EXPECT_TRUE(options.module && options.no_local_rank && options.bind_cores_to_rank && options.save_pid);
  EXPECT_EQ(options.bind_core_list, "0-1");
  EXPECT_EQ(options.rank_log_folder, "logs");
  EXPECT_EQ(options.log_level, core::LogLevel::kDebug);
  EXPECT_EQ(options.script, "pkg.train");
}

TEST(Options, ShortAndSecondNamesMeanTheSame) {
  EXPECT_EQ(parse({"--num_accelerators", "3", "x"}).num_gpus, 3);
  EXPECT_EQ(parse({"-H", "hosts", "x"}).hostfile, "hosts");
  EXPECT_EQ(parse({"-i", "localhost:1", "x"}).include, "localhost:1");
  EXPECT_EQ(parse({"-e", "localhost:1", "x"}).exclude, "localhost:1");
  EXPECT_EQ(parse({"-q", "x"}).log_level, core::LogLevel::kError);
}

TEST(Options, MinusOneGpusAndNoneAsLogFolderMeanTheDefault) {
  const Options options = parse({"--num_gpus", "-1", "--enable_each_rank_log", "None", "x"});
  EXPECT_FALSE(options.num_gpus);
  EXPECT_TRUE(options.rank_log_folder.empty());
}

TEST(Options, TheLastOfTwoWins) { EXPECT_EQ(parse({"--num_gpus", "2", "--num_gpus", "3", "x"}).num_gpus, 3); }

TEST(Options, UnknownFlagIsNamedWithTheNearestKnownOne) {
  EXPECT_THAT(error_of({"--num_gups", "2", "train.py"}),
              HasSubstr("unknown flag --num_gups; did you mean --num_gpus?"));
  EXPECT_THAT(error_of({"--mastr_port=1", "train.py"}), HasSubstr("did you mean --master_port?"));
  const std::string far = error_of({"--entirely_else", "train.py"});
  EXPECT_THAT(far, HasSubstr("unknown flag --entirely_else."));
  EXPECT_THAT(far, ::testing::Not(HasSubstr("did you mean")));
}

TEST(Options, TheBeginningOfOneFlagIsEnough) {
  EXPECT_EQ(parse({"--num_g", "2", "x"}).num_gpus, 2);
  EXPECT_EQ(parse({"--num_a=2", "x"}).num_gpus, 2);
  EXPECT_EQ(parse({"--hostf=h", "x"}).hostfile, "h");
  EXPECT_EQ(parse({"--mod", "x"}).script, "x");
  EXPECT_TRUE(parse({"--mod", "x"}).module);
  EXPECT_TRUE(parse({"--no_ssh", "x"}).several_hosts.no_ssh);  // also the beginning of --no_ssh_check
  const std::string ambiguous = error_of({"--num_", "2", "x"});
  EXPECT_THAT(ambiguous, HasSubstr("flag --num_ is the beginning of --num_gpus, --num_accelerators, --num_nodes"));
}

TEST(Options, TwoDashesEndTheFlags) {
  const Options options = parse({"--num_gpus", "2", "--", "train.py", "--", "-x"});
  EXPECT_EQ(options.script, "train.py");
  EXPECT_THAT(options.script_arguments, ElementsAre("--", "-x"));
  EXPECT_EQ(parse({"--", "--num_gpus", "2"}).script, "--num_gpus");
  EXPECT_THAT(error_of({"--num_gpus", "2", "--"}), HasSubstr("no script"));
}

TEST(Options, BadValuesNameTheFlagAndTheValue) {
  EXPECT_THAT(error_of({"--num_gpus", "0", "x"}), HasSubstr("--num_gpus: got 0"));
  EXPECT_THAT(error_of({"--num_gpus", "two", "x"}), HasSubstr("two"));
  EXPECT_THAT(error_of({"--master_port", "70000", "x"}), HasSubstr("--master_port: got 70000"));
  EXPECT_THAT(error_of({"--log_level", "loud", "x"}), HasSubstr("loud"));
  EXPECT_THAT(error_of({}), HasSubstr("no script"));
  EXPECT_THAT(error_of({"--num_gpus", "2"}), HasSubstr("no script"));
}

TEST(Options, AnEmptyValueDoesNotTakeTheNextFlag) {
  const Options options = parse({"--enable_each_rank_log=", "--no_python", "--launcher_args=--include=a", "./train"});
  EXPECT_EQ(options.rank_log_folder, "");
  EXPECT_TRUE(options.no_python);
  EXPECT_EQ(options.several_hosts.launcher_args, "--include=a");
  EXPECT_EQ(options.script, "./train");
}

TEST(Options, ContradictionsAreErrors) {
  EXPECT_THAT(error_of({"--include", "a", "--exclude", "b", "x"}), HasSubstr("--include and --exclude"));
  EXPECT_THAT(error_of({"--include", "a", "--num_gpus", "2", "x"}), HasSubstr("--num_gpus cannot be combined"));
  EXPECT_THAT(error_of({"--module", "--no_python", "x"}), HasSubstr("--module and --no_python"));
  EXPECT_THAT(error_of({"--bind_core_list", "0", "x"}), HasSubstr("--bind_cores_to_rank"));
}

TEST(Options, FlagsOfSeveralHostsAreRead) {
  const SeveralHostsOptions several = parse({"--num_nodes", "2", "--launcher", "ssh", "--launcher_args", "-i key",
                                             "--ssh_port=2222", "--force_multi", "x"})
                                          .several_hosts;
  EXPECT_EQ(several.num_nodes, 2);
  EXPECT_EQ(several.launcher, "ssh");
  EXPECT_EQ(several.launcher_args, "-i key");
  EXPECT_EQ(several.ssh_port, "2222");
  EXPECT_TRUE(several.force_multi);
  EXPECT_THAT(error_of({"--num_nodes", "0", "x"}), HasSubstr("--num_nodes: got 0"));
  EXPECT_THAT(error_of({"--num_nodes", "1", "-i", "a", "x"}), HasSubstr("--num_nodes cannot be combined"));
  for (const char* port : {"x", "0", "70000", "22 "}) {
    EXPECT_THAT(error_of({"--ssh_port", port, "x"}), HasSubstr("--ssh_port: got ")) << port;
  }
}

TEST(Options, RestartsNeedABoundAndOneCommand) {
  const auto several = parse({"--max_restarts", "3", "--min_nodes", "2", "x"}).several_hosts;
  EXPECT_EQ(several.max_restarts, 3);
  EXPECT_EQ(several.min_nodes, 2);
  EXPECT_THAT(error_of({"--max_restarts", "-1", "x"}), HasSubstr("--max_restarts: got -1"));
  EXPECT_THAT(error_of({"--min_nodes", "2", "x"}), HasSubstr("add --max_restarts"));
  EXPECT_THAT(error_of({"--max_restarts", "1", "--no_ssh", "--node_rank", "0", "x"}), HasSubstr("with --no_ssh"));
}

TEST(Options, FlagsThatHaveNotLandedAreRefusedByName) {
  EXPECT_THAT(refusal_of({"--autotuning", "tune"}), HasSubstr("--autotuning tune"));
  EXPECT_EQ(refusal_of({"--num_nodes", "2", "--no_ssh_check"}), "no refusal");
}

TEST(Options, HelpShowsEveryGroupDefaultsAndExamples) {
  const std::string help = std::get<HelpText>(parse_options({"-h"})).text;
  for (const char* part : {"Usage: deepspeed [flags] script", "Which ranks", "What to run", "How ranks meet",
                           "CPU cores", "Output", "Several hosts", "--num_accelerators", "(default: 127.0.0.1;",
                           "Examples:", "--include localhost:0,2 --no_python ./train"}) {
    EXPECT_THAT(help, HasSubstr(part));
  }
}

}  // namespace
}  // namespace deepspeed::launcher

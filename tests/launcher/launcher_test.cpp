// The whole program on real processes: shell scripts as ranks.
#include "launcher/launcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "deepspeed/error.h"
#include "launcher_fixture.h"

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

TEST_F(LauncherTest, RanksFindTheirPlaceInTheEnvironment) {
  auto launch = start(2,
                      "echo $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_SIZE $CROSS_RANK/$CROSS_SIZE $MASTER_ADDR "
                      "${CUDA_VISIBLE_DEVICES-none}\n");
  EXPECT_EQ(launch.wait(), 0);
  EXPECT_THAT(launch.out(), HasSubstr("[rank 0] 0/2 0/2 0/1 127.0.0.1 none\n"));
  EXPECT_THAT(launch.out(), HasSubstr("[rank 1] 1/2 1/2 0/1 127.0.0.1 none\n"));
  EXPECT_EQ(launch.err(), "");
}

TEST_F(LauncherTest, ArgumentsArriveAsTheyAreAndReachNoShell) {
  const std::vector<std::string> arguments = {"a  b", "\"q'",         "$(touch owned)", "*", "",
                                              "-h",   "--num_gpus=7", "line\nbreak",    "ü"};
  std::string expected;
  for (const std::string& one : arguments) expected += "<" + one + ">";
  auto launch = start(1, "for one in \"$@\"; do printf '<%s>' \"$one\"; done\n", {}, arguments);
  EXPECT_EQ(launch.wait(), 0);
  EXPECT_EQ(launch.out(), expected);
}

TEST_F(LauncherTest, LocalRankIsTheFirstArgumentUnlessSwitchedOff) {
  const auto script = folder_.add_program("show.sh", "#!/bin/sh\necho \"$@\"\n");
  Launch launch({"--num_gpus", "1", "--no_python", script, "x"});
  EXPECT_EQ(launch.wait(), 0);
  EXPECT_EQ(launch.out(), "--local_rank=0 x\n");
}

TEST_F(LauncherTest, StandardOutputAndErrorStayApart) {
  auto launch = start(2, "echo out\necho err >&2\n");
  EXPECT_EQ(launch.wait(), 0);
  EXPECT_EQ(occurrences(launch.out(), "] out\n"), 2);
  EXPECT_EQ(occurrences(launch.err(), "] err\n"), 2);
  EXPECT_THAT(launch.out(), Not(HasSubstr("err")));
}

TEST_F(LauncherTest, SingleRankWritesAsIfItWereAlone) {
  auto launch = start(1, "printf 'no prefix, no newline'\n");
  EXPECT_EQ(launch.wait(), 0);
  EXPECT_EQ(launch.out(), "no prefix, no newline");
}

TEST_F(LauncherTest, LinesOfBusyRanksAreWholeAndInOrder) {
  constexpr int kLines = 10'000;
  auto launch =
      start(2, "seq -f \"line %.0f of rank $RANK, long enough to be torn somewhere by a buffer's end\" 10000\n");
  EXPECT_EQ(launch.wait(), 0);
  std::istringstream lines(launch.out());
  std::map<int, int> seen;
  for (std::string line; std::getline(lines, line);) {
    const int rank = line.starts_with("[rank 1]") ? 1 : 0;
    std::ostringstream expected;
    expected << "[rank " << rank << "] line " << ++seen[rank] << " of rank " << rank
             << ", long enough to be torn somewhere by a buffer's end";
    ASSERT_EQ(line, expected.str());
  }
  EXPECT_EQ(seen[0], kLines);
  EXPECT_EQ(seen[1], kLines);
}

// The promise to users; what is measured is the grace for ranks (2 s) and a little more, so a busy machine fits too.
constexpr double kLongestEndingSeconds = 5;

TEST_F(LauncherTest, KilledRankEndsAllWithinFiveSecondsAndIsReportedOnce) {
  auto launch =
      start(2,
            "if [ $RANK = 0 ]; then sh -c 'trap \"\" TERM; echo grandchild $$; while :; do sleep 1000; done' & fi\n"
            "seq -f 'step %.0f' 30\n" +
                std::string(kWaitForever));
  launch.read_until(" ready", 2);
  launch.read_until("grandchild ");
  launch.read_until("\n", 63);
  const auto killed_at = std::chrono::steady_clock::now();
  ::kill(launch.number_after("pid1"), SIGKILL);
  EXPECT_EQ(launch.wait(), 128 + SIGKILL);
  const std::chrono::duration<double> ending = std::chrono::steady_clock::now() - killed_at;
  EXPECT_LT(ending.count(), kLongestEndingSeconds) << "with a grandchild that ignores SIGTERM";
  EXPECT_TRUE(is_gone(launch.number_after("pid0")));
  EXPECT_TRUE(is_gone(launch.number_after("grandchild")));
  EXPECT_EQ(occurrences(launch.err(), "failed first"), 1);
  for (const char* part :
       {"rank 1 failed first", "local rank 1", "SIGKILL: killed", "rank.sh", "    | step 12\n", "    | step 30\n"}) {
    EXPECT_THAT(launch.err(), HasSubstr(part));
  }
  EXPECT_THAT(launch.err(), Not(HasSubstr("| step 11\n")));
  EXPECT_THAT(launch.err(), HasSubstr("pid       " + std::to_string(launch.number_after("pid1"))));
}

TEST_F(LauncherTest, ExitCodeIsThatOfTheFailingRank) {
  auto launch = start(2, "[ $RANK = 1 ] && exit 7\nexec sleep 1000\n");
  EXPECT_EQ(launch.wait(), 7);
  EXPECT_THAT(launch.err(), HasSubstr("rank 1 failed first"));
  EXPECT_THAT(launch.err(), HasSubstr("exit code 7"));
}

TEST_F(LauncherTest, FailureOfASingleRankIsReportedToo) {
  auto launch = start(1, "echo reason >&2\nkill -SEGV $$\n");
  EXPECT_EQ(launch.wait(), 128 + SIGSEGV);
  EXPECT_THAT(launch.err(), HasSubstr("segmentation fault"));
  EXPECT_THAT(launch.err(), HasSubstr("Its output is above"));
}

class LauncherSignalTest : public LauncherTest, public ::testing::WithParamInterface<int> {};

TEST_P(LauncherSignalTest, EndsAllRanksAndGives128PlusTheSignal) {
  auto launch = start(2, kWaitForever);
  launch.read_until(" ready", 2);
  ::kill(launch.pid(), GetParam());
  EXPECT_EQ(launch.wait(), 128 + GetParam());
  EXPECT_TRUE(is_gone(launch.number_after("pid0")));
  EXPECT_TRUE(is_gone(launch.number_after("pid1")));
  EXPECT_THAT(launch.err(), HasSubstr("all ranks were ended"));
  EXPECT_THAT(launch.err(), Not(HasSubstr("failed")));
}

INSTANTIATE_TEST_SUITE_P(Signals, LauncherSignalTest, ::testing::Values(SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM));

TEST_F(LauncherTest, RanksGetTheSignalItselfAndMayCleanUp) {
  auto launch = start(2, "sleep 1000 &\ntrap 'echo cleaned; kill $!; exit 0' INT\necho ready\nwait\n");
  launch.read_until("ready", 2);
  ::kill(launch.pid(), SIGINT);
  EXPECT_EQ(launch.wait(), 128 + SIGINT);
  EXPECT_EQ(occurrences(launch.out(), "cleaned"), 2);
}

TEST_F(LauncherTest, SecondSignalEndsRanksThatDoNotListen) {
  auto launch = start(2, "sleep 1000 &\ntrap 'echo heard' INT\necho \"pid$RANK $$ ready\"\nwhile :; do wait; done\n");
  launch.read_until("ready", 2);
  ::kill(launch.pid(), SIGINT);
  launch.read_until("heard", 2);
  ::kill(launch.pid(), SIGTERM);  // another one: the same at once would be taken for an echo of the first
  EXPECT_EQ(launch.wait(), 128 + SIGINT);
  EXPECT_TRUE(is_gone(launch.number_after("pid0")));
}

// GNU timeout sends its signal to the program and to its group, so that a program gets it twice.
TEST_F(LauncherTest, ASignalThatComesTwiceAtOnceCountsOnce) {
  auto launch = start(2, "trap 'sleep 1; echo saved; exit 0' TERM\necho ready\nwhile :; do sleep 0.05; done\n");
  launch.read_until("ready", 2);
  for (int i = 0; i < 100; ++i) ::kill(launch.pid(), SIGTERM);
  EXPECT_EQ(launch.wait(), 128 + SIGTERM);
  EXPECT_EQ(occurrences(launch.out(), "saved"), 2);
}

// Longer than what ranks get after a failure.
TEST_F(LauncherTest, RanksThatSaveOnASignalAreWaitedForAndThatIsSaid) {
  auto launch = start(2, "trap 'sleep 4; echo saved; exit 0' TERM\necho ready\nwhile :; do sleep 0.05; done\n");
  launch.read_until("ready", 2);
  ::kill(launch.pid(), SIGTERM);
  EXPECT_EQ(launch.wait(), 128 + SIGTERM);
  EXPECT_EQ(occurrences(launch.out(), "saved"), 2);
  EXPECT_THAT(launch.err(), HasSubstr("got SIGTERM, waiting for rank 0, 1 to end, at most "));
}

TEST_F(LauncherTest, GrandchildrenThatIgnoreASignalAreNotWaitedForLong) {
  auto launch = start(2, "sh -c 'trap \"\" QUIT TERM; echo grandchild $$; while :; do sleep 1000; done' &\n" +
                             std::string(kWaitForever));
  launch.read_until(" ready", 2);
  launch.read_until("grandchild ", 2);
  const auto signalled_at = std::chrono::steady_clock::now();
  ::kill(launch.pid(), SIGQUIT);
  EXPECT_EQ(launch.wait(), 128 + SIGQUIT);
  const std::chrono::duration<double> ending = std::chrono::steady_clock::now() - signalled_at;
  EXPECT_LT(ending.count(), kLongestEndingSeconds);
  EXPECT_TRUE(is_gone(launch.number_after("grandchild")));
}

TEST_F(LauncherTest, UserSignalsGoToTheRanks) {
  auto launch =
      start(2, "trap 'echo one' USR1\ntrap 'echo two; exit 0' USR2\necho ready\nwhile :; do sleep 0.05; done\n");
  launch.read_until("ready", 2);
  ::kill(launch.pid(), SIGUSR1);
  launch.read_until("one", 2);
  ::kill(launch.pid(), SIGUSR2);
  EXPECT_EQ(launch.wait(), 0);
  EXPECT_EQ(occurrences(launch.out(), "two"), 2);
}

TEST_F(LauncherTest, ClosedStandardOutputIsANullDevice) {
  const auto body = "echo lost\necho heard >&2\nreadlink /proc/$PPID/fd/1 > \"$0.$RANK\"\n";
  const auto script = folder_.add_program("rank.sh", concat("#!/bin/sh\n", body));
  const auto errors = folder_.path() / "errors";
  const auto call = concat("exec env DS_ACCELERATOR=cpu ", DS_DEEPSPEED_PROGRAM, " --num_gpus 2 --no_python ", script,
                           " 2>", errors.string(), " >&- <&-");
  const int status = std::system(call.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(occurrences(content(errors), "] heard\n"), 2) << content(errors);
  for (const char* rank : {"0", "1"}) EXPECT_EQ(content(concat(script, ".", rank)), "/dev/null\n");
}

TEST_F(LauncherTest, KilledLauncherTakesItsRanksWithIt) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // orphans become ours, so that we can wait for them
  auto launch = start(2, kWaitForever);
  launch.read_until(" ready", 2);
  ::kill(launch.pid(), SIGKILL);
  EXPECT_EQ(launch.wait(), 128 + SIGKILL);
  for (const char* label : {"pid0", "pid1"}) {
    int status = 0;
    const pid_t pid = launch.number_after(label);
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_F(LauncherTest, WhatRanksLeaveRunningOnPurposeStays) {
  auto launch = start(2, "[ $RANK = 1 ] && exit 0\nsleep 1000 >/dev/null 2>&1 &\necho \"daemon $!\"\n");
  EXPECT_EQ(launch.wait(), 0);
  const pid_t daemon = launch.number_after("daemon");
  EXPECT_FALSE(is_gone(daemon));
  ::kill(daemon, SIGKILL);
}

TEST_F(LauncherTest, EachRankLogTakesAllOutputAndTheReportQuotesIt) {
  const auto logs = folder_.path() / "new" / "logs";
  auto launch = start(2, "echo out $RANK\necho err $RANK >&2\n[ $RANK = 0 ] || exit 3\n",
                      {"--enable_each_rank_log", logs.string()});
  EXPECT_EQ(launch.wait(), 3);
  EXPECT_EQ(launch.out(), "");
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(logs))
    files[entry.path().filename().string().substr(14)] = content(entry.path());
  EXPECT_EQ(files["_rank1.log"], "out 1\nerr 1\n");
  EXPECT_THAT(files, SizeIs(2));
  EXPECT_THAT(launch.err(), HasSubstr("_rank1.log"));
  EXPECT_THAT(launch.err(), HasSubstr("    | err 1\n"));
}

TEST_F(LauncherTest, EightLaunchesAtOnceHaveEightPortsAndAllRankZerosListen) {
  std::deque<Launch> launches;
  for (int i = 0; i < 8; ++i) {
    launches.emplace_back(std::vector<std::string>{"--num_gpus", "2", "--no_python", DS_LISTENER_PROGRAM},
                          LaunchSetup{.with_stdin = true});
  }
  std::set<pid_t> ports;
  for (Launch& launch : launches) {
    launch.read_until("listening ");
    launch.read_until("\n");
    ports.insert(launch.number_after("listening"));
  }
  EXPECT_THAT(ports, SizeIs(8));
  for (Launch& launch : launches) launch.close_stdin();
  for (Launch& launch : launches) EXPECT_EQ(launch.wait(), 0);
}

TEST_F(LauncherTest, CoresAreBoundInTheRankItself) {
  auto launch = start(1, "grep Cpus_allowed_list /proc/self/status\necho omp $OMP_NUM_THREADS\n",
                      {"--bind_cores_to_rank", "--bind_core_list", "0"});
  EXPECT_EQ(launch.wait(), 0);
  EXPECT_EQ(launch.out(), "Cpus_allowed_list:\t0\nomp 1\n");
}

TEST_F(LauncherTest, CoreThatIsNotThereIsNamed) {
  auto launch = start(1, "echo never\n", {"--bind_cores_to_rank", "--bind_core_list", "4000"});
  EXPECT_EQ(launch.wait(), 1);
  EXPECT_THAT(launch.err(), HasSubstr("to CPUs 4000"));
  EXPECT_EQ(launch.out(), "");
}

TEST_F(LauncherTest, PidFileIsThereWhileItRuns) {
  auto launch = start(2, "echo ready\ncat\n", {"--save_pid"}, {}, {.with_stdin = true});
  launch.read_until("ready", 2);
  EXPECT_THAT(launch.out(), HasSubstr("launcher pid: " + std::to_string(launch.pid()) + "\n"));
  const std::filesystem::path file = "/tmp/" + std::to_string(launch.pid()) + ".deepspeed";
  EXPECT_EQ(content(file), std::to_string(launch.pid()));
  launch.close_stdin();
  EXPECT_EQ(launch.wait(), 0);
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(LauncherTest, OnATerminalTheFirstRankHasOneAndItsBarStaysInOneLine) {
  auto launch = start(2,
                      "if [ $RANK = 0 ]; then [ -t 1 ] && [ -t 2 ] && echo terminal; stty size <&1; printf '\\r 1%%' "
                      ">&2; printf '\\r 2%%\\n' >&2\n"
                      "else [ -t 1 ] || echo pipe; fi\n",
                      {}, {}, {.environment = {"NO_COLOR=1"}, .on_terminal = true});
  EXPECT_EQ(launch.wait(), 0);
  EXPECT_THAT(launch.out(), HasSubstr("[rank 0] terminal\n"));
  EXPECT_THAT(launch.out(), HasSubstr("[rank 0] 24 51\n"));  // 60 columns less the prefix
  EXPECT_THAT(launch.out(), HasSubstr("[rank 0]  2%\n"));
  EXPECT_THAT(launch.out(), HasSubstr("[rank 1] pipe\n"));
}

TEST_F(LauncherTest, WithoutItsTerminalTheFirstRankSeesItsWritesFail) {
  auto launch = start(2, "[ $RANK = 0 ] || exit 0\necho ready\nwhile echo more; do :; done 2>&-\nexit 5\n", {}, {},
                      {.on_terminal = true});
  launch.read_until("ready");
  launch.stop_reading();
  EXPECT_EQ(launch.wait(), 5);
}

TEST_F(LauncherTest, AReaderThatGoesAwayDoesNotChangeTheExitCode) {
  auto launch = start(1, "echo ready\nread line\nexit 7\n", {}, {}, {.with_stdin = true});
  launch.read_until("ready");
  launch.stop_reading();
  launch.close_stdin();
  EXPECT_EQ(launch.wait(), 7);
}

TEST_F(LauncherTest, RanksHaveTheLimitOfOpenFilesThatTheCommandHad) {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit lower{200, before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &lower);
  auto launch = start(150, "ulimit -n\n");  // two pipes a rank
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(launch.wait(), 0) << launch.err();
  EXPECT_EQ(occurrences(launch.out(), "] 200\n"), 150);
}

TEST_F(LauncherTest, ScriptsRunInPythonUnbuffered) {
  const TemporaryFolder bin;
  const auto python = bin.add_program("python3", "#!/bin/sh\necho \"$@\"\n");
  const auto script = folder_.add_program("train.py", "");
  Launch launch({"--num_gpus", "1", script, "--x"}, {.environment = {"PYTHON=" + python}});
  EXPECT_EQ(launch.wait(), 0);
  EXPECT_EQ(launch.out(), "-u " + script + " --local_rank=0 --x\n");
}

TEST_F(LauncherTest, AVenvScriptGivesRanksItsVariablesAndItsPython) {
  const TemporaryFolder venv;
  std::filesystem::create_directory(venv.path() / "bin");
  venv.add_program("bin/python3", "#!/bin/sh\necho \"$FROM_SCRIPT with $2\"\n");
  const auto activate =
      venv.add_program("activate", concat("export VIRTUAL_ENV='", venv.path().string(), "' FROM_SCRIPT='so  set'\n"));
  const auto script = folder_.add_program("train.py", "");
  Launch launch({"--num_gpus", "1", "--venv_script", activate, script});
  EXPECT_EQ(launch.wait(), 0) << launch.err();
  EXPECT_EQ(launch.out(), concat("so  set with ", script, "\n"));
  Launch failing({"--num_gpus", "1", "--venv_script", folder_.add_program("bad", "exit 9\n"), script});
  EXPECT_EQ(failing.wait(), 2);
  EXPECT_THAT(failing.err(), HasSubstr("failed with exit code 9"));
  EXPECT_EQ(failing.out(), "");
}

struct BadCall {
  std::vector<std::string> arguments;
  std::string message;
};

class LauncherErrorTest : public ::testing::TestWithParam<BadCall> {};

TEST_P(LauncherErrorTest, IsExplainedWithExitCodeTwo) {
  Launch launch(GetParam().arguments);
  EXPECT_EQ(launch.wait(), 2);
  EXPECT_THAT(launch.err(), HasSubstr(GetParam().message));
  EXPECT_EQ(launch.out(), "");
}

INSTANTIATE_TEST_SUITE_P(Calls, LauncherErrorTest,
                         ::testing::Values(BadCall{{"--num_gups", "2", "x.py"}, "did you mean --num_gpus?"},
                                           BadCall{{"--hostfile", "/no/hosts", "/bin/true"}, "--hostfile /no/hosts"},
                                           BadCall{{"--num_nodes", "2", "/bin/true"}, "--num_nodes 2"},
                                           BadCall{{"--node_rank", "1", "/bin/true"}, "it needs --no_ssh"},
                                           BadCall{{"--no_ssh", "--num_gpus", "1", "/bin/true"}, "--node_rank: got -1"},
                                           BadCall{{"no_such.py"}, "no script no_such.py"},
                                           BadCall{{"--include", "elsewhere:0", "/bin/true"}, "no host \"elsewhere\""},
                                           BadCall{{}, "no script was given"}));

TEST(Launcher, HelpGoesToStandardOutput) {
  Launch launch({"--help"});
  EXPECT_EQ(launch.wait(), 0);
  EXPECT_THAT(launch.out(), HasSubstr("Usage: deepspeed"));
  EXPECT_EQ(launch.err(), "");
}

TEST_F(LauncherTest, EqualLinesOfRanksAreOneOnRequest) {
  const std::string mark = (folder_.path() / "up").string();  // they speak once all are there
  auto launch = start(4,
                      concat(": > ", mark, "$RANK\nfor i in 0 1 2 3; do until [ -e ", mark, "$i ]; do :; done; done\n",
                             "echo same\necho \"own $RANK\"\necho same >&2\n"),
                      {"--collapse_lines"});
  EXPECT_EQ(launch.wait(), 0);
  EXPECT_THAT(launch.out(), HasSubstr("[ranks 0-3] same\n"));
  EXPECT_THAT(launch.err(), HasSubstr("[ranks 0-3] same\n"));
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_THAT(launch.out(), HasSubstr(concat("[rank ", rank, "] own ", rank, "\n")));
  }
}

}  // namespace
}  // namespace deepspeed::launcher

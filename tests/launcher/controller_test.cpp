// Launches on several hosts, all of them played by this one: an agent a host, without ssh. tests/hosts has real ones.
#include "launcher/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>

#include "deepspeed/error.h"
#include "launch.h"
#include "launcher/process_tree.h"
#include "temporary_folder.h"

namespace deepspeed::launcher {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr double kLongestEndingSeconds = 5;
constexpr const char* kWaitForever = "echo \"pid$RANK $$ ready\"\nexec sleep 1000\n";
// A process of its own session that ignores SIGTERM, which only a whole tree's end reaches.
constexpr const char* kLeaveGrandchild =
    "setsid sh -c 'trap \"\" TERM; echo \"grandchild$RANK $$ ready\"; while :; do sleep 1000; done' &\n";

class ControllerTest : public ::testing::Test {
 protected:
  ControllerTest() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // orphans become ours, so that we see them end
    std::ofstream(folder_.path() / "hosts") << "a slots=2\nb slots=1\n";
  }
  ~ControllerTest() override { ::prctl(PR_SET_CHILD_SUBREAPER, 0); }

  Launch start(const std::string& body, std::vector<std::string> flags = {}, std::vector<std::string> arguments = {},
               const LaunchSetup& setup = {}) {
    std::vector<std::string> all = {"--launcher",  "local",          "--hostfile", (folder_.path() / "hosts").string(),
                                    "--no_python", "--no_local_rank"};
    all.insert(all.end(), flags.begin(), flags.end());
    all.push_back(folder_.add_program("rank.sh", "#!/bin/sh\n" + body));
    all.insert(all.end(), arguments.begin(), arguments.end());
    return Launch(all, setup);
  }

  // Waits for all that the launch has left; false where something lives on for longer than it may.
  static bool all_ended() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD) {
      if (std::chrono::steady_clock::now() > deadline) return false;
    }
    return true;
  }

  static pid_t agent_of(const Launch& launch, const std::string& rank_label) {
    std::ifstream file(concat("/proc/", launch.number_after(rank_label), "/stat"));
    std::string pid, name, state;
    pid_t parent = 0;
    file >> pid >> name >> state >> parent;
    return parent;
  }

  TemporaryFolder folder_;
};

TEST_F(ControllerTest, RanksOfAllHostsFindTheirPlaceAndLinesNameHostAndRank) {
  auto launch =
      start("echo $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_SIZE $CROSS_RANK/$CROSS_SIZE $MASTER_ADDR\necho e >&2\n");
  EXPECT_EQ(launch.wait(), 0) << launch.err();
  EXPECT_THAT(launch.out(), HasSubstr("[a:0] 0/3 0/2 0/2 127.0.0.1\n"));
  EXPECT_THAT(launch.out(), HasSubstr("[a:1] 1/3 1/2 0/2 127.0.0.1\n"));
  EXPECT_THAT(launch.out(), HasSubstr("[b:2] 2/3 0/1 1/2 127.0.0.1\n"));
  EXPECT_EQ(occurrences(launch.err(), "] e\n"), 3);
}

TEST_F(ControllerTest, ArgumentsFoldersAndVariablesArriveAsTheyAre) {
  const std::vector<std::string> arguments = {"a  b", "\"q'", "$(touch owned)", "*",
                                              "",     "-h",   "line\nbreak",    "\xff;&|<>!"};
  std::string expected;
  for (const std::string& one : arguments) expected += "<" + one + ">";
  auto launch = start(
      "for one in \"$@\"; do printf '<%s>' \"$one\"; done > \"$0.$RANK\"\nprintf '{%s}' \"$NCCL_EVIL\" >> "
      "\"$0.$RANK\"\n",
      {}, arguments, {.environment = {"NCCL_EVIL='; touch owned; $(id)\n\xfe", "MY_TOKEN=x"}});
  EXPECT_EQ(launch.wait(), 0) << launch.err();
  for (const char* rank : {"0", "1", "2"}) {
    std::ifstream file((folder_.path() / "rank.sh").string() + "." + rank);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), expected + "{'; touch owned; $(id)\n\xfe}");
  }
  EXPECT_EQ(occurrences(launch.err(), "variables for all hosts: "), 1);
}

TEST_F(ControllerTest, LinesOfBusyHostsAreWholeAndInOrder) {
  auto launch = start("seq -f \"line %.0f of rank $RANK, long enough to be torn by the end of some buffer\" 20000\n");
  EXPECT_EQ(launch.wait(), 0);
  std::istringstream lines(launch.out());
  std::map<char, int> seen;
  for (std::string line; std::getline(lines, line);) {
    const char rank = line.at(3);
    ASSERT_EQ(line, concat("[", rank == '2' ? 'b' : 'a', ":", rank, "] line ", ++seen[rank], " of rank ", rank,
                           ", long enough to be torn by the end of some buffer"));
  }
  for (const char rank : {'0', '1', '2'}) EXPECT_EQ(seen[rank], 20'000);
}

TEST_F(ControllerTest, KilledRankEndsAllHostsWithinFiveSecondsAndIsReportedOnce) {
  auto launch = start("[ $RANK = 0 ] && " + std::string(kLeaveGrandchild) + "seq -f 'step %.0f' 30\n" + kWaitForever);
  launch.read_until(" ready", 4);
  const auto killed_at = std::chrono::steady_clock::now();
  ::kill(launch.number_after("pid2"), SIGKILL);
  EXPECT_EQ(launch.wait(), 128 + SIGKILL);
  EXPECT_TRUE(all_ended());
  const std::chrono::duration<double> ending = std::chrono::steady_clock::now() - killed_at;
  EXPECT_LT(ending.count(), kLongestEndingSeconds);
  EXPECT_EQ(occurrences(launch.err(), "failed first"), 1);
  for (const char* part : {"rank 2 failed first", "host      b\n", "SIGKILL: killed", "    | step 30\n"}) {
    EXPECT_THAT(launch.err(), HasSubstr(part));
  }
}

TEST_F(ControllerTest, ExitCodeIsThatOfTheFailingRank) {
  auto launch = start("[ $RANK = 1 ] && exit 7\nexec sleep 1000\n");
  EXPECT_EQ(launch.wait(), 7);
  EXPECT_THAT(launch.err(), HasSubstr("rank 1 failed first"));
  EXPECT_THAT(launch.err(), HasSubstr("host      a\n"));
}

TEST_F(ControllerTest, KilledAgentIsALostHostAndLeavesNothing) {
  auto launch = start("[ $RANK = 2 ] && " + std::string(kLeaveGrandchild) + kWaitForever);
  launch.read_until(" ready", 4);
  ::kill(agent_of(launch, "pid2"), SIGKILL);
  EXPECT_EQ(launch.wait(), 128 + SIGKILL);
  EXPECT_TRUE(all_ended());
  EXPECT_THAT(launch.err(), HasSubstr("host b was lost first"));
  EXPECT_THAT(launch.err(), HasSubstr("rank 2 of 3"));
}

TEST_F(ControllerTest, KilledLauncherTakesAllHostsWithIt) {
  auto launch = start("[ $RANK = 1 ] && " + std::string(kLeaveGrandchild) + kWaitForever);
  launch.read_until(" ready", 4);
  const auto killed_at = std::chrono::steady_clock::now();
  ::kill(launch.pid(), SIGKILL);
  EXPECT_EQ(launch.wait(), 128 + SIGKILL);
  EXPECT_TRUE(all_ended());
  const std::chrono::duration<double> ending = std::chrono::steady_clock::now() - killed_at;
  EXPECT_LT(ending.count(), kLongestEndingSeconds);
}

TEST_F(ControllerTest, StoppedAgentIsALostHostWithinFifteenSeconds) {
  auto launch = start(kWaitForever);
  launch.read_until(" ready", 3);
  const pid_t agent = agent_of(launch, "pid2");
  const auto stopped_at = std::chrono::steady_clock::now();
  ::kill(agent, SIGSTOP);
  EXPECT_EQ(launch.wait(), 1);
  const std::chrono::duration<double> ending = std::chrono::steady_clock::now() - stopped_at;
  EXPECT_LT(ending.count(), 15);
  EXPECT_THAT(launch.err(), HasSubstr("nothing was heard from it for 8 s"));
  ::kill(agent, SIGCONT);
  EXPECT_TRUE(all_ended());
}

class ControllerSignalTest : public ControllerTest, public ::testing::WithParamInterface<int> {};

TEST_P(ControllerSignalTest, EndsAllRanksAndGives128PlusTheSignal) {
  auto launch = start(kWaitForever);
  launch.read_until(" ready", 3);
  ::kill(launch.pid(), GetParam());
  EXPECT_EQ(launch.wait(), 128 + GetParam());
  EXPECT_TRUE(all_ended());
  EXPECT_THAT(launch.err(), HasSubstr("all ranks were ended"));
  EXPECT_THAT(launch.err(), Not(HasSubstr("failed")));
}

INSTANTIATE_TEST_SUITE_P(Signals, ControllerSignalTest, ::testing::Values(SIGINT, SIGTERM, SIGHUP));

TEST_F(ControllerTest, RanksGetTheSignalItselfAndMayCleanUp) {
  auto launch = start("sleep 1000 &\ntrap 'echo cleaned; kill $!; exit 0' INT\necho ready\nwait\n");
  launch.read_until("ready", 3);
  ::kill(launch.pid(), SIGINT);
  EXPECT_EQ(launch.wait(), 128 + SIGINT);
  EXPECT_EQ(occurrences(launch.out(), "cleaned"), 3);
}

TEST_F(ControllerTest, SecondSignalEndsRanksThatDoNotListen) {
  auto launch = start("sleep 1000 &\ntrap 'echo heard' INT\necho ready\nwhile :; do wait; done\n");
  launch.read_until("ready", 3);
  ::kill(launch.pid(), SIGINT);
  launch.read_until("heard", 3);
  ::kill(launch.pid(), SIGTERM);
  EXPECT_EQ(launch.wait(), 128 + SIGINT);
  EXPECT_TRUE(all_ended());
}

TEST_F(ControllerTest, NothingStartsWhereOneHostCannot) {
  auto launch = start("echo started\n", {"--bind_cores_to_rank", "--num_gpus", "5000"});
  EXPECT_EQ(launch.wait(), 2);
  EXPECT_THAT(launch.err(), HasSubstr("2 of 2 hosts cannot take part, so nothing was started"));
  EXPECT_THAT(launch.err(), HasSubstr("  a: [launcher] --bind_cores_to_rank"));
  EXPECT_EQ(launch.out(), "");
}

TEST_F(ControllerTest, AVenvScriptIsSourcedOnEachHost) {
  const std::string script =
      folder_.add_program("activate", "echo hello\nexport FROM_SCRIPT=\"a  b $NCCL_GIVEN\"\nexport RANK=9\n");
  auto launch =
      start("echo \"$RANK: $FROM_SCRIPT\"\n", {"--venv_script", script}, {}, {.environment = {"NCCL_GIVEN=given"}});
  EXPECT_EQ(launch.wait(), 0) << launch.err();
  for (const char* rank : {"0", "1", "2"}) EXPECT_THAT(launch.out(), HasSubstr(concat(rank, ": a  b given\n")));
  auto failing = start("echo started\n", {"--venv_script", folder_.add_program("bad", "return 9\n")});
  EXPECT_EQ(failing.wait(), 2);
  EXPECT_THAT(failing.err(), HasSubstr("2 of 2 hosts cannot take part, so nothing was started"));
  EXPECT_THAT(failing.err(), HasSubstr("/bad on host "));
  EXPECT_THAT(failing.err(), HasSubstr("failed with exit code 9"));
  EXPECT_EQ(failing.out(), "");
}

TEST_F(ControllerTest, EachRankLogsOnItsHostAndTheReportQuotesIt) {
  const auto logs = folder_.path() / "logs";
  auto launch =
      start("echo out $RANK\n[ $RANK = 2 ] && exit 3\nexec sleep 1000\n", {"--enable_each_rank_log", logs.string()});
  EXPECT_EQ(launch.wait(), 3);
  EXPECT_EQ(launch.out(), "");
  const std::vector<std::filesystem::directory_entry> files(std::filesystem::directory_iterator(logs), {});
  EXPECT_THAT(files, SizeIs(3));
  EXPECT_THAT(launch.err(), HasSubstr("    | out 2\n"));
}

TEST_F(ControllerTest, EqualLinesOfHostsAreOneOnRequest) {
  const std::string mark = (folder_.path() / "up").string();  // they speak once all are there
  auto launch =
      start(concat(": > ", mark, "$RANK\nfor i in 0 1 2; do until [ -e ", mark, "$i ]; do :; done; done\necho same\n"),
            {"--collapse_lines"});
  EXPECT_EQ(launch.wait(), 0) << launch.err();
  EXPECT_THAT(launch.out(), HasSubstr("[a:0-1 b:2] same\n"));
}

TEST_F(ControllerTest, NoPidFileIsLeft) {
  auto launch = start("echo \"agent$RANK $PPID ready\"; ls /tmp/$PPID.deepspeed\n", {"--save_pid"});
  EXPECT_EQ(launch.wait(), 0) << launch.err();
  EXPECT_EQ(occurrences(launch.out(), ".deepspeed\n"), 3) << launch.out();
  for (const char* label : {"agent0", "agent1", "agent2"}) {
    EXPECT_FALSE(std::filesystem::exists(concat("/tmp/", launch.number_after(label), ".deepspeed"))) << label;
  }
}

TEST_F(ControllerTest, AFailedRankStartsAllHostsAgain) {
  auto launch = start(
      "echo \"$RANK/$WORLD_SIZE at $DEEPSPEED_RESTART_COUNT\"\n"
      "[ $RANK = 2 ] && [ $DEEPSPEED_RESTART_COUNT = 0 ] && exit 7\nexit 0\n",
      {"--max_restarts", "1"});
  EXPECT_EQ(launch.wait(), 0) << launch.err();
  EXPECT_EQ(occurrences(launch.out(), "/3 at 1\n"), 3);
  EXPECT_THAT(launch.err(), HasSubstr("deepspeed: rank 2 failed (exit code 7); restart 1 of 1 on 2 hosts.\n"));
}

TEST_F(ControllerTest, ASignalWhileAFailedLaunchEndsMeansNoRestart) {
  auto launch = start(
      "[ $RANK = 2 ] && { until [ -e \"$0.up0\" ] && [ -e \"$0.up1\" ]; do :; done; exit 7; }\n"
      "trap 'echo heard' TERM\n: > \"$0.up$RANK\"\nwhile :; do sleep 1000 & wait; done\n",
      {"--max_restarts", "5"});
  launch.read_until("heard");
  ::kill(launch.pid(), SIGTERM);
  EXPECT_EQ(launch.wait(), 7);
  EXPECT_THAT(launch.err(), Not(HasSubstr("restart")));
  EXPECT_TRUE(all_ended());
}

// Whether that comes true while the process lives, and soon.
bool comes_to(pid_t pid, const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline || ::kill(pid, 0) != 0) return false;
  }
  return true;
}

TEST_F(ControllerTest, ALaunchThatIsStoppedForLongGoesOn) {
  auto launch = start("echo \"pid$RANK $$ ready\"\nuntil [ -e \"$0.end\" ]; do sleep 0.1; done\necho went on\n");
  launch.read_until(" ready", 3);
  ::kill(launch.pid(), SIGTSTP);
  int status = 0;
  ASSERT_EQ(::waitpid(launch.pid(), &status, WUNTRACED), launch.pid());
  ASSERT_TRUE(WIFSTOPPED(status));
  const pid_t agent = agent_of(launch, "pid2");
  const auto longer_than_silence = std::chrono::steady_clock::now() + std::chrono::seconds(11);
  while (std::chrono::steady_clock::now() < longer_than_silence) {
    ASSERT_FALSE(descendants_of(agent).empty());
    ::poll(nullptr, 0, 100);
  }
  std::ofstream(folder_.path() / "rank.sh.end") << "";
  ::kill(launch.pid(), SIGCONT);
  EXPECT_EQ(launch.wait(), 0) << launch.err();
  EXPECT_EQ(occurrences(launch.out(), "went on"), 3);
}

TEST_F(ControllerTest, SignalsEndALaunchWhoseRanksAreGoneAndWhoseReaderIsStuck) {
  auto launch =
      start("[ $RANK = 0 ] && head -c 2600000 /dev/zero | tr '\\0' x | fold -w 99\n: > \"$0.done$RANK\"\nexit 0\n");
  const auto are_ranks_gone = [&] {
    for (const char* rank : {"0", "1", "2"}) {
      if (!std::filesystem::exists((folder_.path() / "rank.sh.done").string() + rank)) return false;
    }
    return descendants_of(launch.pid()).size() == 2;  // guard and agent of the host whose lines wait
  };
  ASSERT_TRUE(comes_to(launch.pid(), are_ranks_gone));
  ::poll(nullptr, 0, 500);  // nobody shows that the launcher has heard of their end; if it has not, this proves less
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::kill(launch.pid(), signal);
  EXPECT_TRUE(comes_to(launch.pid(), [&] { return descendants_of(launch.pid()).empty(); }));
  EXPECT_GT(launch.wait(), 128);  // which of them came first is not said
}

TEST_F(ControllerTest, ALostHostIsLeftOutWhereFewerAreEnough) {
  auto launch = start(
      "echo \"pid$RANK $$ ready $WORLD_SIZE at $DEEPSPEED_RESTART_COUNT\"\n"
      "[ $DEEPSPEED_RESTART_COUNT = 0 ] && exec sleep 1000\nexit 0\n",
      {"--max_restarts", "1", "--min_nodes", "1"});
  launch.read_until(" ready", 3);
  ::kill(agent_of(launch, "pid0"), SIGKILL);
  EXPECT_EQ(launch.wait(), 0) << launch.err();
  EXPECT_THAT(launch.out(), HasSubstr("ready 1 at 1\n"));
  EXPECT_THAT(launch.err(), HasSubstr("deepspeed: host a was lost; restart 1 of 1 on 1 host.\n"));
  EXPECT_TRUE(all_ended());
}

}  // namespace
}  // namespace deepspeed::launcher

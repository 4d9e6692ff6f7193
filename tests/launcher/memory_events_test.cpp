#include "launcher/memory_events.h"

#include <gtest/gtest.h>

#include <fstream>

#include "temporary_folder.h"

namespace deepspeed::launcher {
namespace {

class MemoryEventsTest : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_.path() / path).parent_path());
    std::ofstream(root_.path() / path) << text;
  }
  OomKills kills() const { return read_oom_kills(root_.path()).value_or(OomKills{"none", -1}); }
  TemporaryFolder root_;
};

TEST(MemoryEvents, CounterIsFoundByItsWholeName) {
  EXPECT_EQ(read_counter("oom 1\noom_kill 3\noom_kill_disable 0\n", "oom_kill"), 3);
  EXPECT_EQ(read_counter("oom_kill_disable 0\n", "oom_kill"), std::nullopt);
}

TEST_F(MemoryEventsTest, ReadsTheGroupOfVersionTwo) {
  write("proc/self/cgroup", "0::/job/7\n");
  write("sys/fs/cgroup/job/7/memory.events", "low 0\noom 2\noom_kill 2\n");
  EXPECT_EQ(kills().count, 2);
  EXPECT_EQ(kills().source, "cgroup");
}

TEST_F(MemoryEventsTest, ReadsTheGroupOfVersionOne) {
  write("proc/self/cgroup", "3:cpuset:/\n4:memory:/job\n0::/\n");
  write("sys/fs/cgroup/memory/job/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n");
  EXPECT_EQ(kills().count, 5);
}

TEST_F(MemoryEventsTest, ContainerThatSeesTheHostsPathReadsTheTopOfItsMount) {
  write("proc/self/cgroup", "0::/docker/abc\n");
  write("sys/fs/cgroup/memory.events", "oom_kill 1\n");
  EXPECT_EQ(kills().count, 1);
}

TEST_F(MemoryEventsTest, WithoutAGroupTheHostsCountIsUsedAndSaidSo) {
  write("proc/self/cgroup", "0::/\n");
  write("proc/vmstat", "pgfault 1\noom_kill 9\n");
  EXPECT_EQ(kills().count, 9);
  EXPECT_EQ(kills().source, "host");
  EXPECT_EQ(read_oom_kills("/nonexistent"), std::nullopt);
}

}  // namespace
}  // namespace deepspeed::launcher

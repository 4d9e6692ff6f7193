#include "launcher/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "temporary_folder.h"

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text << "\n";
}

void add_cpu(const std::filesystem::path& root, int cpu, int socket, const std::string& siblings) {
  const auto topology = root / "sys/devices/system/cpu" / ("cpu" + std::to_string(cpu)) / "topology";
  write(topology / "physical_package_id", std::to_string(socket));
  write(topology / "thread_siblings_list", siblings);
}

TEST(Machine, CountsOnlyNumberedNvidiaDevices) {
  const TemporaryFolder root;
  for (const char* name : {"nvidia0", "nvidia3", "nvidia12", "nvidiactl", "nvidia-uvm", "nvidia", "null"})
    write(root.path() / "dev" / name, "");
  EXPECT_EQ(read_machine(root.path(), {0}).num_gpus, 3);
}

TEST(Machine, HardwareThreadsOfACoreCountOnceAndSocketsAreSeen) {
  const TemporaryFolder root;
  add_cpu(root.path(), 0, 1, "0,4");
  add_cpu(root.path(), 4, 1, "0,4");
  add_cpu(root.path(), 1, 0, "1,5");
  add_cpu(root.path(), 5, 0, "1,5");
  const Machine machine = read_machine(root.path(), {0, 1, 4, 5});
  EXPECT_THAT(machine.cores, ElementsAre(Core{1, 0}, Core{0, 1}));
  EXPECT_EQ(machine.num_sockets(), 2);
}

TEST(Machine, CoreIsNamedByTheThreadThatMayBeUsed) {
  const TemporaryFolder root;
  add_cpu(root.path(), 4, 0, "0,4");
  EXPECT_THAT(read_machine(root.path(), {4}).cores, ElementsAre(Core{4, 0}));
}

TEST(Machine, WithoutTopologyEachUsableCpuIsACoreOfOneSocket) {
  const TemporaryFolder root;
  const Machine machine = read_machine(root.path(), {2, 3});
  EXPECT_THAT(machine.cores, ElementsAre(Core{2, 0}, Core{3, 0}));
  EXPECT_EQ(machine.num_sockets(), 1);
  EXPECT_EQ(machine.num_gpus, 0);
}

TEST(Machine, ThisHostKnowsItsOwnNames) {
  const Machine machine = read_machine("/", usable_cpus());
  EXPECT_TRUE(machine.names.count("localhost") && machine.names.count("127.0.0.1") &&
              machine.names.count(machine.host_name));
  EXPECT_FALSE(usable_cpus().empty());
}

}  // namespace
}  // namespace deepspeed::launcher

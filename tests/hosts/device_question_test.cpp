#include "hosts/device_question.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "deepspeed/error.h"
#include "hosts/fan_out.h"
#include "support/scratch_folder.h"

namespace deepspeed::hosts {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(DeviceQuestion, GpusAreThoseOfNvidiaSmi) {
  const Devices devices =
      parse_devices({"Welcome!", "deepspeed devices 1", "host node1", "sockets 2", "cpus 64", "nodes 3",
                     "smi GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)", "smi   MIG 1g.10gb Device 0: (UUID: MIG-1)",
                     "smi GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-2)", "deepspeed end"});
  EXPECT_EQ(devices, (Devices{.host_name = "node1",
                              .gpus = {"NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"},
                              .num_sockets = 2,
                              .num_cpus = 64}));
  EXPECT_EQ(devices.num_slots(), 2);
}

TEST(DeviceQuestion, WithoutNvidiaSmiDeviceFilesCountAndItsFaultIsKept) {
  const Devices devices =
      parse_devices({"deepspeed devices 1", "nodes 2", "smi-failed Driver/library version mismatch", "deepspeed end"});
  EXPECT_THAT(devices.gpus, ElementsAre("GPU", "GPU"));
  EXPECT_EQ(devices.fault, "Driver/library version mismatch");
}

TEST(DeviceQuestion, AHostWithoutGpusHasASlotASocket) {
  EXPECT_EQ(parse_devices({"deepspeed devices 1", "sockets 2", "nodes 0", "deepspeed end"}).num_slots(), 2);
  EXPECT_EQ(parse_devices({"deepspeed devices 1", "sockets 0", "nodes 0", "deepspeed end"}).num_slots(), 1);
}

TEST(DeviceQuestion, WhatIsNoWholeAnswerIsAnError) {
  for (const std::vector<std::string>& lines :
       std::vector<std::vector<std::string>>{{},
                                             {"motd"},
                                             {"deepspeed devices 1"},
                                             {"deepspeed devices 1", "sockets x", "deepspeed end"},
                                             {"deepspeed devices 1", "nodes 999999", "deepspeed end"}}) {
    EXPECT_THROW(parse_devices(lines), ValueError);
  }
}

TEST(DeviceQuestion, TheScriptRunsInAShellThatHasNothingElse) {
  const auto results = run_jobs({{{"/bin/sh", "-c", kDeviceShell}, std::string(kDeviceScript)}}, {});
  EXPECT_EQ(results[0].exit_code, 0);
  EXPECT_THAT(results[0].error_lines, IsEmpty());
  const Devices devices = parse_devices(results[0].lines);
  EXPECT_FALSE(devices.host_name.empty());
  EXPECT_GE(devices.num_cpus, 1);
}

TEST(DeviceQuestion, TheScriptHandsOnWhatNvidiaSmiSaysAndDoesNotGiveItTheRestOfTheScript) {
  const test::ScratchFolder folder;
  const auto program = folder.path() / "nvidia-smi";
  std::ofstream(program) << "#!/bin/sh\ncat\nprintf '%s\\n' 'GPU 0: Tesla \\n T4 (UUID: GPU-1)'\n";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  const std::string path = "PATH=" + folder.path().string() + ":/usr/bin:/bin";
  const auto results =
      run_jobs({{{"/usr/bin/env", path, "/bin/sh", "-c", kDeviceShell}, std::string(kDeviceScript)}}, {});
  EXPECT_THAT(parse_devices(results[0].lines).gpus, ElementsAre("Tesla \\n T4"));
}

}  // namespace
}  // namespace deepspeed::hosts

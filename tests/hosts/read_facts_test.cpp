#include "hosts/read_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "support/scratch_folder.h"

namespace deepspeed::hosts {
namespace {

using ::testing::ElementsAre;

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

TEST(ReadFacts, GpusAreDeviceFilesWithTheNamesThatTheDriverSays) {
  const test::ScratchFolder root;
  for (const char* name : {"nvidia0", "nvidia2", "nvidiactl", "nvidia-uvm"}) write(root.path() / "dev" / name, "");
  const auto gpus = root.path() / "proc/driver/nvidia/gpus";
  write(gpus / "0000:01:00.0/information", "Model: \t\t NVIDIA H100\nIRQ: 1\nDevice Minor: \t 2\n");
  write(gpus / "0000:02:00.0/information", "Model: \t\t NVIDIA A100\nDevice Minor: \t 1\n");  // not in this container
  EXPECT_THAT(read_gpus(root.path()), ElementsAre("GPU", "NVIDIA H100"));
}

TEST(ReadFacts, TheDriversVersionStandsInALine) {
  EXPECT_EQ(
      driver_version("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC 12.2"),
      "580.65.06");
  EXPECT_EQ(driver_version("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129  Thu"), "535.129");
  EXPECT_EQ(driver_version(""), "");
}

TEST(ReadFacts, MemoryIsInBytes) {
  const char* text = "MemTotal:       24689764 kB\nMemFree:         100 kB\nMemAvailable:   23000000 kB\n";
  EXPECT_EQ(meminfo_bytes(text, "MemTotal"), int64_t{24689764} * 1024);
  EXPECT_EQ(meminfo_bytes(text, "MemAvailable"), int64_t{23000000} * 1024);
  EXPECT_EQ(meminfo_bytes(text, "Swap"), 0);
}

#if defined(__x86_64__)
TEST(ReadFacts, TheBestInstructionSetThatTheCpuHasIsUsed) {
  const std::string avx2 = "fpu sse4_1 sse4_2 pclmulqdq aes avx2 fma f16c bmi1 bmi2 abm";
  EXPECT_EQ(built_kernels(avx2).simd_used, "AVX2");
  EXPECT_EQ(built_kernels(avx2 + " avx512f avx512vl avx512dq avx512bw avx512cd").simd_used, "AVX-512");
  EXPECT_EQ(built_kernels("fpu sse4_1 sse4_2 pclmulqdq aes avx2x").simd_used, "SSE4");
  EXPECT_EQ(built_kernels("fpu").simd_used, "baseline");
  EXPECT_THAT(built_kernels("").simd, ElementsAre("AVX-512", "AVX2", "SSE4"));
}
#endif

TEST(ReadFacts, ThisHostHasFacts) {
  const HostFacts facts = read_facts("", "none was looked for");
  EXPECT_EQ(facts.version, DS_VERSION);
  EXPECT_FALSE(facts.host_name.empty());
  EXPECT_GT(facts.memory_bytes, facts.memory_free_bytes);
  EXPECT_EQ(facts.python.fault, "none was looked for");
}

}  // namespace
}  // namespace deepspeed::hosts

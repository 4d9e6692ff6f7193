#include "launcher/nvml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "launcher/machine.h"
#include "temporary_folder.h"

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

constexpr int kDriverNotLoaded = 9;

NvmlCalls one_gpu() {
  return {.init = [] { return 0; },
          .shutdown = [] { return 0; },
          .count =
              [](unsigned* count) {
                *count = 1;
                return 0;
              },
          .device = [](unsigned, void**) { return 0; },
          .name = [](void*, char*, unsigned) { return kDriverNotLoaded; }};
}

void install(const std::filesystem::path& root) {
  std::filesystem::create_symlink(DS_FAKE_NVML, root / "libnvidia-ml.so.1");
}

TEST(Nvml, GpusThatWeMayUseHaveTheirNames) {
  const TemporaryFolder root;
  install(root.path());
  EXPECT_THAT(ask_nvml(root.path()), Optional(ElementsAre("NVIDIA H100", "NVIDIA H100", "NVIDIA A100")));
}

TEST(Nvml, WithoutTheLibraryThereIsNoAnswer) {
  const TemporaryFolder root;
  EXPECT_FALSE(ask_nvml(root.path()));
  std::ofstream(root.path() / "libnvidia-ml.so.1") << "no library\n";
  EXPECT_FALSE(ask_nvml(root.path()));
}

TEST(Nvml, WithoutADriverThereIsNoAnswer) {
  NvmlCalls nvml = one_gpu();
  nvml.init = [] { return kDriverNotLoaded; };
  nvml.count = nullptr;
  EXPECT_FALSE(list_gpus(nvml));
}

TEST(Nvml, ACountThatFailsIsNoAnswer) {
  NvmlCalls nvml = one_gpu();
  nvml.count = [](unsigned*) { return kDriverNotLoaded; };
  EXPECT_FALSE(list_gpus(nvml));
}

TEST(Nvml, AGpuWithoutANameCounts) { EXPECT_THAT(list_gpus(one_gpu()), Optional(ElementsAre("GPU"))); }

TEST(Nvml, ItsCountIsTheMachinesWhateverDeviceFilesSay) {
  const TemporaryFolder root;
  std::filesystem::create_directories(root.path() / "dev");
  std::ofstream(root.path() / "dev/nvidia0") << "";
  EXPECT_EQ(read_machine(root.path(), {0}).num_gpus, 1);
  install(root.path());
  EXPECT_EQ(read_machine(root.path(), {0}).num_gpus, 3);
}

}  // namespace
}  // namespace deepspeed::launcher

// dlopen() and five functions.
#include "launcher/nvml.h"

#include <dlfcn.h>

#include <array>
#include <memory>

namespace deepspeed::launcher {
namespace {

constexpr const char* kLibrary = "libnvidia-ml.so.1";
constexpr size_t kNameBytes = 96;  // NVML_DEVICE_NAME_V2_BUFFER_SIZE

template <class Function>
bool find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(::dlsym(library, name));
  return function != nullptr;
}

}  // namespace

std::optional<std::vector<std::string>> list_gpus(const NvmlCalls& nvml) {
  if (nvml.init() != 0) return std::nullopt;
  const std::unique_ptr<const NvmlCalls, void (*)(const NvmlCalls*)> end(
      &nvml, [](const NvmlCalls* calls) { calls->shutdown(); });
  unsigned count = 0;
  if (nvml.count(&count) != 0) return std::nullopt;
  std::vector<std::string> names;
  for (unsigned i = 0; i < count; ++i) {
    void* device = nullptr;
    if (nvml.device(i, &device) != 0) continue;  // counted, but not ours to use
    std::array<char, kNameBytes> name{};
    const bool is_said = nvml.name(device, name.data(), kNameBytes) == 0;
    names.emplace_back(is_said ? name.data() : "GPU");
  }
  return names;
}

std::optional<std::vector<std::string>> ask_nvml(const std::filesystem::path& root) {
  const std::string path = root == "/" ? kLibrary : (root / kLibrary).string();
  const std::unique_ptr<void, int (*)(void*)> library(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL), &::dlclose);
  NvmlCalls nvml;
  const bool has_all = library && find(library.get(), "nvmlInit_v2", nvml.init) &&
                       find(library.get(), "nvmlShutdown", nvml.shutdown) &&
                       find(library.get(), "nvmlDeviceGetCount_v2", nvml.count) &&
                       find(library.get(), "nvmlDeviceGetHandleByIndex_v2", nvml.device) &&
                       find(library.get(), "nvmlDeviceGetName", nvml.name);
  return has_all ? list_gpus(nvml) : std::nullopt;
}

}  // namespace deepspeed::launcher

// The functions of NVML that nvml.h calls.
#include <cstring>

namespace {

constexpr int kUninitialized = 1;
constexpr int kNoPermission = 4;
constexpr unsigned kHidden = 2;
bool has_begun = false;
int devices[4] = {0, 1, 2, 3};

}  // namespace

#pragma GCC visibility push(default)  // all else here is built to hide them
extern "C" {

int nvmlInit_v2() {
  has_begun = true;
  return 0;
}

int nvmlShutdown() {
  has_begun = false;
  return 0;
}

int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 4;
  return has_begun ? 0 : kUninitialized;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = &devices[index];
  return index == kHidden ? kNoPermission : 0;
}

int nvmlDeviceGetName(void* device, char* name, unsigned bytes) {
  std::strncpy(name, device == &devices[3] ? "NVIDIA A100" : "NVIDIA H100", bytes);
  return 0;
}

}  // extern "C"
#pragma GCC visibility pop

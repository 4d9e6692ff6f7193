// Values and sizes that the kernel tests share, and a way to run one body on every instruction set of this machine.
#pragma once

#include <hwy/highway.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "core/dtype.h"
#include "kernels/accumulate_kernels.h"

namespace deepspeed::kernels {

using core::Dtype;

inline constexpr Dtype kDtypes[] = {Dtype::kFloat32, Dtype::kBFloat16, Dtype::kFloat16};

/// Around the widths of vectors and of blocks, and nothing at all.
inline constexpr int64_t kSizes[] = {0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 100, 2047, 2048, 2049, 5000};

/// The next dispatch uses the targets that SetSupportedTargetsForTest() chose. Highway before 1.0 takes no argument.
template <class ChosenTarget>
void update_target(ChosenTarget& chosen) {
  if constexpr (requires { chosen.Update(hwy::SupportedTargets()); }) {
    chosen.Update(hwy::SupportedTargets());
  } else {
    chosen.Update();
  }
}

/// Calls `body` once per instruction set that both this machine and the build have, the portable one included.
template <class Body>
void on_every_target(const Body& body) {
  const int64_t supported = hwy::SupportedTargets();
  for (int64_t targets = supported; targets != 0; targets &= targets - 1) {
    const int64_t target = targets & -targets;
    hwy::SetSupportedTargetsForTest(target);
    update_target(hwy::GetChosenTarget());
    SCOPED_TRACE(hwy::TargetName(target));
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  update_target(hwy::GetChosenTarget());
}

/// Bytes of `numel` elements, of normal size; every 11th is zero, tiny, huge, inf or nan where `with_special`.
inline std::vector<char> random_elements(Dtype dtype, int64_t numel, unsigned seed, bool with_special = false) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  const float special[] = {0.0F,
                           -0.0F,
                           1e-40F,
                           6e-8F,
                           1e-6F,
                           65519.F,
                           65520.0F,
                           -1e30F,
                           3.4e38F,
                           std::numeric_limits<float>::infinity(),
                           std::numeric_limits<float>::quiet_NaN()};
  std::vector<float> values(static_cast<size_t>(numel));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = with_special && i % 11 == 3 ? special[i / 11 % std::size(special)] : normal(generator);
  }
  std::vector<char> bytes(static_cast<size_t>(numel * core::dtype_bytes(dtype)));
  convert_reference(bytes.data(), dtype, values.data(), Dtype::kFloat32, numel);
  return bytes;
}

inline std::vector<float> random_floats(int64_t numel, unsigned seed) {
  std::vector<float> values(static_cast<size_t>(numel));
  const auto bytes = random_elements(Dtype::kFloat32, numel, seed);
  if (numel > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace deepspeed::kernels

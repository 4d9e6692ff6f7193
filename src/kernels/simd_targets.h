// Which instruction sets the kernels are compiled for; include before <hwy/foreach_target.h>.
// x86: baseline, SSE4, AVX2 with F16C, AVX-512; Arm: NEON. Sets whose vectors have no size at compile time are left
// out.
#pragma once

#include <hwy/detect_targets.h>

#undef HWY_DISABLED_TARGETS
#ifdef HWY_SVE_256  // Highway 1.0
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#else
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_RVV)
#endif

// Every optimizer kernel against its plain reference bit by bit: all dtypes, sizes, options and instruction sets.
#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <span>

#include "cases.h"
#include "deepspeed/error.h"
#include "kernels/adagrad_kernels.h"
#include "kernels/adam_kernels.h"
#include "kernels/lamb_kernels.h"
#include "kernels/lion_kernels.h"
#include "kernels/sgd_kernels.h"

namespace deepspeed::kernels {
namespace {

/// At the start of a cache line, where large results are written past the cache; a vector's own memory is not.
template <class T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};
  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kLine)); }
  void deallocate(T* data, size_t) { ::operator delete(data, kLine); }
  bool operator==(const LineAllocator&) const = default;
};

/// Buffers of one range, with three states that start positive.
struct Buffers {
  Buffers(int64_t numel, Dtype gradient_dtype, Dtype compute_dtype)
      : master(random_floats(numel, 1)),
        gradient(random_elements(gradient_dtype, numel, 2, /*with_special=*/true)),
        compute(static_cast<size_t>(numel * core::dtype_bytes(compute_dtype))),
        gradient_dtype(gradient_dtype),
        compute_dtype(compute_dtype) {
    for (unsigned i = 0; i < 3; ++i) {
      states[i] = random_floats(numel, 3 + i);
      for (float& value : states[i]) value = std::fabs(value);
    }
  }

  UpdateRange range(int64_t begin, int64_t end) {
    return {.master = master.data() + begin,
            .gradient = gradient.data() + begin * core::dtype_bytes(gradient_dtype),
            .gradient_dtype = gradient_dtype,
            .compute = compute.data() + begin * core::dtype_bytes(compute_dtype),
            .compute_dtype = compute_dtype,
            .numel = end - begin,
            .gradient_scale = 0.73F};
  }

  std::span<const float> compute_floats() const {
    return {reinterpret_cast<const float*>(compute.data()), compute.size() / sizeof(float)};
  }

  std::vector<float> master;
  std::vector<char> gradient;
  std::vector<char, LineAllocator<char>> compute;
  std::vector<float> states[3];
  Dtype gradient_dtype;
  Dtype compute_dtype;
};

void expect_same_floats(std::span<const float> got, std::span<const float> expected, const char* what) {
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(got[i]) && std::isnan(expected[i])) continue;
    ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(expected[i]))
        << what << " at " << i << ": " << got[i] << " and " << expected[i];
  }
}

void expect_same(const Buffers& got, const Buffers& expected) {
  expect_same_floats(got.master, expected.master, "master");
  for (const auto& i : {0, 1, 2}) expect_same_floats(got.states[i], expected.states[i], "state");
  if (got.compute_dtype == Dtype::kFloat32) {  // whose NaNs may differ in payload
    expect_same_floats(got.compute_floats(), expected.compute_floats(), "compute");
  } else {
    EXPECT_EQ(got.compute, expected.compute);
  }
}

struct Case {
  const char* name;
  std::function<void(Buffers&, int64_t begin, int64_t end)> kernel;
  std::function<void(Buffers&, int64_t begin, int64_t end)> reference;
};

/// A case from a kernel, its reference and a function that fills the rest of their arguments.
template <class Args>
Case make_case(const char* name, void (*kernel)(const Args&), void (*reference)(const Args&),
               std::function<Args(Buffers&, int64_t)> fill) {
  const auto run = [fill](void (*call)(const Args&)) {
    return [fill, call](Buffers& buffers, int64_t begin, int64_t end) {
      Args args = fill(buffers, begin);
      args.range = buffers.range(begin, end);
      call(args);
    };
  };
  return {name, run(kernel), run(reference)};
}

Case adam_case(const char* name, float weight_scale, float l2, bool amsgrad) {
  return make_case<AdamArgs>(name, &adam, &adam_reference, [=](Buffers& b, int64_t begin) {
    AdamArgs args{.range = {},
                  .exp_avg = b.states[0].data() + begin,
                  .exp_avg_sq = b.states[1].data() + begin,
                  .step_size = 0.01F,
                  .inverse_sqrt_correction = 3.1F,
                  .weight_scale = weight_scale,
                  .l2 = l2};
    if (amsgrad) args.max_exp_avg_sq = b.states[2].data() + begin;
    return args;
  });
}

Case sgd_case(const char* name, bool momentum, bool nesterov, bool first_step) {
  return make_case<SgdArgs>(name, &sgd, &sgd_reference, [=](Buffers& b, int64_t begin) {
    SgdArgs args{.range = {}, .lr = 0.1F, .l2 = 0.01F, .nesterov = nesterov, .first_step = first_step};
    if (momentum) {
      args.momentum_buffer = b.states[0].data() + begin;
      args.momentum = 0.9F;
      args.one_minus_dampening = 0.7F;
    }
    return args;
  });
}

Case lamb_case(const char* name, bool eps_inside_sqrt) {
  return make_case<LambPrepareArgs>(name, &lamb_prepare, &lamb_prepare_reference, [=](Buffers& b, int64_t begin) {
    return LambPrepareArgs{.range = {},
                           .exp_avg = b.states[0].data() + begin,
                           .exp_avg_sq = b.states[1].data() + begin,
                           .update = b.states[2].data() + begin,
                           .inverse_correction1 = 10.0F,
                           .inverse_correction2 = 1000.0F,
                           .weight_decay = 0.01F,
                           .eps_inside_sqrt = eps_inside_sqrt};
  });
}

std::vector<Case> all_cases() {
  return {
      adam_case("adam", 1.0F, 0.01F, false),
      adam_case("adamw", 0.999F, 0.0F, false),
      adam_case("amsgrad", 0.999F, 0.0F, true),
      sgd_case("sgd", false, false, false),
      sgd_case("sgd_first_step", true, false, true),
      sgd_case("sgd_momentum", true, false, false),
      sgd_case("sgd_nesterov", true, true, false),
      make_case<AdagradArgs>("adagrad", &adagrad, &adagrad_reference,
                             [](Buffers& b, int64_t begin) {
                               return AdagradArgs{.range = {}, .sum = b.states[0].data() + begin, .l2 = 0.01F};
                             }),
      make_case<LionArgs>("lion", &lion, &lion_reference,
                          [](Buffers& b, int64_t begin) {
                            return LionArgs{.range = {}, .exp_avg = b.states[0].data() + begin, .weight_scale = 0.999F};
                          }),
      lamb_case("lamb_prepare", false),
      lamb_case("lamb_prepare_eps_inside", true),
      make_case<LambApplyArgs>("lamb_apply", &lamb_apply, &lamb_apply_reference,
                               [](Buffers& b, int64_t begin) {
                                 return LambApplyArgs{
                                     .range = {}, .update = b.states[2].data() + begin, .step_size = 0.1F};
                               }),
  };
}

class OptimizerKernel : public testing::TestWithParam<Case> {};

TEST_P(OptimizerKernel, EqualsItsReferenceBitByBitOnEveryTarget) {
  on_every_target([] {
    for (const Dtype gradient : kDtypes) {
      for (const Dtype compute : kDtypes) {
        for (const int64_t numel : kSizes) {
          SCOPED_TRACE(concat(core::dtype_name(gradient), " to ", core::dtype_name(compute), ", ", numel, " elements"));
          Buffers got(numel, gradient, compute);
          Buffers expected = got;
          GetParam().kernel(got, 0, numel);
          GetParam().reference(expected, 0, numel);
          expect_same(got, expected);
        }
      }
    }
  });
}

TEST_P(OptimizerKernel, ASplitRangeGivesTheSameBits) {
  Buffers whole(5000, Dtype::kBFloat16, Dtype::kBFloat16);
  Buffers split = whole;
  GetParam().kernel(whole, 0, 5000);
  int64_t begin = 0;
  for (const int64_t end : {1, 8, 1003, 3051, 5000}) {
    GetParam().kernel(split, begin, end);
    begin = end;
  }
  expect_same(split, whole);
}

// Ranges that are large enough to be written past the cache, and the same where alignment forbids it.
TEST_P(OptimizerKernel, ALargeRangeGivesTheBitsOfItsPartsOnEveryTarget) {
  static constexpr int64_t kNumel = (int64_t{1} << 19) + 45;
  on_every_target([] {
    Buffers whole(kNumel, Dtype::kBFloat16, Dtype::kBFloat16);
    Buffers parts = whole;
    Buffers shifted = whole;
    GetParam().kernel(whole, 0, kNumel);
    for (int64_t begin = 0; begin < kNumel; begin += 100'000)
      GetParam().kernel(parts, begin, std::min(kNumel, begin + 100'000));
    GetParam().kernel(shifted, 0, 3);
    GetParam().kernel(shifted, 3, kNumel);
    expect_same(whole, parts);
    expect_same(shifted, parts);
  });
}

TEST_P(OptimizerKernel, TheDtypeOfTheComputeTensorDoesNotChangeTheMaster) {
  Buffers narrow(100, Dtype::kFloat32, Dtype::kBFloat16);
  Buffers wide(100, Dtype::kFloat32, Dtype::kFloat32);
  GetParam().kernel(narrow, 0, 100);
  GetParam().kernel(wide, 0, 100);
  expect_same_floats(wide.master, narrow.master, "master");
}

INSTANTIATE_TEST_SUITE_P(All, OptimizerKernel, testing::ValuesIn(all_cases()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(OptimizerKernel, NoComputeTensorIsWrittenWhereThereIsNone) {
  std::vector<float> master = {1.0F};
  const float gradient = 0.5F;
  sgd({.range = {.master = master.data(), .gradient = &gradient, .numel = 1}, .lr = 1.0F});
  EXPECT_EQ(master[0], 0.5F);
}

TEST(OptimizerKernel, LionKeepsAWeightWhoseGradientAndMomentAreZeroAndShowsNan) {
  std::vector<float> master = {1.0F, 1.0F};
  std::vector<float> exp_avg = {0.0F, 0.0F};
  const std::vector<float> gradient = {0.0F, std::numeric_limits<float>::quiet_NaN()};
  lion({.range = {.master = master.data(), .gradient = gradient.data(), .numel = 2}, .exp_avg = exp_avg.data()});
  EXPECT_EQ(master[0], 1.0F);
  EXPECT_TRUE(std::isnan(master[1]));
}

TEST(OptimizerKernel, AFloat64GradientIsRefusedBeforeAnythingIsWritten) {
  std::vector<float> master = {1.0F};
  const double gradient = 1.0;
  const SgdArgs args{
      .range = {.master = master.data(), .gradient = &gradient, .gradient_dtype = Dtype::kFloat64, .numel = 1}};
  EXPECT_THROW(sgd(args), NotSupported);
  EXPECT_EQ(master[0], 1.0F);
}

}  // namespace
}  // namespace deepspeed::kernels

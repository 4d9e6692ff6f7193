// The vector loops against the plain ones bit by bit, on every instruction set that this machine has.
#include "kernels/accumulate_kernels.h"

#include <gtest/gtest.h>

#include "cases.h"
#include "deepspeed/error.h"
#include "kernels/element.h"

namespace deepspeed::kernels {
namespace {

using Scaled = void (*)(void*, Dtype, const void*, Dtype, int64_t, double);

/// NaNs may differ in payload only where both are float32, so they are compared as NaNs there.
void expect_same_elements(const std::vector<char>& got, const std::vector<char>& expected, Dtype dtype) {
  ASSERT_EQ(got.size(), expected.size());
  if (dtype != Dtype::kFloat32) {
    EXPECT_EQ(got, expected);
    return;
  }
  for (size_t at = 0; at < got.size(); at += sizeof(float)) {
    float a = 0.0F;
    float b = 0.0F;
    std::memcpy(&a, got.data() + at, sizeof a);
    std::memcpy(&b, expected.data() + at, sizeof b);
    if (std::isnan(a) && std::isnan(b)) continue;
    ASSERT_EQ(std::bit_cast<uint32_t>(a), std::bit_cast<uint32_t>(b)) << "at element " << at / sizeof(float);
  }
}

void expect_as_reference(Scaled kernel, Scaled reference) {
  for (const Dtype dst : kDtypes) {
    for (const Dtype src : kDtypes) {
      for (const int64_t numel : kSizes) {
        SCOPED_TRACE(concat(core::dtype_name(src), " to ", core::dtype_name(dst), ", ", numel, " elements"));
        const auto source = random_elements(src, numel, 1, /*with_special=*/true);
        auto got = random_elements(dst, numel, 2, /*with_special=*/true);
        auto expected = got;
        reference(expected.data(), dst, source.data(), src, numel, 0.37);
        kernel(got.data(), dst, source.data(), src, numel, 0.37);
        expect_same_elements(got, expected, dst);
      }
    }
  }
}

TEST(Accumulate, ScaledCopyEqualsTheReferenceOnEveryTarget) {
  on_every_target([] { expect_as_reference(&scale_copy, &scale_copy_reference); });
}

TEST(Accumulate, ScaledSumEqualsTheReferenceOnEveryTarget) {
  on_every_target([] { expect_as_reference(&scale_add, &scale_add_reference); });
}

TEST(Accumulate, SumsAreTakenInFloat32AndRoundedOnce) {
  const float source = 3.0F;
  BFloat16 sum = from_float<BFloat16>(256.0F);  // neighbours in bfloat16: 256 and 258
  scale_add(&sum, Dtype::kBFloat16, &source, Dtype::kFloat32, 1, 0.5);
  EXPECT_EQ(to_float(sum), 258.0F);
}

TEST(Accumulate, WritesNothingBeyondTheRange) {
  for (const Dtype dst : kDtypes) {
    const auto source = random_floats(17, 1);
    std::vector<char> target(20 * 4, '\x55');
    scale_copy(target.data(), dst, source.data(), Dtype::kFloat32, 17, 1.0);
    for (size_t i = static_cast<size_t>(17 * core::dtype_bytes(dst)); i < target.size(); ++i) {
      ASSERT_EQ(target[i], '\x55') << "byte " << i;
    }
  }
}

TEST(Accumulate, Float64IsScaledInFloat64) {
  const double source = 1.0 + 1e-12;
  double target = 1.0;
  scale_add(&target, Dtype::kFloat64, &source, Dtype::kFloat64, 1, 2.0);
  EXPECT_EQ(target, 1.0 + 2.0 * source);
  scale_copy(&target, Dtype::kFloat64, &source, Dtype::kFloat64, 1, 3.0);
  EXPECT_EQ(target, 3.0 * source);
}

TEST(Accumulate, Float64WithAnotherDtypeIsRefusedByName) {
  float target = 0.0F;
  const double source = 1.0;
  try {
    scale_copy(&target, Dtype::kFloat32, &source, Dtype::kFloat64, 1, 1.0);
    FAIL() << "expected NotSupported";
  } catch (const NotSupported& error) {
    EXPECT_NE(std::string(error.what()).find("scale_copy] got elements of float64"), std::string::npos);
  }
}

TEST(Convert, All16BitValuesToFloat32AndBackKeepTheirBits) {
  on_every_target([] {
    for (const Dtype dtype : {Dtype::kBFloat16, Dtype::kFloat16}) {
      std::vector<uint16_t> all(65'536);
      for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
      std::vector<float> wide(all.size());
      std::vector<uint16_t> back(all.size());
      convert(wide.data(), Dtype::kFloat32, all.data(), dtype, 65'536);
      convert(back.data(), dtype, wide.data(), Dtype::kFloat32, 65'536);
      for (size_t i = 0; i < all.size(); ++i) {
        const float expected = dtype == Dtype::kBFloat16 ? to_float(BFloat16{all[i]}) : to_float(Float16{all[i]});
        ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), std::bit_cast<uint32_t>(expected)) << "bits " << i;
        if (std::isnan(expected)) continue;
        ASSERT_EQ(back[i], all[i]);
      }
    }
  });
}

// Float16 by arithmetic: value = units x 2^exponent, rounded by the halfway rule in exact doubles.
uint16_t float16_by_arithmetic(float value) {
  const auto sign = static_cast<uint16_t>(std::signbit(value) ? 0x8000 : 0);
  const double magnitude = std::fabs(static_cast<double>(value));
  if (magnitude >= 65520.0) return sign | 0x7C00;
  const int exponent = std::max(magnitude == 0.0 ? -14 : std::ilogb(magnitude), -14);
  double units = std::nearbyint(std::ldexp(magnitude, 10 - exponent));  // default rounding: nearest even
  return static_cast<uint16_t>(sign + static_cast<uint16_t>(units) + ((exponent + 14) << 10));
}

TEST(Convert, Float32ToFloat16RoundsToNearestEvenForADenseSample) {
  std::vector<float> values;
  for (uint64_t bits = 0; bits < 0x7F800000ULL; bits += 4'093) values.push_back(std::bit_cast<float>(uint32_t(bits)));
  for (uint32_t half = 0; half < 0x7C00; ++half) {  // every float16, every halfway point and their neighbours
    const uint32_t at = std::bit_cast<uint32_t>(to_float(Float16{static_cast<uint16_t>(half)}));
    const float middle = 0.5F * (to_float(Float16{static_cast<uint16_t>(half)}) +
                                 (half + 1 < 0x7C00 ? to_float(Float16{static_cast<uint16_t>(half + 1)}) : 65536.0F));
    for (const uint32_t bits : {at, at + 1, std::bit_cast<uint32_t>(middle) - 1, std::bit_cast<uint32_t>(middle),
                                std::bit_cast<uint32_t>(middle) + 1}) {
      values.push_back(-std::bit_cast<float>(bits));
    }
  }
  std::vector<uint16_t> got(values.size());
  on_every_target([&] {
    convert(got.data(), Dtype::kFloat16, values.data(), Dtype::kFloat32, static_cast<int64_t>(values.size()));
    for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(got[i], float16_by_arithmetic(values[i])) << values[i];
  });
}

TEST(Convert, Float32ToBFloat16RoundsToNearestEven) {
  const std::vector<std::pair<uint32_t, uint16_t>> cases = {
      {0x3F800000, 0x3F80}, {0x3F808000, 0x3F80}, {0x3F808001, 0x3F81}, {0x3F818000, 0x3F82}, {0x3F817FFF, 0x3F81},
      {0x7F7FFFFF, 0x7F80}, {0x7F800000, 0x7F80}, {0xFF800000, 0xFF80}, {0x00000001, 0x0000}, {0x00008001, 0x0001},
      {0x80000000, 0x8000}, {0x7FC00001, 0x7FC0}, {0xFF800001, 0x7FC0}};
  on_every_target([&] {
    for (const auto& [bits, expected] : cases) {
      // 16 copies, so that whole vectors see the value too.
      std::vector<float> values(17, std::bit_cast<float>(bits));
      std::vector<uint16_t> got(17);
      convert(got.data(), Dtype::kBFloat16, values.data(), Dtype::kFloat32, 17);
      EXPECT_EQ(got, std::vector<uint16_t>(17, expected)) << std::hex << bits;
    }
  });
}

TEST(Convert, BetweenTheTwo16BitTypesGoesThroughFloat32) {
  const auto source = random_elements(Dtype::kFloat16, 1000, 5, /*with_special=*/true);
  std::vector<char> got(2000);
  std::vector<char> expected(2000);
  convert_reference(expected.data(), Dtype::kBFloat16, source.data(), Dtype::kFloat16, 1000);
  on_every_target([&] {
    convert(got.data(), Dtype::kBFloat16, source.data(), Dtype::kFloat16, 1000);
    EXPECT_EQ(got, expected);
  });
}

TEST(Convert, EqualDtypesAreCopiedByteByByte) {
  const std::vector<uint32_t> source = {0x7F800001, 0xFFC12345, 0x80000000};  // a signalling NaN among them
  std::vector<uint32_t> target(3);
  convert(target.data(), Dtype::kFloat32, source.data(), Dtype::kFloat32, 3);
  EXPECT_EQ(target, source);
}

}  // namespace
}  // namespace deepspeed::kernels

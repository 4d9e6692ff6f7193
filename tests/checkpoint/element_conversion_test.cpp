// The oracle searches the neighbouring representable values in float64, where all of them are exact.
#include "checkpoint/element_conversion.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

namespace deepspeed::checkpoint {
namespace {

using io::ElementType;

template <class To, class From>
To converted(ElementType from, From value, ElementType to) {
  To result{};
  convert_elements(from, &value, to, &result, 1);
  return result;
}

double wide(ElementType type, uint16_t bits) { return converted<double>(type, bits, ElementType::kFloat64); }

// `infinity` is the bit pattern of infinity: values beyond it do not exist, and it stands for one step past the
// largest.
void expect_nearest(ElementType type, uint16_t got, double value, uint16_t infinity) {
  const auto magnitude = static_cast<uint16_t>(got & 0x7fff);
  const double beyond = 2 * wide(type, infinity - 1) - wide(type, infinity - 2);
  const auto at = [&](int bits) { return bits == infinity ? beyond : wide(type, static_cast<uint16_t>(bits)); };
  const double error = std::fabs(at(magnitude) - std::fabs(value));
  ASSERT_EQ(std::signbit(value), (got & 0x8000) != 0);
  for (const int neighbour : {magnitude - 1, magnitude + 1}) {
    if (neighbour < 0 || neighbour > infinity || (magnitude == infinity && std::fabs(value) > beyond)) continue;
    const double other = std::fabs(at(neighbour) - std::fabs(value));
    ASSERT_TRUE(error < other || (error == other && magnitude % 2 == 0)) << value << " became " << got;
  }
}

TEST(ElementConversion, EachHalfAndBrainFloatComesBack) {
  for (int bits = 0; bits < 65536; ++bits) {
    for (const auto type : {ElementType::kFloat16, ElementType::kBFloat16}) {
      const auto value = static_cast<uint16_t>(bits);
      const auto narrow = converted<float>(type, value, ElementType::kFloat32);
      const auto back = converted<uint16_t>(ElementType::kFloat32, narrow, type);
      if (std::isnan(narrow)) {
        EXPECT_TRUE(std::isnan(wide(type, back)));
      } else {
        ASSERT_EQ(back, value);
        ASSERT_EQ(converted<uint16_t>(ElementType::kFloat64, static_cast<double>(narrow), type), value);
      }
    }
  }
}

TEST(ElementConversion, NarrowingRoundsToNearestEvenFromFloatAndDouble) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 300'000; ++round) {
    const auto half = static_cast<uint16_t>(random() % 0x7c00);
    const double from = wide(ElementType::kFloat16, half);
    const double to = half + 1 == 0x7c00 ? 65536.0 : wide(ElementType::kFloat16, half + 1);
    // Exact ties, values a little off a tie (less than a float can tell), and anything between.
    const double off = std::ldexp(to - from, -40);
    const double choices[] = {(from + to) / 2, (from + to) / 2 + off, (from + to) / 2 - off, from + (to - from) * 0.3};
    const double value = choices[random() % 4] * (random() % 2 == 0 ? 1 : -1);
    expect_nearest(ElementType::kFloat16, converted<uint16_t>(ElementType::kFloat64, value, ElementType::kFloat16),
                   value, 0x7c00);
    const auto narrow = std::bit_cast<float>(static_cast<uint32_t>(random()) & 0xff7fffff);
    expect_nearest(ElementType::kBFloat16, converted<uint16_t>(ElementType::kFloat32, narrow, ElementType::kBFloat16),
                   narrow, 0x7f80);
    const double near_float = static_cast<double>(narrow) * (1 + 1e-12);
    expect_nearest(ElementType::kBFloat16,
                   converted<uint16_t>(ElementType::kFloat64, near_float, ElementType::kBFloat16), near_float, 0x7f80);
  }
}

TEST(ElementConversion, OnlyFloatsConvert) {
  EXPECT_TRUE(is_convertible(ElementType::kInt64, ElementType::kInt64));
  EXPECT_FALSE(is_convertible(ElementType::kInt64, ElementType::kFloat32));
  EXPECT_TRUE(is_convertible(ElementType::kFloat16, ElementType::kFloat64));
}

}  // namespace
}  // namespace deepspeed::checkpoint

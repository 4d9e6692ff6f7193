// Every reduction of every type, against plain arithmetic.
#include "transport/combine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <limits>
#include <vector>

#include "deepspeed/error.h"

namespace deepspeed::transport {
namespace {

template <class T>
std::vector<T> combined(std::vector<std::vector<T>> parts, Element element, Reduction reduction, double scale = 1.0) {
  std::vector<const std::byte*> pointers;
  for (auto& part : parts) pointers.push_back(reinterpret_cast<const std::byte*>(part.data()));
  const size_t own = parts.size() - 1;
  combine({.parts = pointers,
           .own_rank = static_cast<int>(own),
           .result = reinterpret_cast<std::byte*>(parts[own].data()),
           .numel = static_cast<int64_t>(parts[own].size()),
           .element = element,
           .wire = element,
           .reduction = reduction,
           .scale = scale});
  return parts[own];
}

TEST(Combine, IntegersOfEveryReduction) {
  const std::vector<std::vector<int32_t>> parts = {{6, -3}, {3, 5}, {5, 1}};
  const auto result = [&](Reduction reduction) { return combined<int32_t>(parts, Element::kInt32, reduction); };
  EXPECT_EQ(result(Reduction::kSum), (std::vector<int32_t>{14, 3}));
  EXPECT_EQ(result(Reduction::kProduct), (std::vector<int32_t>{90, -15}));
  EXPECT_EQ(result(Reduction::kMin), (std::vector<int32_t>{3, -3}));
  EXPECT_EQ(result(Reduction::kMax), (std::vector<int32_t>{6, 5}));
  EXPECT_EQ(result(Reduction::kBitAnd), (std::vector<int32_t>{6 & 3 & 5, -3 & 5 & 1}));
  EXPECT_EQ(result(Reduction::kBitOr), (std::vector<int32_t>{6 | 3 | 5, -3 | 5 | 1}));
  EXPECT_EQ(result(Reduction::kBitXor), (std::vector<int32_t>{6 ^ 3 ^ 5, -3 ^ 5 ^ 1}));
}

TEST(Combine, SmallIntegersWrapAndBoolsAreOred) {
  EXPECT_EQ(combined<uint8_t>({{200}, {100}}, Element::kUInt8, Reduction::kSum), (std::vector<uint8_t>{44}));
  EXPECT_EQ(combined<int64_t>({{int64_t{1} << 40}, {1}}, Element::kInt64, Reduction::kSum),
            (std::vector<int64_t>{(int64_t{1} << 40) + 1}));
  const std::vector<std::vector<uint8_t>> bools = {{1, 0, 1}, {1, 0, 0}};
  EXPECT_EQ(combined<uint8_t>(bools, Element::kBool, Reduction::kSum), (std::vector<uint8_t>{1, 0, 1}));
  EXPECT_EQ(combined<uint8_t>(bools, Element::kBool, Reduction::kBitAnd), (std::vector<uint8_t>{1, 0, 0}));
}

TEST(Combine, HalvesAreAddedInFloat32) {
  // 1 + 2^-8 + 2^-8 in bfloat16: each addend alone would be rounded away.
  EXPECT_EQ(combined<uint16_t>({{0x3F80}, {0x3B80}, {0x3B80}}, Element::kBFloat16, Reduction::kSum),
            (std::vector<uint16_t>{0x3F81}));
  EXPECT_EQ(combined<uint16_t>({{0x3C00}, {0x4000}}, Element::kFloat16, Reduction::kProduct),
            (std::vector<uint16_t>{0x4000}));
  EXPECT_EQ(combined<uint16_t>({{0x3C00}, {0x4000}}, Element::kFloat16, Reduction::kMin),
            (std::vector<uint16_t>{0x3C00}));
}

TEST(Combine, ANanWins) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Reduction reduction : {Reduction::kMin, Reduction::kMax}) {
    const std::vector<float> result = combined<float>({{nan, 1}, {1, nan}, {2, 2}}, Element::kFloat32, reduction);
    EXPECT_TRUE(std::isnan(result[0]));
    EXPECT_TRUE(std::isnan(result[1]));
  }
}

TEST(Combine, ComplexSumsAreScaled) {
  using C = std::complex<float>;
  EXPECT_EQ(combined<C>({{C(1, 2)}, {C(3, -4)}}, Element::kComplex64, Reduction::kSum, 0.5),
            (std::vector<C>{C(2, -1)}));
}

TEST(Combine, WhatMeansNothingIsRefused) {
  EXPECT_THROW(check_reduction(Element::kFloat32, Reduction::kBitAnd), NotSupported);
  EXPECT_THROW(check_reduction(Element::kComplex64, Reduction::kMax), NotSupported);
  EXPECT_NO_THROW(check_reduction(Element::kBFloat16, Reduction::kMax));
}

}  // namespace
}  // namespace deepspeed::transport

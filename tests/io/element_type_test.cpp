#include "io/element_type.h"

#include <gtest/gtest.h>

namespace deepspeed::io {
namespace {

TEST(ElementType, NamesRoundTripAndUnknownOnesAreRefused) {
  for (int value = 0; value <= static_cast<int>(ElementType::kComplex64); ++value) {
    const auto type = static_cast<ElementType>(value);
    EXPECT_EQ(parse_element_type(element_type_name(type)), type);
    EXPECT_GT(element_bytes(type), 0);
  }
  EXPECT_EQ(parse_element_type("F31"), std::nullopt);
  EXPECT_EQ(parse_torch_type("torch.bfloat16"), ElementType::kBFloat16);
  EXPECT_EQ(parse_torch_type("int64"), ElementType::kInt64);
  EXPECT_EQ(parse_torch_type("complex128"), std::nullopt);
  EXPECT_EQ(element_type(core::Dtype::kFloat16), ElementType::kFloat16);
}

TEST(ElementType, NumelSeesOverflowAndNegativeSizes) {
  EXPECT_EQ(checked_numel({}), 1);
  EXPECT_EQ(checked_numel({2, 3, 4}), 24);
  EXPECT_EQ(checked_numel({int64_t{1} << 61, int64_t{1} << 61, 0}), 0);
  EXPECT_EQ(checked_numel({int64_t{1} << 32, int64_t{1} << 32}), std::nullopt);
  EXPECT_EQ(checked_numel({-1, 2}), std::nullopt);
  EXPECT_EQ(checked_numel({-1, 0}), std::nullopt);
}

TEST(ElementType, BytesSeeWhatNoTensorHas) {
  EXPECT_EQ(checked_bytes({3}, ElementType::kFloat64), 24);
  EXPECT_EQ(checked_bytes({0, int64_t{1} << 61}, ElementType::kFloat64), 0);
  EXPECT_EQ(checked_bytes({int64_t{1} << 47}, ElementType::kFloat64), int64_t{1} << 50);
  EXPECT_EQ(checked_bytes({(int64_t{1} << 47) + 1}, ElementType::kFloat64), std::nullopt);
  EXPECT_EQ(checked_bytes({int64_t{1} << 61}, ElementType::kFloat64), std::nullopt);
}

}  // namespace
}  // namespace deepspeed::io

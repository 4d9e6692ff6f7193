#include "kernels/norm_kernels.h"

#include <gtest/gtest.h>

#include "cases.h"
#include "deepspeed/error.h"

namespace deepspeed::kernels {
namespace {

TEST(Norm, SumOfSquaresEqualsTheReferenceBitByBitOnEveryTarget) {
  on_every_target([] {
    for (const Dtype dtype : kDtypes) {
      for (const int64_t numel : {int64_t{0}, int64_t{1}, int64_t{15}, int64_t{17}, int64_t{1024}, int64_t{1039},
                                  kNormChunkNumel, kNormChunkNumel + 1, 2 * kNormChunkNumel + 333}) {
        SCOPED_TRACE(concat(core::dtype_name(dtype), ", ", numel, " elements"));
        const auto values = random_elements(dtype, numel, 3);
        EXPECT_EQ(sum_of_squares(values.data(), dtype, numel), sum_of_squares_reference(values.data(), dtype, numel));
      }
    }
  });
}

TEST(Norm, ChunksReadTogetherEqualChunksReadAloneOnEveryTarget) {
  on_every_target([] {
    for (const Dtype dtype : kDtypes) {
      const int64_t numel = 9 * kNormChunkNumel + 21;
      const auto values = random_elements(dtype, numel, 8);
      std::vector<double> sums(10);
      chunk_sums_of_squares(values.data(), dtype, numel, sums.data());
      for (int64_t i = 0; i < 10; ++i) {
        const int64_t count = std::min(kNormChunkNumel, numel - i * kNormChunkNumel);
        const char* const from = values.data() + i * kNormChunkNumel * core::dtype_bytes(dtype);
        EXPECT_EQ(sums[static_cast<size_t>(i)], sum_of_squares_reference(from, dtype, count)) << "chunk " << i;
      }
    }
  });
}

TEST(Norm, SumOfSquaresDoesNotDependOnAlignment) {
  const int64_t numel = kNormChunkNumel + 77;
  const auto values = random_floats(numel, 4);
  const double expected = sum_of_squares(values.data(), Dtype::kFloat32, numel);
  for (size_t offset = 1; offset < 8; ++offset) {
    std::vector<float> shifted(values.size() + offset);
    std::copy(values.begin(), values.end(), shifted.begin() + static_cast<std::ptrdiff_t>(offset));
    EXPECT_EQ(sum_of_squares(shifted.data() + offset, Dtype::kFloat32, numel), expected);
  }
}

TEST(Norm, ChunksAddedInOrderGiveTheWhole) {
  const int64_t numel = 3 * kNormChunkNumel + 5;
  const auto values = random_floats(numel, 5);
  double total = 0.0;
  for (int64_t begin = 0; begin < numel; begin += kNormChunkNumel) {
    total += sum_of_squares(values.data() + begin, Dtype::kFloat32, std::min(kNormChunkNumel, numel - begin));
  }
  EXPECT_EQ(total, sum_of_squares(values.data(), Dtype::kFloat32, numel));
}

TEST(Norm, SquaresThatOverflowFloat32AreSummedInFloat64) {
  const std::vector<float> values(100, 1e30F);
  const double square = static_cast<double>(1e30F) * static_cast<double>(1e30F);
  EXPECT_NEAR(sum_of_squares(values.data(), Dtype::kFloat32, 100) / (100 * square), 1.0, 1e-14);
}

TEST(Norm, Float64RangesAreSummedToo) {
  const std::vector<double> values = {3.0, 4.0, 1e200};
  EXPECT_EQ(sum_of_squares(values.data(), Dtype::kFloat64, 2), 25.0);
  EXPECT_TRUE(std::isinf(sum_of_squares(values.data(), Dtype::kFloat64, 3)));
}

TEST(Norm, InfGivesInfAndNanGivesNan) {
  std::vector<float> values(100, 1.0F);
  values[60] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(sum_of_squares(values.data(), Dtype::kFloat32, 100)));
  values[70] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(sum_of_squares(values.data(), Dtype::kFloat32, 100)));
}

TEST(Norm, TheFirstInfOrNanIsFoundAtEveryPosition) {
  on_every_target([] {
    for (const Dtype dtype : kDtypes) {
      for (int64_t at = 0; at < 70; ++at) {
        std::vector<float> values(70, 65504.0F);  // the largest float16 is finite
        values[static_cast<size_t>(at)] =
            at % 2 == 0 ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
        values[69] = std::numeric_limits<float>::infinity();
        std::vector<char> elements(static_cast<size_t>(70 * core::dtype_bytes(dtype)));
        convert_reference(elements.data(), dtype, values.data(), Dtype::kFloat32, 70);
        ASSERT_EQ(first_nonfinite(elements.data(), dtype, 70), at) << core::dtype_name(dtype);
        ASSERT_EQ(first_nonfinite(elements.data(), dtype, at), -1) << core::dtype_name(dtype);
      }
    }
  });
}

TEST(Norm, Float64InfIsFound) {
  std::vector<double> values(9, 1e308);
  EXPECT_EQ(first_nonfinite(values.data(), Dtype::kFloat64, 9), -1);
  values[8] = std::numeric_limits<double>::infinity();
  EXPECT_EQ(first_nonfinite(values.data(), Dtype::kFloat64, 9), 8);
}

TEST(Norm, ReferenceFindsTheSameElement) {
  const auto values = random_elements(Dtype::kFloat16, 500, 6, /*with_special=*/true);
  EXPECT_EQ(first_nonfinite(values.data(), Dtype::kFloat16, 500),
            first_nonfinite_reference(values.data(), Dtype::kFloat16, 500));
}

}  // namespace
}  // namespace deepspeed::kernels

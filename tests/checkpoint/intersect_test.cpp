// The oracle is a map of single elements: each global index of each piece, looked up one by one.
#include "checkpoint/intersect.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace deepspeed::checkpoint {
namespace {

// The global (row-major) element numbers of a piece, in its order.
std::vector<int64_t> elements_of(const Piece& piece, const std::vector<int64_t>& shape) {
  std::vector<int64_t> elements;
  for (int64_t position = piece.range.begin; position < piece.range.end; ++position) {
    int64_t rest = position;
    int64_t element = 0;
    int64_t stride = 1;
    for (size_t i = shape.size(); i-- > 0;) {
      element += (piece.box.offset[i] + rest % piece.box.extent[i]) * stride;
      rest /= piece.box.extent[i];
      stride *= shape[i];
    }
    elements.push_back(element);
  }
  return elements;
}

// Cuts the box at a random place of a random dimension, some times over.
std::vector<Box> random_boxes(const std::vector<int64_t>& shape, std::mt19937& random) {
  std::vector<Box> boxes = {whole_box(shape)};
  for (uint32_t cuts = shape.empty() ? 0 : random() % 4; cuts > 0; --cuts) {
    const size_t index = random() % boxes.size();
    const size_t dim = random() % shape.size();
    Box second = boxes[index];
    const auto first_extent = static_cast<int64_t>(random() % static_cast<uint64_t>(second.extent[dim] + 1));
    boxes[index].extent[dim] = first_extent;
    second.offset[dim] += first_extent;
    second.extent[dim] -= first_extent;
    boxes.push_back(second);
  }
  return boxes;
}

std::vector<Piece> random_pieces(const std::vector<int64_t>& shape, std::mt19937& random) {
  std::vector<Piece> pieces;
  for (const auto& box : random_boxes(shape, random)) {
    int64_t begin = 0;
    const int64_t end = numel(box);
    do {
      const int64_t cut = begin + static_cast<int64_t>(random() % static_cast<uint64_t>(end - begin + 1));
      const int64_t next = random() % 2 == 0 ? end : cut;
      pieces.push_back({box, {begin, next}});
      begin = next;
    } while (begin < end);
  }
  return pieces;
}

void expect_right_plan(const Piece& needed, const std::vector<Piece>& sources, const std::vector<int64_t>& shape) {
  const auto wanted = elements_of(needed, shape);
  std::vector<int64_t> got(wanted.size(), -1);
  const CopyPlan plan = plan_copies(needed, sources);
  for (const Copy& copy : plan.copies) {
    const auto source = elements_of(sources[copy.source], shape);
    for (int64_t i = 0; i < copy.count; ++i) {
      auto& element = got.at(static_cast<size_t>(copy.destination_begin + i));
      ASSERT_EQ(element, -1) << "an element is copied twice";
      element = source.at(static_cast<size_t>(copy.source_begin + i));
    }
  }
  std::vector<bool> is_held(
      static_cast<size_t>(std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>())), false);
  for (const auto& source : sources) {
    for (const int64_t element : elements_of(source, shape)) is_held[static_cast<size_t>(element)] = true;
  }
  std::vector<bool> is_missing(wanted.size(), false);
  for (const Range& gap : plan.missing) {
    for (int64_t i = gap.begin; i < gap.end; ++i) is_missing.at(static_cast<size_t>(i)) = true;
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_EQ(is_missing[i], !is_held[static_cast<size_t>(wanted[i])]);
    ASSERT_EQ(got[i], is_missing[i] ? -1 : wanted[i]);
  }
}

TEST(Intersect, AnyCutsReassembleIntoAnyOtherCuts) {
  std::mt19937 random(3);
  const std::vector<std::vector<int64_t>> shapes = {{},     {0},    {1},       {9},       {3, 4},
                                                    {5, 1}, {1, 5}, {2, 0, 3}, {2, 3, 4}, {3, 1, 2, 2}};
  for (int round = 0; round < 3000; ++round) {
    const auto& shape = shapes[random() % shapes.size()];
    const auto sources = random_pieces(shape, random);
    for (const auto& needed : random_pieces(shape, random)) {
      ASSERT_TRUE(plan_copies(needed, sources).missing.empty());
      expect_right_plan(needed, sources, shape);
    }
  }
}

TEST(Intersect, GapsAreFoundAndOverlapsCopiedOnce) {
  std::mt19937 random(4);
  const std::vector<int64_t> shape = {3, 4, 2};
  for (int round = 0; round < 1500; ++round) {
    auto sources = random_pieces(shape, random);
    for (auto& other : random_pieces(shape, random)) sources.push_back(other);
    std::shuffle(sources.begin(), sources.end(), random);
    sources.resize(random() % (sources.size() + 1));
    for (const auto& needed : random_pieces(shape, random)) expect_right_plan(needed, sources, shape);
  }
}

TEST(Intersect, RowsThatBothHoldWholeAreOneCopy) {
  const Piece needed{{{2, 0}, {4, 5}}, {0, 20}};
  const std::vector<Piece> sources = {{{{0, 0}, {10, 5}}, {0, 50}}};
  const CopyPlan plan = plan_copies(needed, sources);
  EXPECT_EQ(plan.copies, (std::vector<Copy>{{0, 10, 0, 20}}));
}

TEST(Intersect, NothingIsNeededOfATensorWithoutElementsHoweverLargeItsShape) {
  const std::vector<int64_t> shape = {1ll << 61, 1ll << 61, 0};
  const Piece half{{{0, 0, 0}, {1ll << 60, 1ll << 61, 0}}, {0, 0}};
  const CopyPlan plan = plan_copies({whole_box(shape), {0, 0}}, {half});
  EXPECT_TRUE(plan.copies.empty());
  EXPECT_TRUE(plan.missing.empty());
}

// A manifest may state such a shape; the products of its sides do not fit 64 bits, which the `asan` preset notices.
TEST(Intersect, AnEmptyTensorOfHugeSidesIsPlannedWithoutOverflow) {
  const int64_t huge = int64_t{1} << 62;
  const CopyPlan plan = plan_copies({{{0, 0, 0}, {0, huge, huge}}, {0, 0}}, {{{{0, 0, 0}, {0, 5, 5}}, {0, 0}}});
  EXPECT_TRUE(plan.copies.empty());
  EXPECT_TRUE(plan.missing.empty());
}

}  // namespace
}  // namespace deepspeed::checkpoint

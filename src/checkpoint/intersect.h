// Which elements of what exists go where in what is needed: integers only, no file, no data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "checkpoint/box.h"

namespace deepspeed::checkpoint {

/// A range of a box: what an entry of a checkpoint holds, or what a rank needs.
struct Piece {
  Box box;
  Range range;
};

/// `count` elements from element `source_begin` of source `source` to element `destination_begin` of the destination,
/// both counted from the begin of the piece's range.
struct Copy {
  size_t source = 0;
  int64_t source_begin = 0;
  int64_t destination_begin = 0;
  int64_t count = 0;
  bool operator==(const Copy&) const = default;
};

struct CopyPlan {
  std::vector<Copy> copies;    ///< by rising destination; none overlap, the longest possible runs
  std::vector<Range> missing;  ///< elements of the destination, from its range's begin, that no source holds
};

/// All boxes lie in the same global tensor and have its number of dimensions. Sources may overlap: they then hold the
/// same values and each element is taken once. Takes time and memory of one copy a row where boxes cut rows.
CopyPlan plan_copies(const Piece& needed, const std::vector<Piece>& sources);

}  // namespace deepspeed::checkpoint

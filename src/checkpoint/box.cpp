// The checks are made once, where a box enters: from a manifest or from a caller.
#include "checkpoint/box.h"

#include "deepspeed/error.h"

namespace deepspeed::checkpoint {

Box whole_box(const std::vector<int64_t>& global_shape) {
  return {std::vector<int64_t>(global_shape.size(), 0), global_shape};
}

int64_t numel(const Box& box) { return io::checked_numel(box.extent).value_or(0); }

std::string find_geometry_error(const std::vector<int64_t>& global_shape, io::ElementType type, const Box& box,
                                Range range) {
  const auto shape = io::shape_text(global_shape);
  if (!io::checked_bytes(global_shape, type)) return concat("the global shape ", shape, " is impossible");
  const auto box_text = concat("the box at ", io::shape_text(box.offset), " of extent ", io::shape_text(box.extent));
  if (box.offset.size() != global_shape.size() || box.extent.size() != global_shape.size()) {
    return concat(box_text, " has another number of dimensions than the global shape ", shape);
  }
  for (size_t i = 0; i < global_shape.size(); ++i) {
    if (box.offset[i] < 0 || box.extent[i] < 0 || box.offset[i] > global_shape[i] ||
        box.extent[i] > global_shape[i] - box.offset[i]) {
      return concat(box_text, " reaches outside the global shape ", shape);
    }
  }
  if (range.begin < 0 || range.begin > range.end || range.end > numel(box)) {
    return concat("the range [", range.begin, ", ", range.end, ") is not inside ", box_text);
  }
  return "";
}

}  // namespace deepspeed::checkpoint

// Each source is intersected alone; one sweep over all copies then removes overlaps, finds gaps and joins neighbours.
#include "checkpoint/intersect.h"

#include <algorithm>

namespace deepspeed::checkpoint {
namespace {

std::vector<int64_t> row_major_strides(const std::vector<int64_t>& extent) {
  std::vector<int64_t> strides(extent.size(), 1);
  for (size_t i = extent.size(); i > 1; --i) strides[i - 2] = strides[i - 1] * extent[i - 1];
  return strides;
}

// The common part of two boxes, cut into runs that are contiguous in both: dimensions before `run_dim` are walked
// through, from `run_dim` on a run is one block.
class CommonRuns {
 public:
  CommonRuns(const Piece& needed, const Piece& source)
      : needed_(needed),
        source_(source),
        needed_strides_(row_major_strides(needed.box.extent)),
        source_strides_(row_major_strides(source.box.extent)) {
    const size_t dims = needed.box.extent.size();
    for (size_t i = 0; i < dims; ++i) {
      low_.push_back(std::max(needed.box.offset[i], source.box.offset[i]));
      high_.push_back(
          std::min(needed.box.offset[i] + needed.box.extent[i], source.box.offset[i] + source.box.extent[i]));
    }
    run_dim_ = dims - 1;
    while (run_dim_ > 0 && is_whole_in_both(run_dim_)) --run_dim_;
    if (run_dim_ > 0) {
      skip_rows_outside(needed_, needed_strides_[0]);
      skip_rows_outside(source_, source_strides_[0]);
    }
  }

  void append_copies(size_t source_index, std::vector<Copy>& copies) const {
    for (size_t i = 0; i < low_.size(); ++i) {
      if (low_[i] >= high_[i]) return;
    }
    const int64_t run_numel = (high_[run_dim_] - low_[run_dim_]) * needed_strides_[run_dim_];
    std::vector<int64_t> index = low_;
    while (true) {
      append_run(index, run_numel, source_index, copies);
      size_t dim = run_dim_;
      while (dim > 0 && ++index[dim - 1] == high_[dim - 1]) {
        index[dim - 1] = low_[dim - 1];
        --dim;
      }
      if (dim == 0) return;
    }
  }

 private:
  bool is_whole_in_both(size_t dim) const {
    return needed_.box.offset[dim] == source_.box.offset[dim] && needed_.box.extent[dim] == source_.box.extent[dim];
  }

  // A range usually holds few of its box's rows: the others are not walked through.
  void skip_rows_outside(const Piece& piece, int64_t row_numel) {
    if (row_numel == 0) return;
    const int64_t first = piece.box.offset[0];
    low_[0] = std::max(low_[0], first + piece.range.begin / row_numel);
    high_[0] = std::min(high_[0], first + (piece.range.end + row_numel - 1) / row_numel);
  }

  static int64_t position(const Box& box, const std::vector<int64_t>& strides, const std::vector<int64_t>& index) {
    int64_t element = 0;
    for (size_t i = 0; i < index.size(); ++i) element += (index[i] - box.offset[i]) * strides[i];
    return element;
  }

  void append_run(const std::vector<int64_t>& index, int64_t run_numel, size_t source_index,
                  std::vector<Copy>& copies) const {
    // Both relative to the ranges' begins.
    const int64_t in_needed = position(needed_.box, needed_strides_, index) - needed_.range.begin;
    const int64_t in_source = position(source_.box, source_strides_, index) - source_.range.begin;
    const int64_t from = std::max({int64_t{0}, -in_needed, -in_source});
    const int64_t to = std::min({run_numel, needed_.range.numel() - in_needed, source_.range.numel() - in_source});
    if (from < to) copies.push_back({source_index, in_source + from, in_needed + from, to - from});
  }

  const Piece& needed_;
  const Piece& source_;
  std::vector<int64_t> needed_strides_;
  std::vector<int64_t> source_strides_;
  std::vector<int64_t> low_;
  std::vector<int64_t> high_;
  size_t run_dim_ = 0;
};

void append_same_box(Range needed, Range source, size_t source_index, std::vector<Copy>& copies) {
  const int64_t begin = std::max(needed.begin, source.begin);
  const int64_t end = std::min(needed.end, source.end);
  if (begin < end) copies.push_back({source_index, begin - source.begin, begin - needed.begin, end - begin});
}

void append_joined(const Copy& copy, std::vector<Copy>& copies) {
  if (!copies.empty()) {
    Copy& last = copies.back();
    if (last.source == copy.source && last.source_begin + last.count == copy.source_begin &&
        last.destination_begin + last.count == copy.destination_begin) {
      last.count += copy.count;
      return;
    }
  }
  copies.push_back(copy);
}

}  // namespace

CopyPlan plan_copies(const Piece& needed, const std::vector<Piece>& sources) {
  std::vector<Copy> found;
  for (size_t i = 0; i < sources.size(); ++i) {
    // Nothing in common; an empty box may also have other sides whose product does not fit.
    if (needed.range.numel() == 0 || sources[i].range.numel() == 0) continue;
    if (needed.box == sources[i].box) {
      append_same_box(needed.range, sources[i].range, i, found);
    } else {
      CommonRuns(needed, sources[i]).append_copies(i, found);
    }
  }
  std::sort(found.begin(), found.end(), [](const Copy& a, const Copy& b) {
    return a.destination_begin != b.destination_begin ? a.destination_begin < b.destination_begin : a.source < b.source;
  });
  CopyPlan plan;
  int64_t cursor = 0;
  for (Copy copy : found) {
    const int64_t covered = cursor - copy.destination_begin;
    if (covered >= copy.count) continue;
    if (covered < 0) plan.missing.push_back({cursor, copy.destination_begin});
    if (covered > 0) copy = {copy.source, copy.source_begin + covered, cursor, copy.count - covered};
    append_joined(copy, plan.copies);
    cursor = copy.destination_begin + copy.count;
  }
  if (cursor < needed.range.numel()) plan.missing.push_back({cursor, needed.range.numel()});
  return plan;
}

}  // namespace deepspeed::checkpoint

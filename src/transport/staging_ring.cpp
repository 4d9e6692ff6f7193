// A ring of parts: those held lie between the oldest one's begin and next_, perhaps around the end.
#include "transport/staging_ring.h"

#include "transport/layout.h"

namespace deepspeed::transport {

std::optional<int64_t> StagingRing::reserve(int64_t bytes) {
  const int64_t needed = (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  int64_t begin = next_;
  if (held_.empty()) {
    begin = 0;
    if (needed > bytes_) return std::nullopt;
  } else {
    const int64_t oldest = held_.front().begin;
    const bool is_wrapped = next_ <= oldest;  // free: from next_ to oldest; otherwise from next_ to the end, and before
    if (!is_wrapped && begin + needed > bytes_) begin = 0;
    const bool before_oldest = is_wrapped || begin == 0;
    if (before_oldest ? begin + needed > oldest : begin + needed > bytes_) return std::nullopt;
  }
  next_ = begin + needed;
  held_.push_back({begin, next_});
  return begin;
}

}  // namespace deepspeed::transport

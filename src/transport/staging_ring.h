// Which parts of a staging area hold data that someone has yet to read. Only numbers; the oldest part is freed first.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

namespace deepspeed::transport {

class StagingRing {
 public:
  explicit StagingRing(int64_t bytes) : bytes_(bytes) {}

  /// A place for `bytes` in one piece, aligned to a cache line; nothing while there is no room. Held from now on.
  std::optional<int64_t> reserve(int64_t bytes);

  /// Frees the oldest parts for which `is_read(index)` holds, index counting the reserve() calls from 0.
  template <class IsRead>
  void free_read(const IsRead& is_read) {
    while (!held_.empty() && is_read(first_)) {
      held_.pop_front();
      ++first_;
    }
    if (held_.empty()) next_ = 0;  // the same cache lines again
  }

  /// Of the next reserve().
  uint64_t next_index() const { return first_ + held_.size(); }
  uint64_t first_index() const { return first_; }
  bool is_empty() const { return held_.empty(); }

 private:
  struct Part {
    int64_t begin;
    int64_t end;
  };

  int64_t bytes_;
  int64_t next_ = 0;
  uint64_t first_ = 0;  // the oldest held part's index
  std::deque<Part> held_;
};

}  // namespace deepspeed::transport

#include "tensor/parallel.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace deepspeed::tensor {
namespace {

class ParallelForTest : public ::testing::Test {
 protected:
  ParallelForTest() { at::set_num_threads(2); }
  ~ParallelForTest() override { at::set_num_threads(before_); }

  const int before_ = at::get_num_threads();
};

TEST_F(ParallelForTest, CoversEveryItemOnceOnSeveralThreads) {
  for (const int64_t count : {1, 2, 9, 10, 11, 1000, 100'003}) {
    std::mutex mutex;
    std::vector<std::pair<int64_t, int64_t>> ranges;
    std::set<std::thread::id> threads;
    parallel_for(count, 10, [&](int64_t begin, int64_t end) {
      const std::lock_guard lock(mutex);
      ranges.emplace_back(begin, end);
      threads.insert(std::this_thread::get_id());
    });
    std::sort(ranges.begin(), ranges.end());
    int64_t next = 0;
    for (const auto& [begin, end] : ranges) {
      EXPECT_EQ(begin, next) << count;
      EXPECT_GT(end, begin) << count;
      next = end;
    }
    EXPECT_EQ(next, count);
    EXPECT_EQ(threads.size(), count > 10 ? 2U : 1U) << count;
  }
  parallel_for(0, 10, [](int64_t, int64_t) { FAIL(); });
}

TEST_F(ParallelForTest, ExceptionsReachTheCaller) {
  EXPECT_THROW(parallel_for(1000, 1, [](int64_t, int64_t) { throw std::runtime_error("no"); }), std::runtime_error);
}

TEST_F(ParallelForTest, OneThreadIsEnoughWhereNoMoreAreAllowed) {
  at::set_num_threads(1);
  int num_calls = 0;
  parallel_for(1000, 1, [&](int64_t begin, int64_t end) { num_calls += begin == 0 && end == 1000; });
  EXPECT_EQ(num_calls, 1);
}

}  // namespace
}  // namespace deepspeed::tensor

#include "tensor/slot_pool.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::tensor {
namespace {

at::Tensor allocate(int64_t bytes) { return at::empty({bytes}, at::kByte); }

TEST(SlotPool, HandsOutEachSlotOnceAndGrowsOnlyWhenAsked) {
  SlotPool pool("test", 64, 2, allocate);
  const int first = pool.try_acquire();
  const int second = pool.try_acquire();
  EXPECT_NE(first, second);
  EXPECT_EQ(pool.try_acquire(), -1);
  EXPECT_GE(pool.acquire_or_grow("a third unit"), 0);
  EXPECT_EQ(pool.grown(), 1);
  EXPECT_EQ(pool.bytes(), 3 * 64);
  pool.release(first);
  EXPECT_EQ(pool.try_acquire(), first);
  EXPECT_THROW(pool.release(99), InternalError);
}

TEST(SlotPool, ViewsShareTheSlotsMemory) {
  SlotPool pool("test", 64, 1, allocate);
  const int slot = pool.try_acquire();
  const at::Tensor view = pool.view(slot, 16, 4, at::kFloat);
  view.fill_(3);
  EXPECT_TRUE(at::equal(pool.view(slot, 16, 4, at::kFloat), at::full({4}, 3.0)));
  EXPECT_EQ(view.storage().data_ptr().get(), pool.view(slot, 0, 1, at::kByte).storage().data_ptr().get());
}

}  // namespace
}  // namespace deepspeed::tensor

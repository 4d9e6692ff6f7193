#include "precision/loss_scaler.h"

#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::precision {
namespace {

TEST(LossScaler, WithoutFp16TheScaleStaysOne) {
  LossScaler scaler;
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 1.0);
}

TEST(LossScaler, HysteresisDelaysTheFirstHalving) {
  LossScaler scaler({.initial_scale_power = 4, .hysteresis = 2});
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 16.0);
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 8.0);
  scaler.update(true);  // used up: halves every time from now on
  EXPECT_EQ(scaler.scale(), 4.0);
}

TEST(LossScaler, DoublesAfterAWindowOfGoodSteps) {
  LossScaler scaler({.initial_scale_power = 2, .loss_scale_window = 3, .hysteresis = 1});
  for (int i = 0; i < 3; ++i) scaler.update(false);
  EXPECT_EQ(scaler.scale(), 4.0);
  scaler.update(false);
  EXPECT_EQ(scaler.scale(), 8.0);
}

TEST(LossScaler, ConsecutiveHysteresisIsRefilledByAGoodStep) {
  LossScaler scaler({.initial_scale_power = 4, .hysteresis = 2, .consecutive_hysteresis = true});
  for (int i = 0; i < 5; ++i) {
    scaler.update(true);
    scaler.update(false);
  }
  EXPECT_EQ(scaler.scale(), 16.0);
}

TEST(LossScaler, OverflowAtTheMinimumIsAnError) {
  LossScaler scaler({.initial_scale_power = 1, .hysteresis = 1, .min_loss_scale = 1});
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 1.0);
  EXPECT_THROW(scaler.update(true), ValueError);
}

TEST(LossScaler, StaticScaleNeverMoves) {
  LossScaler scaler({.loss_scale = 128});
  scaler.update(true);
  scaler.update(false);
  EXPECT_EQ(scaler.scale(), 128.0);
}

}  // namespace
}  // namespace deepspeed::precision

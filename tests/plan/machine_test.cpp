#include "plan/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

const HostKind kDevices{.name = "gpus", .flops = 8, .memory_bandwidth = 16, .link_bandwidth = 4, .memory_bytes = 32};

TEST(Machine, ADeviceOfARankIsItsOwn) {
  const Machine machine = make_machine(kDevices, 4, 2, 1);
  EXPECT_EQ(machine.flops, 8);
  EXPECT_EQ(machine.memory_bandwidth, 16);
  EXPECT_EQ(machine.memory_bytes, 32);
  EXPECT_EQ(machine.network.host_bandwidth, 0);
  EXPECT_EQ(machine.network.world(), 8);
}

TEST(Machine, RanksShareTheCoresOfAHost) {
  HostKind cpu = kDevices;
  cpu.cores = 2;
  const Machine machine = make_machine(cpu, 4, 1, 0);
  EXPECT_EQ(machine.flops, 2);
  EXPECT_EQ(machine.memory_bandwidth, 4);
  EXPECT_EQ(machine.memory_bytes, 8);
  EXPECT_EQ(machine.network.host_bandwidth, 8);
  EXPECT_EQ(machine.network.messages_at_once, 2);
}

TEST(Machine, EveryKnownHostMakesAMachine) {
  for (const HostKind& kind : known_hosts())
    EXPECT_NO_THROW(make_machine(find_host(kind.name), 8, 2, 1e9)) << kind.name;
}

TEST(Machine, WhatMakesNoSenseIsAnErrorWithItsField) {
  HostKind host = kDevices;
  host.flops = 0;
  EXPECT_THROW(make_machine(host, 1, 1, 0), ValueError);
  host = kDevices;
  host.contention.compute = 1;
  EXPECT_THROW(make_machine(host, 1, 1, 0), ValueError);
  EXPECT_THROW(make_machine(kDevices, 0, 1, 0), ValueError);
  EXPECT_THROW(find_host("abacus"), ValueError);
}

}  // namespace
}  // namespace deepspeed::plan

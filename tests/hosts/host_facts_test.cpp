#include "hosts/host_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::hosts {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

HostFacts all_fields() {
  return {.version = "0.1.0",
          .host_name = "node1",
          .boot_id = "b",
          .kernel = "6.1",
          .cpu = "EPYC",
          .num_sockets = 2,
          .num_cores = 64,
          .gpus = {"H100", "H100"},
          .driver = "580.1",
          .memory_bytes = 1,
          .memory_free_bytes = 2,
          .shared_memory_bytes = 3,
          .shared_memory_free_bytes = 4,
          .io_uring_fault = "not permitted",
          .kernels = {.simd = {"AVX2"}, .simd_used = "AVX2", .cuda_optimizers = true},
          .python = {.interpreter = "/p", .versions = {{"torch", "2.13.0"}}, .fault = "f"},
          .addresses = {"10.0.0.1"},
          .ssh_client_address = "10.0.0.2",
          .ssh_server_address = "10.0.0.1"};
}

TEST(HostFacts, ComeBackAsTheyWereOnOneLine) {
  const HostFacts facts = all_fields();
  EXPECT_THAT(encode_facts(facts), Not(HasSubstr("\n")));
  EXPECT_EQ(decode_facts(encode_facts(facts)), facts);
  EXPECT_EQ(decode_facts(encode_facts({})), HostFacts{});
}

TEST(HostFacts, BytesThatAreNoTextDoNotBreakTheLine) {
  HostFacts facts = all_fields();
  facts.host_name = "node\xff\n";
  EXPECT_THAT(encode_facts(facts), Not(HasSubstr("\n")));
  EXPECT_THAT(decode_facts(encode_facts(facts)).host_name, HasSubstr("node"));
}

TEST(HostFacts, WhatIsNotThemIsAnError) {
  for (const char* text : {"", "{}", "[]", "{\"version\": 1}"}) EXPECT_THROW(decode_facts(text), ValueError) << text;
}

TEST(HostFacts, AVersionThatIsNotThereIsEmpty) {
  EXPECT_EQ(all_fields().version_of("torch"), "2.13.0");
  EXPECT_EQ(all_fields().version_of("NCCL"), "");
}

}  // namespace
}  // namespace deepspeed::hosts

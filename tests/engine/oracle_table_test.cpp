// The oracle table: models x stages x accumulation x dtype x world size. Gradients, norms and weights equal plain
// LibTorch; stages equal each other.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <tuple>

#include "engine/oracle.h"

namespace deepspeed::testing {
namespace {

class OracleTable : public ::testing::TestWithParam<std::tuple<int, std::string>> {
 protected:
  int world() const { return std::get<0>(GetParam()); }
  std::string dtype() const { return std::get<1>(GetParam()); }
};

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

template <class Number>
bool same_bits(const std::vector<Number>& a, const std::vector<Number>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Number)) == 0;
}

template <class Number>
bool nearly(const std::vector<Number>& a, const std::vector<Number>& b, double tolerance) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (!(std::abs(a[i] - b[i]) <= tolerance * std::abs(b[i]))) return false;
  }
  return a.size() == b.size();
}

TEST_P(OracleTable, EveryStageEqualsPlainLibTorchAndTheOtherStages) {
  run_on_ranks(world(), [&](RankContext& context) {
    for (const OracleRow& row : oracle_rows()) {
      if (row.mixed_dtypes && dtype() != "fp32") continue;
      for (const int accumulation : {1, 3}) {
        std::vector<OracleTrace> traces;
        for (const int stage : {0, 1, 2, 3}) {
          traces.push_back(
              train_beside_oracle(context, row, {.stage = stage, .accumulation = accumulation, .dtype = dtype()}));
          EXPECT_TRUE(traces.back().differences.empty())
              << row.name << ", stage " << stage << ", accumulation " << accumulation << ", rank " << context.rank()
              << joined(traces.back().differences);
        }
        EXPECT_TRUE(same_bits(traces[0].losses, traces[1].losses) && same_bits(traces[0].norms, traces[1].norms))
            << row.name << ": stages 0 and 1, accumulation " << accumulation;
        EXPECT_TRUE(same_bits(traces[2].losses, traces[3].losses) && same_bits(traces[2].norms, traces[3].norms))
            << row.name << ": stages 2 and 3, accumulation " << accumulation;
        if (accumulation == 1) {
          EXPECT_TRUE(same_bits(traces[0].losses, traces[2].losses) && same_bits(traces[0].norms, traces[2].norms))
              << row.name << ": stages 0 and 2";
        } else if (dtype() == "fp32" && !row.mixed_dtypes) {
          EXPECT_TRUE(nearly(traces[0].losses, traces[2].losses, 1e-6) &&
                      nearly(traces[0].norms, traces[2].norms, 1e-6))
              << row.name << ": stages 0 and 2 accumulated";
        }
      }
    }
  });
}

/// `make test-all` runs every world and dtype, `make test` the pairs of ranks.
bool is_long(int world) {
  const char* all = std::getenv("DS_TEST_ALL");
  return world != 2 && (all == nullptr || std::string(all) != "1");
}

TEST_P(OracleTable, OverlapAndBucketsOnAndOffGiveTheSameBits) {
  if (is_long(world())) GTEST_SKIP() << "only with `make test-all`";
  run_on_ranks(world(), [&](RankContext& context) {
    for (const OracleRow& row : oracle_rows()) {
      if (row.mixed_dtypes && dtype() != "fp32") continue;
      for (const int stage : {0, 1, 2, 3}) {
        const OracleTrace on =
            train_beside_oracle(context, row, {.stage = stage, .accumulation = 3, .dtype = dtype(), .overlap = true});
        const OracleTrace off = train_beside_oracle(
            context, row, {.stage = stage, .accumulation = 3, .dtype = dtype(), .overlap = false, .bucket = 2});
        EXPECT_TRUE(same_bits(on.losses, off.losses) && same_bits(on.norms, off.norms))
            << row.name << ", stage " << stage;
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Worlds, OracleTable,
                         ::testing::Combine(::testing::Values(1, 2, 4), ::testing::Values("fp32", "bf16", "fp16")),
                         [](const auto& info) {
                           return std::to_string(std::get<0>(info.param)) + "ranks_" + std::get<1>(info.param);
                         });

TEST(Oracle, AdamWEqualsPlainLibTorch) {
  run_on_ranks(2, [](RankContext& context) {
    for (const int stage : {0, 1, 2, 3}) {
      const OracleTrace trace =
          train_beside_oracle(context, oracle_rows().front(), {.stage = stage, .optimizer = "adamw"});
      EXPECT_TRUE(trace.differences.empty()) << "stage " << stage << joined(trace.differences);
    }
  });
}

TEST(Oracle, NoSyncGivesTheSameGradientsAtEveryStage) {
  run_on_ranks(2, [](RankContext& context) {
    for (const OracleRow& row : oracle_rows()) {
      for (const int stage : {0, 1, 2, 3}) {
        const OracleTrace trace =
            train_beside_oracle(context, row, {.stage = stage, .accumulation = 3, .no_sync = true});
        EXPECT_TRUE(trace.differences.empty()) << row.name << ", stage " << stage << joined(trace.differences);
      }
    }
  });
}

TEST(Oracle, NarrowCommunicationRoundsOnlyWhatTravels) {
  run_on_ranks(2, [](RankContext& context) {
    std::vector<OracleTrace> traces;
    for (const int stage : {0, 1, 2, 3}) {
      traces.push_back(train_beside_oracle(context, oracle_rows().front(), {.stage = stage, .wire = "bf16"}));
      EXPECT_TRUE(traces.back().differences.empty()) << "stage " << stage << joined(traces.back().differences);
    }
    EXPECT_TRUE(same_bits(traces[0].norms, traces[1].norms) && same_bits(traces[0].norms, traces[2].norms));
    const OracleTrace exact = train_beside_oracle(context, oracle_rows().front(), {.stage = 0});
    EXPECT_FALSE(same_bits(traces[0].norms, exact.norms)) << "nothing was rounded on the wire";
  });
}

// The table must notice what it is there for.
TEST(Oracle, NoticesAScaledGradientAndAUnitReducedTwice) {
  run_on_ranks(2, [](RankContext& context) {
    for (const Fault fault : {Fault::kScaledGradient, Fault::kReducedTwice}) {
      const OracleTrace trace = train_beside_oracle(context, oracle_rows().front(), {.stage = 2}, fault);
      EXPECT_FALSE(trace.differences.empty());
    }
  });
}

}  // namespace
}  // namespace deepspeed::testing

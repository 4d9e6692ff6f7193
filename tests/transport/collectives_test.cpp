// Collectives between ranks against sums made by one process.
#include "transport/collectives.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "transport/threads_as_ranks.h"

namespace deepspeed::transport {
namespace {

using testing::run_on_threads;

std::vector<float> values_of(int rank, int64_t numel) {
  std::mt19937 random(static_cast<unsigned>(rank + 1));
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(numel));
  for (float& value : values) value = normal(random);
  return values;
}

/// The sum in rank order, times `scale`.
std::vector<float> sum_of(int size, int64_t numel, float scale) {
  std::vector<float> sum = values_of(0, numel);
  for (int rank = 1; rank < size; ++rank) {
    const std::vector<float> values = values_of(rank, numel);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
  }
  for (float& value : sum) value *= scale;
  return sum;
}

std::byte* bytes_of(std::vector<float>& values) { return reinterpret_cast<std::byte*>(values.data()); }

void run(Exchange& exchange, Operation operation) {
  operation.line = "a test";
  exchange.wait(*exchange.launch(std::move(operation)));
}

// Sizes about the short all-reduce, a chunk and several of them.
const std::vector<int64_t> kNumels = {1, 7, 4096, 4097, 40'000, 300'001};

class CollectivesTest : public ::testing::TestWithParam<int> {};

TEST_P(CollectivesTest, AllReduceAddsInRankOrderOnEveryRank) {
  run_on_threads(GetParam(), [](Exchange& exchange) {
    const Place place = exchange.place();
    for (const int64_t numel : kNumels) {
      std::vector<float> values = values_of(place.rank, numel);
      run(exchange, plan_all_reduce(place, bytes_of(values), numel, {.scale = 0.5}));
      EXPECT_EQ(values, sum_of(place.size, numel, 0.5F)) << numel;
    }
  });
}

TEST_P(CollectivesTest, ReduceScatterGivesEachRankItsPartOfEveryLane) {
  run_on_threads(GetParam(), [](Exchange& exchange) {
    const Place place = exchange.place();
    std::vector<std::vector<float>> lanes;
    std::vector<ReduceScatterLane> plan;
    for (const int64_t numel : kNumels) {
      std::vector<float>& values = lanes.emplace_back(values_of(place.rank, numel * place.size));
      ReduceScatterLane& lane = plan.emplace_back();
      for (int rank = 0; rank < place.size; ++rank) lane.parts.push_back(bytes_of(values) + rank * numel * 4);
      lane.result = bytes_of(values) + place.rank * numel * 4;
      lane.numel = numel;
    }
    run(exchange, plan_reduce_scatter(place, plan));
    for (size_t i = 0; i < lanes.size(); ++i) {
      const int64_t numel = kNumels[i];
      const std::vector<float> sum = sum_of(place.size, numel * place.size, 1.0F);
      EXPECT_TRUE(std::equal(sum.begin() + place.rank * numel, sum.begin() + (place.rank + 1) * numel,
                             lanes[i].begin() + place.rank * numel))
          << numel;
    }
  });
}

TEST_P(CollectivesTest, AllGatherCopiesEveryBlockToEveryRank) {
  run_on_threads(GetParam(), [](Exchange& exchange) {
    const Place place = exchange.place();
    for (const int64_t numel : kNumels) {
      std::vector<float> own = values_of(place.rank, numel);
      std::vector<float> all(static_cast<size_t>(numel * place.size));
      GatherLane lane{.own = bytes_of(own), .places = {}, .bytes = numel * 4};
      for (int rank = 0; rank < place.size; ++rank) lane.places.push_back(bytes_of(all) + rank * numel * 4);
      run(exchange, plan_all_gather(place, std::span(&lane, 1)));
      for (int rank = 0; rank < place.size; ++rank) {
        const std::vector<float> expected = values_of(rank, numel);
        EXPECT_TRUE(std::equal(expected.begin(), expected.end(), all.begin() + rank * numel)) << numel;
      }
    }
  });
}

// Results beyond the caches are written past them; on two ranks, since they are long.
TEST(Collectives, LongResultsAreTheSame) {
  const int64_t numel = (int64_t{17} << 20) / 4 + 3;
  run_on_threads(2, [&](Exchange& exchange) {
    const Place place = exchange.place();
    std::vector<float> values(static_cast<size_t>(2 * numel));
    for (int64_t i = 0; i < 2 * numel; ++i) values[i] = static_cast<float>(i % 1009 + place.rank);
    std::vector<float> sum(static_cast<size_t>(numel));
    ReduceScatterLane scattered{
        .parts = {bytes_of(values), bytes_of(values) + numel * 4}, .result = bytes_of(sum), .numel = numel, .rule = {}};
    run(exchange, plan_reduce_scatter(place, std::span(&scattered, 1)));
    std::vector<float> all(static_cast<size_t>(2 * numel));
    GatherLane gathered{.own = bytes_of(sum), .places = {bytes_of(all), bytes_of(all) + numel * 4}, .bytes = numel * 4};
    run(exchange, plan_all_gather(place, std::span(&gathered, 1)));
    for (int64_t i = 0; i < 2 * numel; ++i) ASSERT_EQ(all[i], static_cast<float>(2 * (i % 1009) + 1)) << i;
  });
}

TEST_P(CollectivesTest, RootsSendAndReceive) {
  run_on_threads(GetParam(), [](Exchange& exchange) {
    const Place place = exchange.place();
    for (int root = 0; root < place.size; ++root) {
      for (const int64_t numel : kNumels) {
        std::vector<float> values = values_of(place.rank, numel);
        run(exchange, plan_broadcast(place, root, bytes_of(values), numel * 4));
        EXPECT_EQ(values, values_of(root, numel)) << "broadcast " << numel;

        values = values_of(place.rank, numel);
        run(exchange, plan_reduce(place, root, bytes_of(values), numel, {}));
        EXPECT_EQ(values, place.rank == root ? sum_of(place.size, numel, 1.0F) : values_of(place.rank, numel));

        std::vector<std::vector<float>> gathered(static_cast<size_t>(place.size), std::vector<float>(numel));
        std::vector<std::byte*> places;
        for (auto& each : gathered) places.push_back(bytes_of(each));
        values = values_of(place.rank, numel);
        run(exchange, plan_gather(place, root, bytes_of(values), places, numel * 4));
        for (int rank = 0; rank < place.size && place.rank == root; ++rank) {
          EXPECT_EQ(gathered[rank], values_of(rank, numel)) << "gather";
        }

        std::vector<std::vector<float>> scattered;
        for (int rank = 0; rank < place.size; ++rank) scattered.push_back(values_of(root * 100 + rank, numel));
        std::vector<const std::byte*> parts;
        for (auto& each : scattered) parts.push_back(bytes_of(each));
        run(exchange, plan_scatter(place, root, parts, bytes_of(values), numel * 4));
        EXPECT_EQ(values, values_of(root * 100 + place.rank, numel)) << "scatter";
      }
    }
  });
}

TEST_P(CollectivesTest, AllToAllWithBlocksOfDifferentLengths) {
  run_on_threads(GetParam(), [](Exchange& exchange) {
    const Place place = exchange.place();
    // Rank a sends b a block of 5000 * a + 70000 * b numbers; some are empty.
    const auto length = [](int from, int to) { return static_cast<int64_t>(5000 * from + 70'000 * to); };
    std::vector<std::vector<float>> sent;
    std::vector<std::vector<float>> received;
    for (int peer = 0; peer < place.size; ++peer) {
      sent.push_back(values_of(place.rank * 10 + peer, length(place.rank, peer)));
      received.emplace_back(length(peer, place.rank));
    }
    std::vector<Exchanged> blocks;
    for (int peer = 0; peer < place.size; ++peer) {
      blocks.push_back({.to_peer = bytes_of(sent[peer]),
                        .to_bytes = length(place.rank, peer) * 4,
                        .from_peer = bytes_of(received[peer]),
                        .from_bytes = length(peer, place.rank) * 4});
    }
    run(exchange, plan_all_to_all(place, blocks));
    for (int peer = 0; peer < place.size; ++peer) {
      EXPECT_EQ(received[peer], values_of(peer * 10 + place.rank, length(peer, place.rank)));
    }
  });
}

TEST_P(CollectivesTest, AllToAllWhoseLengthsDifferIsAnErrorOfTheReceiver) {
  if (GetParam() == 1) GTEST_SKIP() << "a rank that is alone sends to nobody";
  run_on_threads(GetParam(), [](Exchange& exchange) {
    const Place place = exchange.place();
    std::vector<float> values(1000);
    std::vector<Exchanged> blocks(static_cast<size_t>(place.size));
    // Rank 1 expects four bytes more of rank 0 than that sends.
    if (place.rank == 0) blocks[1] = {.to_peer = bytes_of(values), .to_bytes = 400};
    if (place.rank == 1) blocks[0] = {.from_peer = bytes_of(values), .from_bytes = 404};
    Operation operation = plan_all_to_all(place, blocks);
    operation.line = "uneven";
    const auto handle = exchange.launch(std::move(operation));
    const auto deadline = std::chrono::seconds(10);
    EXPECT_TRUE(exchange.wait_for(*handle, deadline)) << "rank " << place.rank;
    if (place.rank != 1) return;  // others may be done before rank 1 fails
    ASSERT_NE(handle->error(), nullptr);
    try {
      std::rethrow_exception(handle->error());
    } catch (const CommError& error) {
      EXPECT_NE(std::string(error.what()).find("rank 0 sends 400 bytes, rank 1 expects 404, in: uneven"),
                std::string::npos)
          << error.what();
    }
  });
}

TEST(Collectives, AnAllReduceWhosePartsTravelInAnotherTypeIsRefused) {
  std::vector<float> values(8);
  EXPECT_THROW(plan_all_reduce({.rank = 0, .size = 2}, bytes_of(values), 8, {.wire = Element::kBFloat16}),
               InternalError);
}

// Data that the others read in place, with results that overwrite it.
TEST_P(CollectivesTest, SharedBlocksGiveTheSameBits) {
  run_on_threads(GetParam(), [](Exchange& exchange) {
    const Place place = exchange.place();
    for (const int64_t numel : kNumels) {
      const auto block = exchange.allocate(numel * 4);
      auto* const shared = reinterpret_cast<float*>(block.get());
      const std::vector<float> values = values_of(place.rank, numel);
      std::copy(values.begin(), values.end(), shared);
      run(exchange, plan_all_reduce(place, block.get(), numel, {}));
      const std::vector<float> sum = sum_of(place.size, numel, 1.0F);
      EXPECT_TRUE(std::equal(sum.begin(), sum.end(), shared)) << numel;
      // It may be changed at once: the others are done with it.
      std::fill_n(shared, numel, static_cast<float>(place.rank));
      run(exchange, plan_broadcast(place, place.size - 1, block.get(), numel * 4));
      EXPECT_EQ(shared[numel - 1], static_cast<float>(place.size - 1));
    }
  });
}

TEST_P(CollectivesTest, ManyInFlightKeepTheirOrder) {
  run_on_threads(GetParam(), [](Exchange& exchange) {
    const Place place = exchange.place();
    std::vector<float> values = values_of(place.rank, 100'000);
    const std::vector<float> sum = sum_of(place.size, 100'000, 1.0F);
    std::vector<Exchange::Handle> handles;
    for (int i = 0; i < 20; ++i) {
      Operation operation =
          plan_all_reduce(place, bytes_of(values), 100'000, {.scale = i == 0 ? 1.0 : 1.0 / place.size});
      operation.line = "in flight";
      handles.push_back(exchange.launch(std::move(operation)));
    }
    exchange.wait(*handles.back());
    for (const auto& handle : handles) EXPECT_TRUE(handle->is_finished());
    for (size_t i = 0; i < sum.size(); ++i) ASSERT_NEAR(values[i], sum[i], 1e-4F * (1 + std::abs(sum[i])));
  });
}

INSTANTIATE_TEST_SUITE_P(Sizes, CollectivesTest, ::testing::Values(1, 2, 3, 8));

}  // namespace
}  // namespace deepspeed::transport

// Sends and receives.
#include "transport/messages.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <string>

#include "transport/threads_as_ranks.h"

namespace deepspeed::transport {
namespace {

using testing::run_on_threads;

Exchange::Handle send_text(Exchange& exchange, int peer, uint64_t tag, const std::string& text) {
  auto kept = std::make_shared<std::string>(text);
  return exchange.send({.peer = peer,
                        .tag = tag,
                        .data = reinterpret_cast<const std::byte*>(kept->data()),
                        .bytes = static_cast<int64_t>(kept->size()),
                        .keeps = kept});
}

std::string receive_text(Exchange& exchange, int peer, uint64_t tag, size_t bytes, int* source = nullptr) {
  std::string text(bytes, '?');
  const auto handle = exchange.receive({.peer = peer,
                                        .tag = tag,
                                        .to = reinterpret_cast<std::byte*>(text.data()),
                                        .bytes = static_cast<int64_t>(bytes)});
  exchange.wait(*handle);
  if (source != nullptr) *source = handle->source;
  return text;
}

TEST(Messages, ArriveWholeWhateverTheirLength) {
  run_on_threads(2, [](Exchange& exchange) {
    for (const size_t bytes : {0UL, 1UL, 32'768UL, 32'769UL, 3'000'000UL}) {
      const std::string text(bytes, static_cast<char>('a' + bytes % 26));
      if (exchange.place().rank == 0) {
        exchange.wait(*send_text(exchange, 1, 5, text));
      } else {
        EXPECT_EQ(receive_text(exchange, 0, 5, bytes), text);
      }
    }
  });
}

TEST(Messages, TagsMatchInAnyOrderAndEqualTagsInTheirs) {
  run_on_threads(2, [](Exchange& exchange) {
    const std::string long_text(500'000, 'l');
    if (exchange.place().rank == 0) {
      const std::vector<Exchange::Handle> handles = {send_text(exchange, 1, 1, long_text),
                                                     send_text(exchange, 1, 2, "second"),
                                                     send_text(exchange, 1, 1, "third")};
      for (const auto& handle : handles) exchange.wait(*handle);
    } else {
      EXPECT_EQ(receive_text(exchange, 0, 2, 6), "second");
      EXPECT_EQ(receive_text(exchange, 0, 1, long_text.size()), long_text);
      EXPECT_EQ(receive_text(exchange, 0, 1, 5), "third");
    }
  });
}

TEST(Messages, AnyPeerSaysWhoItWas) {
  run_on_threads(3, [](Exchange& exchange) {
    const int rank = exchange.place().rank;
    if (rank > 0) {
      exchange.wait(*send_text(exchange, 0, 9, std::string(1, static_cast<char>('0' + rank))));
      return;
    }
    int sum = 0;
    for (int i = 0; i < 2; ++i) {
      int source = -1;
      const std::string text = receive_text(exchange, kAnyPeer, 9, 1, &source);
      EXPECT_EQ(text, std::string(1, static_cast<char>('0' + source)));
      sum += source;
    }
    EXPECT_EQ(sum, 3);
  });
}

TEST(Messages, PassCollectivesBy) {
  run_on_threads(3, [](Exchange& exchange) {
    const Place place = exchange.place();
    const int next = (place.rank + 1) % place.size;
    const int before = (place.rank + place.size - 1) % place.size;
    const std::string text(200'000, static_cast<char>('a' + place.rank));
    const auto sent = send_text(exchange, next, 0, text);  // nobody asks for it yet
    std::vector<float> ones(50'000, 1.0F);
    Operation operation = plan_all_reduce(place, reinterpret_cast<std::byte*>(ones.data()), 50'000, {});
    operation.line = "between";
    exchange.wait(*exchange.launch(std::move(operation)));
    EXPECT_EQ(ones.back(), 3.0F);
    EXPECT_EQ(receive_text(exchange, before, 0, 200'000), std::string(200'000, static_cast<char>('a' + before)));
    exchange.wait(*sent);
  });
}

TEST(Messages, AnotherLengthIsAnErrorOfTheReceiver) {
  run_on_threads(2, [](Exchange& exchange) {
    if (exchange.place().rank == 0) {
      exchange.wait(*send_text(exchange, 1, 5, "four"));
      exchange.wait(*send_text(exchange, 1, 5, "next"));
      return;
    }
    try {
      receive_text(exchange, 0, 5, 3);
      ADD_FAILURE() << "expected CommError";
    } catch (const CommError& error) {
      EXPECT_NE(std::string(error.what()).find("rank 0 sent 4 bytes, the receive has room for 3"), std::string::npos);
    }
    EXPECT_EQ(receive_text(exchange, 0, 5, 4), "next");
  });
}

TEST(Messages, AReceiveFromAnyoneFailsOnceAllOthersHaveLeft) {
  run_on_threads(3, [](Exchange& exchange) {
    if (exchange.place().rank != 0) return;
    try {
      receive_text(exchange, kAnyPeer, 9, 1);
      ADD_FAILURE() << "expected CommError";
    } catch (const CommError& error) {
      EXPECT_NE(std::string(error.what()).find("has left the group"), std::string::npos) << error.what();
    }
  });
}

}  // namespace
}  // namespace deepspeed::transport

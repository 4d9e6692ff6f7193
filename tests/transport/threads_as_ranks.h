// Ranks as threads of the test, each with an exchange of its own: fast, and the thread sanitizer sees them.
#pragma once

#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "deepspeed/error.h"
#include "transport/exchange.h"

namespace deepspeed::transport::testing {

inline std::string new_token() {
  static std::atomic<int> count{0};
  return concat("test", ::getpid(), "x", count++);
}

/// body(exchange) on every rank. An exception of a rank ends the test program: tests catch what they expect.
inline void run_on_threads(int size, const std::function<void(Exchange&)>& body, Exchange::Options options = {}) {
  const std::string token = new_token();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      Exchange exchange({.token = token, .rank = rank, .size = size}, options);
      body(exchange);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace deepspeed::transport::testing

// The limit of an Adam step on the CPU: one pass that reads four arrays and writes three, 28 bytes an element, with as
// little arithmetic as keeps the values in range. Threads of its own, so that no other library's pool is in it.

#include <cstdint>
#include <thread>
#include <vector>

namespace {

void pass(float* __restrict parameter, const float* __restrict gradient, float* __restrict first,
          float* __restrict second, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    first[i] = 0.9F * first[i] + 0.1F * gradient[i];
    second[i] = 0.9F * second[i] + 0.1F * gradient[i];
    parameter[i] = 0.999F * parameter[i] + 0.001F * (first[i] + second[i]);
  }
}

}  // namespace

// Arrays of `count` floats that do not overlap, cut into `threads` equal parts.
extern "C" void stream(float* parameter, const float* gradient, float* first, float* second, std::int64_t count,
                       int threads) {
  const std::int64_t part = (count / threads + 15) / 16 * 16;
  std::vector<std::thread> others;
  for (int thread = 0; thread < threads; ++thread) {
    const std::int64_t begin = thread * part < count ? thread * part : count;
    const std::int64_t length = begin + part < count && thread + 1 < threads ? part : count - begin;
    if (thread + 1 == threads) {
      pass(parameter + begin, gradient + begin, first + begin, second + begin, length);
    } else {
      others.emplace_back(pass, parameter + begin, gradient + begin, first + begin, second + begin, length);
    }
  }
  for (std::thread& other : others) other.join();
}

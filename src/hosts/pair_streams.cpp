// A round-robin tournament by the circle method: one host stays, the others turn round it.
#include "hosts/pair_streams.h"

#include <algorithm>
#include <numeric>

namespace deepspeed::hosts {

std::vector<std::vector<Pair>> plan_rounds(size_t num_hosts) {
  if (num_hosts < 2) return {};
  const size_t places = num_hosts + num_hosts % 2;  // an odd one out meets nobody
  std::vector<size_t> circle(places);
  std::iota(circle.begin(), circle.end(), size_t{0});
  std::vector<std::vector<Pair>> rounds;
  for (size_t turn = 0; turn + 1 < places; ++turn) {
    std::vector<Pair> there;
    std::vector<Pair> back;
    for (size_t i = 0; i < places / 2; ++i) {
      const size_t a = std::min(circle[i], circle[places - 1 - i]);
      const size_t b = std::max(circle[i], circle[places - 1 - i]);
      if (b >= num_hosts) continue;
      there.emplace_back(a, b);
      back.emplace_back(b, a);
    }
    rounds.push_back(std::move(there));
    rounds.push_back(std::move(back));
    std::rotate(circle.begin() + 1, circle.end() - 1, circle.end());
  }
  return rounds;
}

const PairSpeed* slowest(const std::vector<PairSpeed>& speeds) {
  const auto found = std::min_element(speeds.begin(), speeds.end(), [](const PairSpeed& a, const PairSpeed& b) {
    return a.bytes_per_s < b.bytes_per_s;
  });
  return found == speeds.end() ? nullptr : &*found;
}

}  // namespace deepspeed::hosts

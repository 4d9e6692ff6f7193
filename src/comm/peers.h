// In which order a rank turns to the others.
#pragma once

#include <vector>

namespace deepspeed::comm {

/// The others, nearest above first, so that not everyone sends to the same rank at once.
inline std::vector<int> peers_of(int rank, int size) {
  std::vector<int> result;
  for (int step = 1; step < size; ++step) result.push_back((rank + step) % size);
  return result;
}

}  // namespace deepspeed::comm

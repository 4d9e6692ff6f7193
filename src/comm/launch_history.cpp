// A ring of entries and a running hash (FNV-1a).
#include "comm/launch_history.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string_view>

#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

constexpr uint64_t kHashStart = 14695981039346656037ULL;
constexpr uint64_t kHashPrime = 1099511628211ULL;

uint64_t hash_bytes(uint64_t hash, std::string_view bytes) {
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * kHashPrime;
  return hash;
}

uint64_t hash_number(uint64_t hash, int64_t number) {
  return hash_bytes(hash, {reinterpret_cast<const char*>(&number), sizeof(number)});
}

std::map<int64_t, std::string_view> parse(std::string_view text) {
  std::map<int64_t, std::string_view> lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    int64_t number = 0;
    const auto parsed = std::from_chars(line.data(), line.data() + line.size(), number);
    const auto digits = static_cast<size_t>(parsed.ptr - line.data());
    lines[number] = line.substr(std::min(line.size(), digits + 1));
  }
  return lines;
}

}  // namespace

void LaunchHistory::note(const Tag& tag, int64_t bytes, int root) {
  Entry& entry = entries_[static_cast<size_t>(count_) % kKept];
  entry.step = tag.step;
  entry.phase = tag.phase;
  entry.name.assign(tag.name);
  entry.bytes = bytes;
  entry.root = root;
  ++count_;
  uint64_t hash = digest_ == 0 ? kHashStart : digest_;
  hash = hash_number(hash, tag.step);
  hash = hash_number(hash, static_cast<int64_t>(tag.phase));
  hash = hash_number(hash, bytes);
  hash = hash_number(hash, root);
  digest_ = hash_bytes(hash_number(hash, static_cast<int64_t>(tag.name.size())), tag.name);
}

std::string LaunchHistory::recent() const {
  std::string text;
  for (int64_t number = std::max<int64_t>(0, count_ - static_cast<int64_t>(kKept)); number < count_; ++number) {
    const Entry& entry = entries_[static_cast<size_t>(number) % kKept];
    text += concat(number, " ", describe({.step = entry.step, .phase = entry.phase, .unit = -1, .name = entry.name}),
                   " (", entry.bytes, " bytes", entry.root < 0 ? "" : concat(", from rank ", entry.root), ")\n");
  }
  return text;
}

std::string first_difference(const std::vector<std::string>& recents) {
  std::vector<std::map<int64_t, std::string_view>> ranks;
  int64_t first = 0;
  int64_t last = -1;
  for (const std::string& recent : recents) {
    ranks.push_back(parse(recent));
    if (ranks.back().empty()) continue;
    first = std::max(first, ranks.back().begin()->first);
    last = std::max(last, ranks.back().rbegin()->first);
  }
  for (int64_t number = first; number <= last; ++number) {
    const auto line_of = [&](size_t rank) {
      const auto found = ranks[rank].find(number);
      return found == ranks[rank].end() ? std::string_view("nothing more") : found->second;
    };
    for (size_t rank = 1; rank < ranks.size(); ++rank) {
      if (line_of(rank) != line_of(0))
        return concat("rank 0 is at: ", line_of(0), "; rank ", rank, " is at: ", line_of(rank));
    }
  }
  return {};
}

}  // namespace deepspeed::comm

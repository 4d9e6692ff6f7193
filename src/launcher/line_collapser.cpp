// A queue of lines; a rank joins the first equal one behind its own last.
#include "launcher/line_collapser.h"

#include <algorithm>

namespace deepspeed::launcher {

LineCollapser::Entry* LineCollapser::find_open(const LineSource& source, std::string_view text) {
  int64_t& next = next_place_[{source.rank, source.channel}];
  for (int64_t place = std::max(next, num_released_); place < num_released_ + static_cast<int64_t>(entries_.size());
       ++place) {
    Entry& entry = entries_[static_cast<size_t>(place - num_released_)];
    if (entry.channel != source.channel || entry.text != text) continue;
    next = place + 1;
    return &entry;
  }
  next = num_released_ + static_cast<int64_t>(entries_.size()) + 1;
  return nullptr;
}

void LineCollapser::add(const LineSource& source, std::string_view text, Clock::time_point now) {
  if (Entry* entry = find_open(source, text)) {
    entry->ranks.insert(std::upper_bound(entry->ranks.begin(), entry->ranks.end(), source.rank), source.rank);
  } else {
    entries_.push_back({source.channel, std::string(text), {source.rank}, now});
  }
  while (entries_.size() > kMostLines) release_front();
  release_due(now);
}

void LineCollapser::release_due(Clock::time_point now) {
  while (!entries_.empty()) {
    const Entry& front = entries_.front();
    if (front.ranks.size() < num_ranks_ && now - front.since < kWindow) return;
    release_front();
  }
}

void LineCollapser::release_all() {
  while (!entries_.empty()) release_front();
}

void LineCollapser::release_front() {
  const Entry& front = entries_.front();
  sink_(front.ranks, front.channel, front.text);
  entries_.pop_front();
  ++num_released_;
}

std::optional<LineCollapser::Clock::time_point> LineCollapser::due_at() const {
  if (entries_.empty()) return std::nullopt;
  return entries_.front().since + kWindow;
}

}  // namespace deepspeed::launcher

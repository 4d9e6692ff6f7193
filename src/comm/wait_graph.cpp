// A walk along certain waits, and the text of states.
#include "comm/wait_graph.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

constexpr std::string_view kHeader = "deepspeed wait 1";
constexpr size_t kMostLinks = 8;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) c == separator ? void(parts.emplace_back()) : parts.back().push_back(c);
  return parts;
}

/// Separators inside a text would end its field.
std::string field(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return text;
}

template <class Integer>
bool read(const std::string& text, Integer& value) {
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end;
}

bool awaits(const WaitState& state, int rank) {
  const GroupPosition* own = state.position(state.wait.group);
  return own != nullptr && rank != own->rank && (state.wait.root < 0 || state.wait.root == rank);
}

/// [Note: Certain waits] Whether `from` cannot go on before `to`, of rank `rank` in the group, has launched more.
bool waits_for(const WaitState& from, const WaitState& to, int rank) {
  const GroupPosition* theirs = to.position(from.wait.group);
  return awaits(from, rank) && theirs != nullptr && theirs->rank == rank && theirs->launched < from.wait.number;
}

class RingSearch {
 public:
  RingSearch(const WaitState& mine, const FindState& find) : mine_(mine), find_(find) {
    ring_.reserve(kMostLinks);  // walk() holds references into it
  }

  std::vector<RingLink> run() {
    if (!walk(mine_)) return {};
    std::vector<const WaitState*> members = {&mine_};
    for (const RingLink& link : ring_) members.push_back(&link.state);
    const bool holds =
        std::all_of(members.begin(), members.end(), [&](const WaitState* each) { return is_believed(*each); });
    return holds ? std::move(ring_) : std::vector<RingLink>();
  }

 private:
  const std::optional<WaitState>& find(const std::string& group, int rank) {
    const auto key = std::make_pair(group, rank);
    const auto found = found_.find(key);
    return found != found_.end() ? found->second : found_.emplace(key, find_(group, rank)).first->second;
  }

  bool walk(const WaitState& from) {
    const GroupPosition* me = mine_.position(from.wait.group);
    if (!ring_.empty() && me != nullptr && waits_for(from, mine_, me->rank)) return true;
    const GroupPosition* own = from.position(from.wait.group);
    if (own == nullptr || ring_.size() >= kMostLinks) return false;
    for (int rank = 0; rank < own->size; ++rank) {
      if (!awaits(from, rank)) continue;
      const std::optional<WaitState>& next = find(from.wait.group, rank);
      if (!next || next->process == mine_.process || !waits_for(from, *next, rank)) continue;
      if (!visited_.insert(next->process).second) continue;
      ring_.push_back({rank, *next});
      if (walk(ring_.back().state)) return true;
      ring_.pop_back();
    }
    return false;
  }

  bool is_believed(const WaitState& state) {
    if (!state.wait.outside) return true;
    const GroupPosition* own = state.position(state.wait.group);
    for (int rank = 0; rank < own->size; ++rank) {
      const GroupPosition* me = mine_.position(state.wait.group);
      const bool is_me = me != nullptr && me->rank == rank;
      if (rank != own->rank && !is_me && !find(state.wait.group, rank)) return false;
    }
    return true;
  }

  const WaitState& mine_;
  const FindState& find_;
  std::map<std::pair<std::string, int>, std::optional<WaitState>> found_;
  std::set<std::string> visited_;
  std::vector<RingLink> ring_;
};

std::string rank_of(const WaitState& state) {
  const GroupPosition* own = state.position(state.wait.group);
  return own == nullptr ? "a rank" : concat("rank ", own->rank, " of ", own->size);
}

}  // namespace

const GroupPosition* WaitState::position(const std::string& group) const {
  const auto found = std::find_if(positions.begin(), positions.end(),
                                  [&](const GroupPosition& position) { return position.group == group; });
  return found == positions.end() ? nullptr : &*found;
}

std::string to_text(const WaitState& state) {
  const Wait& wait = state.wait;
  std::string text =
      concat(kHeader, "\n", field(state.process), "\t", state.serial, "\t", state.confirmed ? 1 : 0, "\n",
             field(wait.group), "\t", wait.number, "\t", wait.root, "\t", wait.outside ? 1 : 0, "\n", field(wait.what));
  for (const GroupPosition& position : state.positions) {
    text += concat("\n", field(position.group), "\t", position.rank, "\t", position.size, "\t", position.launched);
  }
  return text;
}

std::optional<WaitState> parse_wait_state(const std::string& text) {
  const std::vector<std::string> lines = split(text, '\n');
  if (lines.size() < 4 || lines[0] != kHeader) return std::nullopt;
  const std::vector<std::string> who = split(lines[1], '\t');
  const std::vector<std::string> where = split(lines[2], '\t');
  WaitState state;
  int confirmed = 0;
  int outside = 0;
  if (who.size() != 3 || !read(who[1], state.serial) || !read(who[2], confirmed)) return std::nullopt;
  if (where.size() != 4 || !read(where[1], state.wait.number) || !read(where[2], state.wait.root) ||
      !read(where[3], outside))
    return std::nullopt;
  state.process = who[0];
  state.confirmed = confirmed != 0;
  state.wait.group = where[0];
  state.wait.outside = outside != 0;
  state.wait.what = lines[3];
  for (size_t line = 4; line < lines.size(); ++line) {
    const std::vector<std::string> parts = split(lines[line], '\t');
    GroupPosition position;
    if (parts.size() != 4 || !read(parts[1], position.rank) || !read(parts[2], position.size) ||
        !read(parts[3], position.launched))
      return std::nullopt;
    position.group = parts[0];
    state.positions.push_back(std::move(position));
  }
  return state;
}

std::vector<RingLink> find_ring(const WaitState& mine, const FindState& find) { return RingSearch(mine, find).run(); }

std::vector<AbsentRank> absent_ranks(const WaitState& mine, const FindState& find) {
  std::vector<AbsentRank> absent;
  const GroupPosition* own = mine.position(mine.wait.group);
  for (int rank = 0; own != nullptr && rank < own->size; ++rank) {
    if (!awaits(mine, rank)) continue;
    std::optional<WaitState> state = find(mine.wait.group, rank);
    const GroupPosition* theirs = state ? state->position(mine.wait.group) : nullptr;
    const bool has_come = theirs != nullptr && theirs->launched >= mine.wait.number;
    if (!has_come) absent.push_back({rank, std::move(state)});
  }
  return absent;
}

std::string describe_ring(const WaitState& mine, const std::vector<RingLink>& ring) {
  std::string text = concat(rank_of(mine), " waits in ", mine.wait.what);
  const char* before = ", and rank ";
  const char* after = " never comes: it waits in ";
  for (const RingLink& link : ring) {
    text += concat(before, link.rank, after, link.state.wait.what);
    before = " for rank ";
    after = ", which waits in ";
  }
  const GroupPosition* me = mine.position(ring.back().state.wait.group);
  return text + concat(" for rank ", me == nullptr ? -1 : me->rank,
                       ". Neither can go on. All ranks must come to the same collectives in the same order: look for ",
                       "something that only some ranks do, such as state_dict(), save_pretrained() or a forward pass ",
                       "under `if rank == 0`, or a branch of the model that only some ranks take.");
}

std::string describe_absence(const WaitState& mine, const std::vector<AbsentRank>& absent, int64_t seconds) {
  std::string text = concat(rank_of(mine), " has waited ", seconds, " s in ", mine.wait.what);
  const char* joint = " for rank ";
  for (const AbsentRank& each : absent) {
    text += concat(joint, each.rank);
    text += each.state ? concat(", which waits in ", each.state->wait.what)
                       : ", which has not come or is still sending: it waits in no collective known here";
    joint = "; and for rank ";
  }
  return text;
}

}  // namespace deepspeed::comm

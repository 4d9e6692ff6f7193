// Who waits for whom. Each process that has waited for long says what it waits for and how far it has come in every
// group; from that it is a matter of counting whether ranks wait for each other. Pure: no clock, no store, no thread.
//
// [Note: Certain waits] A wait names a count: it cannot end before everyone awaited has launched that many collectives
// in its group. A process that has launched fewer, and waits itself, cannot launch more before its own wait ends. So a
// ring of such waits never ends, however slow the network or another rank is; a rank that computes is in no ring.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace deepspeed::comm {

/// How far a process has come in one group.
struct GroupPosition {
  std::string group;  ///< a name that no other group of the job has
  int rank = 0;
  int size = 1;
  int64_t launched = 0;  ///< collectives, by the thread that waits

  bool operator==(const GroupPosition&) const = default;
};

/// What a process waits in.
struct Wait {
  std::string group;
  int64_t number = 0;    ///< ends once those awaited have launched this many
  int root = -1;         ///< the only rank awaited; -1: all others
  bool outside = false;  ///< in a library's collective, not in one of ours
  std::string what;      ///< for people: the collective, and where the script calls it

  bool operator==(const Wait&) const = default;
};

/// What a process publishes while it waits.
struct WaitState {
  std::string process;     ///< a name that no other process of the job has
  int64_t serial = 0;      ///< of the wait in its process: another wait is another state
  bool confirmed = false;  ///< its process has seen the ring twice, some time apart
  Wait wait;
  std::vector<GroupPosition> positions;  ///< of the groups in which the waiting thread is the one that launches

  /// Null where it says nothing about `group`.
  const GroupPosition* position(const std::string& group) const;
  /// The same wait of the same process.
  bool is_same_wait(const WaitState& other) const { return process == other.process && serial == other.serial; }
};

/// One line a field; what parse_wait_state() reads.
std::string to_text(const WaitState& state);

/// Nothing for a text that is no state of this version.
std::optional<WaitState> parse_wait_state(const std::string& text);

/// What rank `rank` of `group` publishes; nothing where it does not wait.
using FindState = std::function<std::optional<WaitState>(const std::string& group, int rank)>;

/// A rank of a ring, by its number in the group in which the one before waits for it.
struct RingLink {
  int rank = 0;
  WaitState state;
};

/// The ranks from the one that `mine` waits for up to one that waits for `mine`: none of them can ever go on. Empty
/// where there is no such ring. A ring through a wait outside is believed only while every rank of that group waits:
/// libraries may count point-to-point messages, of which not all ranks have the same number.
std::vector<RingLink> find_ring(const WaitState& mine, const FindState& find);

/// A rank that `mine` waits for and that has not come.
struct AbsentRank {
  int rank = 0;
  std::optional<WaitState> state;  ///< what it waits in itself; nothing: it is in no collective
};
std::vector<AbsentRank> absent_ranks(const WaitState& mine, const FindState& find);

/// "rank 0 of 2 waits in A, and rank 1 never comes: it waits in B for rank 0. ..." with what to look for.
std::string describe_ring(const WaitState& mine, const std::vector<RingLink>& ring);

/// "rank 0 of 2 has waited 30 s in A for rank 1, which has not come or is still sending: ..."
std::string describe_absence(const WaitState& mine, const std::vector<AbsentRank>& absent, int64_t seconds);

}  // namespace deepspeed::comm

#include "comm/wait_graph.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

namespace deepspeed::comm {
namespace {

using Board = std::map<std::pair<std::string, int>, WaitState>;

FindState on(const Board& board) {
  return [&board](const std::string& group, int rank) -> std::optional<WaitState> {
    const auto found = board.find({group, rank});
    return found == board.end() ? std::nullopt : std::optional(found->second);
  };
}

void publish(Board& board, const WaitState& state) {
  for (const GroupPosition& position : state.positions) board[{position.group, position.rank}] = state;
}

/// A rank of two groups over the same `size` ranks that waits for launch `number` of `group`.
WaitState waiting(int rank, int size, const std::string& group, int64_t number, int64_t reduced, int64_t gathered) {
  return {.process = "process" + std::to_string(rank),
          .serial = 1,
          .wait = {.group = group, .number = number, .what = group + " " + std::to_string(number)},
          .positions = {{"reduce", rank, size, reduced}, {"gather", rank, size, gathered}}};
}

WaitState outside(WaitState state, int64_t number, std::vector<int64_t> launched_by_rank) {
  const int rank = state.positions.front().rank;
  const int size = state.positions.front().size;
  state.wait = {.group = "world", .number = number, .root = -1, .outside = true, .what = "barrier (train.py:3)"};
  state.positions.push_back({"world", rank, size, launched_by_rank[rank]});
  return state;
}

TEST(WaitGraph, TwoRanksInTwoGroupsAreARing) {
  Board board;
  const WaitState gathers = waiting(0, 2, "gather", 8, 5, 8);
  const WaitState reduces = waiting(1, 2, "reduce", 6, 6, 7);
  publish(board, gathers);
  publish(board, reduces);
  const auto ring = find_ring(gathers, on(board));
  ASSERT_EQ(ring.size(), 1u);
  EXPECT_EQ(ring[0].rank, 1);
  EXPECT_EQ(ring[0].state.wait.what, "reduce 6");
  ASSERT_EQ(find_ring(reduces, on(board)).size(), 1u);
  const std::string text = describe_ring(gathers, ring);
  EXPECT_NE(text.find("rank 0 of 2 waits in gather 8, and rank 1 never comes: it waits in reduce 6 for rank 0."),
            std::string::npos)
      << text;
}

TEST(WaitGraph, ARankThatHasComeOrComputesIsInNoRing) {
  Board board;
  const WaitState gathers = waiting(0, 2, "gather", 8, 6, 8);  // has launched the reduction that rank 1 waits for
  publish(board, gathers);
  EXPECT_TRUE(find_ring(gathers, on(board)).empty()) << "rank 1 publishes nothing";
  publish(board, waiting(1, 2, "reduce", 6, 6, 7));
  EXPECT_TRUE(find_ring(gathers, on(board)).empty()) << "rank 1's wait ends by itself";
  const WaitState waits = waiting(0, 2, "gather", 8, 5, 8);
  board.clear();
  publish(board, waits);
  publish(board, waiting(1, 2, "reduce", 6, 6, 8));  // the gather that rank 0 waits for is on its way
  EXPECT_TRUE(find_ring(waits, on(board)).empty());
}

TEST(WaitGraph, ThreeRanksInThreeGroupsAreARing) {
  Board board;
  const auto member = [](int rank, const std::string& waits_in, const std::string& other) {
    return WaitState{.process = "process" + std::to_string(rank),
                     .wait = {.group = waits_in, .number = 1, .what = waits_in},
                     .positions = {{waits_in, 0, 2, 1}, {other, 1, 2, 0}}};
  };
  const WaitState first = member(0, "a", "c");
  publish(board, first);
  publish(board, member(1, "b", "a"));
  EXPECT_TRUE(find_ring(first, on(board)).empty()) << "the third computes";
  publish(board, member(2, "c", "b"));
  const auto ring = find_ring(first, on(board));
  ASSERT_EQ(ring.size(), 2u);
  EXPECT_EQ(ring[0].state.process, "process1");
  EXPECT_EQ(ring[1].state.process, "process2");
  EXPECT_NE(describe_ring(first, ring).find("it waits in b for rank 1, which waits in c for rank 1."),
            std::string::npos);
}

TEST(WaitGraph, AWaitBehindOthersRingIsNotOne) {
  Board board;
  publish(board, waiting(1, 3, "gather", 8, 5, 8));
  publish(board, waiting(2, 3, "reduce", 6, 6, 7));
  WaitState behind = waiting(0, 3, "gather", 8, 6, 8);  // came to both
  publish(board, behind);
  EXPECT_TRUE(find_ring(behind, on(board)).empty());
}

TEST(WaitGraph, AWaitOutsideIsBelievedOnceAllOfItsRanksWait) {
  Board board;
  const std::vector<int64_t> launched = {3, 4, 4};
  WaitState ours = waiting(0, 3, "gather", 1, 0, 1);
  ours.positions.push_back({"world", 0, 3, launched[0]});
  const WaitState theirs = outside(waiting(1, 3, "", 0, 0, 0), 4, launched);
  publish(board, ours);
  publish(board, theirs);
  EXPECT_TRUE(find_ring(ours, on(board)).empty()) << "rank 2 computes";
  EXPECT_TRUE(find_ring(theirs, on(board)).empty()) << "rank 2 computes";
  publish(board, outside(waiting(2, 3, "", 0, 0, 0), 4, launched));
  EXPECT_EQ(find_ring(ours, on(board)).size(), 1u);
  EXPECT_EQ(find_ring(theirs, on(board)).size(), 1u);
}

TEST(WaitGraph, AValueFromOneRankIsAwaitedFromThatRankOnly) {
  Board board;
  const std::vector<int64_t> launched = {3, 4};
  WaitState ours = waiting(0, 2, "gather", 1, 0, 1);
  ours.positions.push_back({"world", 0, 2, launched[0]});
  WaitState theirs = outside(waiting(1, 2, "", 0, 0, 0), 4, launched);
  theirs.wait.root = 1;
  publish(board, ours);
  publish(board, theirs);
  EXPECT_TRUE(find_ring(ours, on(board)).empty());
  theirs.wait.root = 0;
  publish(board, theirs);
  EXPECT_EQ(find_ring(ours, on(board)).size(), 1u);
}

TEST(WaitGraph, StatesSurviveTheirText) {
  WaitState state = outside(waiting(1, 2, "gather", 8, 5, 7), 4, {3, 4});
  state.confirmed = true;
  state.wait.what = "gather of a\tb\nin step 3";
  const auto parsed = parse_wait_state(to_text(state));
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->is_same_wait(state));
  EXPECT_TRUE(parsed->confirmed);
  EXPECT_EQ(parsed->positions, state.positions);
  state.wait.what = "gather of a b in step 3";
  EXPECT_EQ(parsed->wait, state.wait);
}

TEST(WaitGraph, OtherTextIsNoState) {
  const std::string text = to_text(waiting(0, 2, "gather", 8, 5, 8));
  ASSERT_TRUE(parse_wait_state(text));
  EXPECT_FALSE(parse_wait_state(""));
  EXPECT_FALSE(parse_wait_state("-"));
  EXPECT_FALSE(parse_wait_state("x" + text));
  EXPECT_FALSE(parse_wait_state(text + "\nreduce\t1"));
  EXPECT_FALSE(parse_wait_state(text + "\nreduce\t1\t2\tmany"));
  for (size_t length = 0; length < text.size(); ++length) static_cast<void>(parse_wait_state(text.substr(0, length)));
}

TEST(WaitGraph, SaysWhoIsAwaitedAndWhereThoseAre) {
  Board board;
  const WaitState mine = waiting(0, 4, "gather", 8, 6, 8);
  publish(board, mine);
  publish(board, waiting(1, 4, "gather", 8, 6, 8));
  publish(board, waiting(2, 4, "reduce", 6, 6, 7));
  const auto absent = absent_ranks(mine, on(board));
  ASSERT_EQ(absent.size(), 2u);
  EXPECT_EQ(describe_absence(mine, absent, 30),
            "rank 0 of 4 has waited 30 s in gather 8 for rank 2, which waits in reduce 6; and for rank 3, "
            "which has not come or is still sending: it waits in no collective known here");
}

}  // namespace
}  // namespace deepspeed::comm

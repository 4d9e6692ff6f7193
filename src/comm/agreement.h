// [Note: Agreement] Before a payload is posted the ranks send each other a line that says what they launch. Ranks that
// took different branches would otherwise add what does not belong together, or end the process (Gloo aborts on sizes
// that differ). Different lines are an error on every rank, with the lines of both.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

namespace c10d {
class ProcessGroup;
class Work;
}  // namespace c10d

namespace deepspeed::comm {

class Agreement {
 public:
  /// `group` must outlive it.
  explicit Agreement(c10d::ProcessGroup& group);

  /// Waits for the lines of all ranks, in messages with the tag `tag`; one thread. Throws CommError that says who is
  /// where if one differs. False: given up meanwhile.
  bool reach(const std::string& line, int tag);

  /// From any thread, for good: a reach() on its way and all later ones return false at once.
  void give_up();

 private:
  void write(const std::string& line, char* to) const;
  void send_and_receive(int tag);

  c10d::ProcessGroup& group_;
  const int rank_;
  const int size_;
  const at::Tensor lines_;  // [ranks, bytes of a line]; of the thread in reach()

  std::mutex mutex_;  // guards the next two
  std::vector<c10::intrusive_ptr<c10d::Work>> messages_;
  bool given_up_ = false;
};

}  // namespace deepspeed::comm

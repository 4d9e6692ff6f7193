// A line is a hash of the whole text, which is compared, then as much of the text as fits.
#include "comm/agreement.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <cstdint>
#include <cstring>
#include <functional>

#include "comm/peers.h"
#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

constexpr int64_t kLineBytes = 256;
constexpr int64_t kLineText = kLineBytes - static_cast<int64_t>(sizeof(uint64_t));

}  // namespace

Agreement::Agreement(c10d::ProcessGroup& group)
    : group_(group),
      rank_(group.getRank()),
      size_(group.getSize()),
      lines_(at::zeros({group.getSize(), kLineBytes}, at::kByte)) {}

void Agreement::write(const std::string& line, char* to) const {
  const uint64_t hash = std::hash<std::string>()(line);
  std::memcpy(to, &hash, sizeof(hash));
  std::strncpy(to + sizeof(hash), line.c_str(), kLineText - 1);
  to[kLineBytes - 1] = '\0';
}

void Agreement::send_and_receive(int tag) {
  const std::lock_guard lock(mutex_);
  if (given_up_) return;
  for (const int peer : peers_of(rank_, size_)) {
    std::vector<at::Tensor> theirs = {lines_[peer]};
    messages_.push_back(group_.recv(theirs, peer, tag));
    std::vector<at::Tensor> ours = {lines_[rank_]};
    messages_.push_back(group_.send(ours, peer, tag));
  }
}

bool Agreement::reach(const std::string& line, int tag) {
  char* const lines = static_cast<char*>(lines_.data_ptr());
  char* const mine = lines + rank_ * kLineBytes;
  write(line, mine);
  send_and_receive(tag);
  for (const auto& message : messages_) message->wait();  // only this thread changes the list
  {
    const std::lock_guard lock(mutex_);
    messages_.clear();
    if (given_up_) return false;
  }
  for (const int peer : peers_of(rank_, size_)) {
    const char* const theirs = lines + peer * kLineBytes;
    if (std::memcmp(mine, theirs, sizeof(uint64_t)) == 0) continue;
    throw CommError(concat("rank ", peer, " is at: ", theirs + sizeof(uint64_t), "; rank ", rank_, " is at: ", line,
                           ". All ranks must do the same in the same order: look for a branch that only some ranks ",
                           "take, an uneven number of batches, or something done under `if rank == 0`"));
  }
  return true;
}

void Agreement::give_up() {
  const std::lock_guard lock(mutex_);
  given_up_ = true;
  for (const auto& message : messages_) message->abort();
}

}  // namespace deepspeed::comm

// Digests travel one boundary behind.
#include "zero/gather_agreement.h"

#include <ATen/ATen.h>

#include <exception>

#include "comm/launch_history.h"
#include "deepspeed/error.h"

namespace deepspeed::zero {

GatherAgreement::GatherAgreement(const comm::Communicator& gathers, comm::Communicator& data)
    : gathers_(gathers), data_(data) {
  if (gathers.history() != nullptr)
    digests_ = at::zeros({data.size()}, at::TensorOptions().dtype(at::kLong).device(data.control_device()));
}

GatherAgreement::~GatherAgreement() {
  try {
    sent_.wait();                    // the group goes after us
  } catch (const std::exception&) {  // a dead rank was reported where it mattered
  }
}

void GatherAgreement::compare(int64_t step) {
  const comm::LaunchHistory* const history = gathers_.history();
  if (history == nullptr || data_.size() == 1) return;
  look_at_last(step);
  digests_[data_.rank()].fill_(static_cast<int64_t>(history->digest()));
  sent_ = data_.all_gather(digests_, {.step = step, .phase = comm::Phase::kGather, .unit = -1, .name = "digests"});
  has_sent_ = true;
}

void GatherAgreement::look_at_last(int64_t step) {
  if (!has_sent_) return;
  sent_.wait();
  const at::Tensor digests = digests_.cpu();
  if ((digests == digests[0]).all().item<bool>()) return;
  const std::string difference = comm::first_difference(
      data_.all_gather_strings(gathers_.history()->recent(), {.step = step, .phase = comm::Phase::kGather}));
  throw CommError(
      concat("[zero] rank ", data_.rank(), " of ", data_.size(), ": the ranks disagree: ",
             difference.empty() ? "their gathers differed longer ago than they remember" : difference,
             ". Weights that were gathered since are wrong: go back to the last checkpoint. All ranks must ",
             "touch the same parameters in the same order: look for a branch that only some ranks take, an ",
             "uneven number of batches, or something done under `if rank == 0`."));
}

}  // namespace deepspeed::zero

// What every communicator does by the five collectives alone.
#include "comm/communicator.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

#include "deepspeed/error.h"

namespace deepspeed::comm {

std::string_view phase_name(Phase phase) {
  switch (phase) {
    case Phase::kSetup:
      return "set-up";
    case Phase::kReduce:
      return "gradient reduction";
    case Phase::kGather:
      return "parameter gather";
    case Phase::kNorm:
      return "gradient norm";
    case Phase::kCheckpoint:
      return "checkpoint";
    case Phase::kUser:
      return "collective";
  }
  throw InternalError("[comm.tag] unknown phase");
}

std::string describe(const Tag& tag) {
  std::string text(phase_name(tag.phase));
  if (!tag.name.empty()) text += concat(" of ", tag.name);
  text += concat(" in step ", tag.step);
  return tag.parameters.empty() ? text : concat(text, " (", tag.parameters, ")");
}

Work Communicator::reduce_scatter(at::TensorList lanes, double scale, c10::ScalarType wire, const Tag& tag) {
  std::vector<at::Tensor> owns;
  for (const at::Tensor& lane : lanes) {
    const int64_t part_numel = lane.numel() / size();
    owns.push_back(lane.narrow(0, rank() * part_numel, part_numel));
  }
  return reduce_scatter(lanes, owns, scale, wire, tag);
}

at::Tensor Communicator::make_buffer(int64_t numel, const at::TensorOptions& options) {
  return at::empty({numel}, options);
}

void Communicator::barrier(const Tag& tag) {
  const at::Tensor nothing = at::zeros({1}, at::TensorOptions().device(control_device()));
  all_reduce(nothing, 1.0, tag).wait();
}

std::vector<std::string> Communicator::all_gather_strings(const std::string& text, const Tag& tag) {
  if (size() == 1) return {text};
  const auto options = at::TensorOptions().device(at::kCPU);
  at::Tensor lengths = at::zeros({size()}, options.dtype(at::kLong));
  lengths.data_ptr<int64_t>()[rank()] = static_cast<int64_t>(text.size());
  lengths = lengths.to(control_device());
  all_gather(lengths, tag).wait();
  const at::Tensor lengths_here = lengths.cpu();
  const int64_t* length = lengths_here.data_ptr<int64_t>();
  const int64_t longest = std::max<int64_t>(1, *std::max_element(length, length + size()));
  at::Tensor bytes = at::zeros({size() * longest}, options.dtype(at::kByte));
  std::memcpy(bytes.data_ptr<uint8_t>() + rank() * longest, text.data(), text.size());
  bytes = bytes.to(control_device());
  all_gather(bytes, tag).wait();
  const at::Tensor bytes_here = bytes.cpu();
  std::vector<std::string> texts;
  texts.reserve(size());
  for (int r = 0; r < size(); ++r) {
    texts.emplace_back(reinterpret_cast<const char*>(bytes_here.data_ptr<uint8_t>()) + r * longest, length[r]);
  }
  return texts;
}

std::string Communicator::broadcast_string(const std::string& text, int root, const Tag& tag) {
  if (size() == 1) return text;
  const auto options = at::TensorOptions().device(at::kCPU);
  at::Tensor length = at::full({1}, static_cast<int64_t>(text.size()), options.dtype(at::kLong)).to(control_device());
  broadcast(length, root, tag).wait();
  at::Tensor bytes = at::zeros({std::max<int64_t>(1, length.cpu().item<int64_t>())}, options.dtype(at::kByte));
  if (rank() == root) std::memcpy(bytes.data_ptr<uint8_t>(), text.data(), text.size());
  bytes = bytes.to(control_device());
  broadcast(bytes, root, tag).wait();
  const at::Tensor here = bytes.cpu();
  return {reinterpret_cast<const char*>(here.data_ptr<uint8_t>()), static_cast<size_t>(length.cpu().item<int64_t>())};
}

Work SingleRank::reduce_scatter(at::TensorList lanes, at::TensorList results, double scale, c10::ScalarType,
                                const Tag&) {
  for (size_t lane = 0; lane < lanes.size(); ++lane) {
    if (results[lane].data_ptr() != lanes[lane].data_ptr()) results[lane].copy_(lanes[lane]);
    if (scale != 1.0) results[lane].mul_(scale);
  }
  return {};
}

Work SingleRank::all_reduce(const at::Tensor& values, double scale, const Tag&) {
  if (scale != 1.0) values.mul_(scale);
  return {};
}

}  // namespace deepspeed::comm

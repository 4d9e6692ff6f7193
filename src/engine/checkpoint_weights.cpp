// Whole tensors out of a checkpoint, read on this rank alone.
#include "deepspeed/detail/checkpoint_weights.h"

#include <ATen/ATen.h>

#include <map>

#include "checkpoint/element_conversion.h"
#include "checkpoint/reader.h"
#include "engine/element_types.h"

namespace deepspeed::detail {

std::vector<std::pair<std::string, at::Tensor>> read_weights(const std::string& folder,
                                                             const std::optional<std::string>& tag) {
  checkpoint::CheckpointReader reader = checkpoint::CheckpointReader::open(folder, tag);
  std::map<std::string, at::Tensor> found;
  std::vector<std::pair<std::string, at::Tensor>> result;
  for (const std::string& name : reader.names()) {
    for (const char* state : {checkpoint::kMasterState, checkpoint::kWeightState, checkpoint::kBufferState}) {
      if (!reader.has(name, state)) continue;
      const std::vector<int64_t>& shape = reader.global_shape(name, state);
      const io::ElementType stored = reader.type(name, state);
      const bool is_float = checkpoint::is_convertible(stored, io::ElementType::kFloat32);
      const io::ElementType type = is_float ? io::ElementType::kFloat32 : stored;
      at::Tensor whole = at::empty(shape, engine::scalar_type_of(type));
      reader.read(name, state, checkpoint::whole_box(shape), {0, whole.numel()}, whole.data_ptr(), type);
      result.emplace_back(name, found[name] = std::move(whole));
      break;
    }
  }
  for (const auto& [alias, owner] : reader.manifest().aliases) {
    if (found.contains(owner)) result.emplace_back(alias, found[owner]);
  }
  return result;
}

}  // namespace deepspeed::detail

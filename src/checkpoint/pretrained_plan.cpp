// Names first, then bytes.
#include "checkpoint/pretrained_plan.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "checkpoint/element_conversion.h"
#include "deepspeed/error.h"

namespace deepspeed::checkpoint {
namespace {

using Names = std::set<std::string>;

/// The key of `name` with the prefix put before it or taken off. One that is itself a name of the model stays that
/// one's.
std::string key_across_prefix(const std::string& name, const StoredTensors& stored, const Names& all_names,
                              const std::string& base_prefix) {
  const std::string dotted = base_prefix + ".";
  const auto is_free = [&](const std::string& key) { return stored.contains(key) && !all_names.contains(key); };
  if (is_free(dotted + name)) return dotted + name;
  if (name.starts_with(dotted) && is_free(name.substr(dotted.size()))) return name.substr(dotted.size());
  return "";
}

}  // namespace

NameMatch match_names(const std::vector<std::vector<std::string>>& names, const StoredTensors& stored,
                      const std::string& base_prefix) {
  Names all_names;
  for (const auto& each : names) all_names.insert(each.begin(), each.end());
  NameMatch match;
  std::set<std::string> known;
  for (const auto& of_tensor : names) {
    std::string chosen;
    for (const std::string& name : of_tensor) {
      std::string key = stored.contains(name) ? name
                        : base_prefix.empty() ? ""
                                              : key_across_prefix(name, stored, all_names, base_prefix);
      if (key.empty()) continue;
      known.insert(key);
      if (chosen.empty()) chosen = std::move(key);
    }
    match.keys.push_back(std::move(chosen));
  }
  for (const auto& [key, tensor] : stored) {
    if (!known.contains(key)) match.unexpected.push_back(key);
  }
  return match;
}

std::vector<PretrainedRead> plan_reads(const std::vector<WantedRange>& wanted, const StoredTensors& stored,
                                       const std::string& where) {
  std::vector<PretrainedRead> reads;
  for (size_t index = 0; index < wanted.size(); ++index) {
    const WantedRange& want = wanted[index];
    const auto found = stored.find(want.key);
    DS_CHECK(found != stored.end(), CheckpointError, "[checkpoint.pretrained] ", where, " has no key '", want.key,
             "', which should hold ", want.name);
    const StoredTensor& tensor = found->second;
    DS_CHECK(tensor.shape == want.shape, CheckpointError, "[checkpoint.pretrained] ", where, ": '", want.key,
             "' has shape ", io::shape_text(tensor.shape), ", but ", want.name, " of the model has ",
             io::shape_text(want.shape), ". Build the model with the sizes of the files.");
    DS_CHECK(is_convertible(tensor.type, want.type), CheckpointError, "[checkpoint.pretrained] ", where, ": '",
             want.key, "' is ", io::element_type_name(tensor.type), " and ", want.name, " of the model is ",
             io::element_type_name(want.type),
             ": only float32, bfloat16, float16 and float64 are converted into one another.");
    const Box box = whole_box(want.shape);
    const std::string error = find_geometry_error(want.shape, tensor.type, box, want.range);
    DS_INTERNAL_CHECK(error.empty(), "reading ", want.name, ": ", error);
    if (want.range.numel() == 0) continue;
    const auto skipped = static_cast<uint64_t>(want.range.begin * io::element_bytes(tensor.type));
    reads.push_back({index, tensor.file, tensor.offset + skipped, want.range.numel(), tensor.type, want.type});
  }
  std::sort(reads.begin(), reads.end(), [](const PretrainedRead& a, const PretrainedRead& b) {
    return std::tie(a.file, a.offset, a.wanted) < std::tie(b.file, b.offset, b.wanted);
  });
  return reads;
}

}  // namespace deepspeed::checkpoint

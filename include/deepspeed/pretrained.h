// Weights of a pretrained model: the safetensors files that Hugging Face's save_pretrained writes.
//
//   auto engine = deepspeed::initialize(model, "ds_config.json");
//   engine->load_pretrained("SmolLM2-135M");  // each rank reads its own share of the bytes
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "deepspeed/export.h"

namespace torch::nn {
class Module;
}

namespace deepspeed {

struct LoadPretrainedOptions {
  /// May stand before the files' names or before the model's and be absent on the other side.
  std::string base_prefix = "model";
  /// Parameters that the files lack keep their values; otherwise they are an error that names them.
  bool allow_missing = false;
};

struct LoadedPretrained {
  std::vector<std::string> missing;     ///< parameters and persistent buffers that the files lack: as they were
  std::vector<std::string> unexpected;  ///< keys of the files that the model does not have: left out
  int64_t bytes_read = 0;               ///< by this rank, the files' headers included
};

/// Replaces the values of an ordinary module's parameters and persistent buffers by those in `folder`, on this rank
/// alone; float types are converted. `folder` has model.safetensors, or model.safetensors.index.json and what it names.
/// A tied parameter may stand under any of its names. Throws CheckpointError that names file, key and both shapes;
/// some values may be replaced by then. For a module in training there is Engine::load_pretrained.
DS_API LoadedPretrained load_pretrained(const torch::nn::Module& module, const std::string& folder,
                                        const LoadPretrainedOptions& options = {});

}  // namespace deepspeed

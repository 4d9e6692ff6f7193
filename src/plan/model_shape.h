// Models as plans see them, without building them: parameters, modules, and what each use of a module computes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plan/unit_cut.h"

namespace deepspeed::plan {

/// One use of a part of the model in forward.
struct ModuleUse {
  int parameter = 0;                   ///< of that part; its unit is the one that is used
  double forward_flops_per_token = 0;  ///< backward takes twice as many
  bool weights_in_backward = true;     ///< an embedding's are not read there
};

struct ModelDescription {
  std::string name;
  int64_t sequence = 0;  ///< tokens of one sample
  std::vector<ParameterInfo> parameters;
  std::vector<ModuleInfo> modules;
  UnitHints hints;
  std::vector<ModuleUse> uses;  ///< in forward order

  int64_t numel() const;
};

/// A decoder of transformer blocks.
struct DecoderShape {
  std::string name;
  int64_t vocabulary = 0;
  int64_t hidden = 0;
  int64_t feed_forward = 0;
  int64_t blocks = 0;
  int64_t heads = 0;
  int64_t key_value_heads = 0;  ///< below `heads`: grouped queries
  int64_t sequence = 0;
  bool is_gated =
      true;  ///< three matrices in the feed-forward part and no biases, as LLaMA; or two with biases, as GPT
  bool ties_head = false;  ///< the head is the embedding
};

/// All parameters are trainable and of `dtype`. `sequence` 0: the shape's own.
ModelDescription describe_decoder(const DecoderShape& shape, core::Dtype dtype, int64_t sequence = 0);

/// The shapes that are known by name.
const std::vector<DecoderShape>& known_shapes();

/// Throws ValueError that lists the names.
const DecoderShape& find_shape(std::string_view name);

}  // namespace deepspeed::plan

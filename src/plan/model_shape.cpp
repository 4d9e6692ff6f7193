// Names as a module tree has them, so that the same cutter cuts the same units as at training.
#include "plan/model_shape.h"

#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

/// Adds parameters and remembers the last one.
class Builder {
 public:
  Builder(ModelDescription& model, core::Dtype dtype) : model_(model), dtype_(dtype) {}

  int add(std::string name, int64_t numel) {
    model_.parameters.push_back({.name = std::move(name), .numel = numel, .dtype = dtype_, .group = 0});
    return static_cast<int>(model_.parameters.size()) - 1;
  }

  /// Elements of the weight; a bias adds to the model, but hardly to the time.
  int64_t add_linear(const std::string& name, int64_t in, int64_t out, bool has_bias) {
    add(name + ".weight", in * out);
    if (has_bias) add(name + ".bias", out);
    return in * out;
  }

  int add_norm(const std::string& name, int64_t hidden, bool has_bias) {
    const int weight = add(name + ".weight", hidden);
    if (has_bias) add(name + ".bias", hidden);
    return weight;
  }

 private:
  ModelDescription& model_;
  core::Dtype dtype_;
};

/// Returns the use of the block. A product with a matrix of n elements takes 2n operations a token.
ModuleUse add_block(Builder& builder, const DecoderShape& shape, const std::string& path, int64_t sequence) {
  const bool has_bias = !shape.is_gated;
  const int64_t head_size = shape.hidden / shape.heads;
  const int64_t key_value = 2 * shape.key_value_heads * head_size;
  ModuleUse use;
  use.parameter = builder.add_norm(path + ".attention_norm", shape.hidden, has_bias);
  int64_t matrices = builder.add_linear(path + ".attention.qkv", shape.hidden, shape.hidden + key_value, has_bias);
  matrices += builder.add_linear(path + ".attention.out", shape.hidden, shape.hidden, has_bias);
  builder.add_norm(path + ".feed_forward_norm", shape.hidden, has_bias);
  if (shape.is_gated)
    matrices += builder.add_linear(path + ".feed_forward.gate", shape.hidden, shape.feed_forward, has_bias);
  matrices += builder.add_linear(path + ".feed_forward.up", shape.hidden, shape.feed_forward, has_bias);
  matrices += builder.add_linear(path + ".feed_forward.down", shape.feed_forward, shape.hidden, has_bias);
  // Scores and mixing: each token with half of the others, causally.
  const double attention = 2.0 * static_cast<double>(sequence) * static_cast<double>(shape.hidden);
  use.forward_flops_per_token = 2.0 * static_cast<double>(matrices) + attention;
  return use;
}

}  // namespace

int64_t ModelDescription::numel() const {
  int64_t sum = 0;
  for (const ParameterInfo& parameter : parameters) sum += parameter.numel;
  return sum;
}

ModelDescription describe_decoder(const DecoderShape& shape, core::Dtype dtype, int64_t sequence) {
  ModelDescription model{.name = shape.name, .sequence = sequence > 0 ? sequence : shape.sequence};
  Builder builder(model, dtype);
  const int64_t embedding_numel = shape.vocabulary * shape.hidden;
  model.modules = {{.path = "", .class_name = "Decoder"}, {.path = "embedding", .class_name = "Embedding"}};
  const int embedding = builder.add("embedding.weight", embedding_numel);
  model.uses.push_back({.parameter = embedding, .weights_in_backward = false});
  if (!shape.is_gated) builder.add("position.weight", shape.sequence * shape.hidden);  // learned positions
  model.modules.push_back({.path = "blocks", .class_name = "ModuleList", .is_list = true});
  for (int64_t block = 0; block < shape.blocks; ++block) {
    const std::string path = concat("blocks.", block);
    model.modules.push_back({.path = path, .class_name = "Block"});
    model.uses.push_back(add_block(builder, shape, path, model.sequence));
  }
  model.modules.push_back({.path = "norm", .class_name = "Norm"});
  builder.add_norm("norm", shape.hidden, !shape.is_gated);
  int head = embedding;
  if (!shape.ties_head) {
    model.modules.push_back({.path = "head", .class_name = "Linear"});
    head = builder.add("head.weight", embedding_numel);
  }
  model.uses.push_back({.parameter = head, .forward_flops_per_token = 2.0 * static_cast<double>(embedding_numel)});
  return model;
}

const std::vector<DecoderShape>& known_shapes() {
  const auto llama = [](std::string name, int64_t vocabulary, int64_t hidden, int64_t feed_forward, int64_t blocks,
                        int64_t heads, int64_t key_value_heads, int64_t sequence) {
    return DecoderShape{.name = std::move(name),
                        .vocabulary = vocabulary,
                        .hidden = hidden,
                        .feed_forward = feed_forward,
                        .blocks = blocks,
                        .heads = heads,
                        .key_value_heads = key_value_heads,
                        .sequence = sequence};
  };
  const auto gpt = [](std::string name, int64_t hidden, int64_t blocks, int64_t heads) {
    return DecoderShape{.name = std::move(name),
                        .vocabulary = 50257,
                        .hidden = hidden,
                        .feed_forward = 4 * hidden,
                        .blocks = blocks,
                        .heads = heads,
                        .key_value_heads = heads,
                        .sequence = 2048,
                        .is_gated = false,
                        .ties_head = true};
  };
  static const std::vector<DecoderShape> shapes = {
      llama("llama-10m", 4096, 256, 1024, 8, 4, 4, 128),  // these two are benchmarks/llama.py's
      llama("llama-42m", 8192, 512, 2048, 8, 8, 8, 128),
      gpt("125m", 768, 12, 12),
      gpt("350m", 1024, 24, 16),
      gpt("1.3b", 2048, 24, 32),
      llama("7b", 32000, 4096, 11008, 32, 32, 32, 4096),
      llama("13b", 32000, 5120, 13824, 40, 40, 40, 4096),
      llama("70b", 32000, 8192, 28672, 80, 64, 8, 4096),
  };
  return shapes;
}

const DecoderShape& find_shape(std::string_view name) {
  std::string names;
  for (const DecoderShape& shape : known_shapes()) {
    if (shape.name == name) return shape;
    names += (names.empty() ? "" : ", ") + shape.name;
  }
  throw ValueError(concat("[plan.model_shape] model: got ", name, ", expected one of ", names,
                          ", or the path of a JSON file with its units."));
}

}  // namespace deepspeed::plan

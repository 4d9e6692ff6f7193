// A byte-level GPT: a decoder of pre-norm blocks. Plain LibTorch: nothing in it knows of ranks, ZeRO or DeepSpeed.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

// Shapes: B rows of a batch, T positions, C width, H heads, D width of a head (C = H x D), F width inside the MLP,
// V vocabulary.

struct GPTOptions {
  int64_t vocabulary = 256;  ///< V: a token is a byte
  int64_t context = 64;      ///< the largest T
  int64_t width = 128;       ///< C
  int64_t heads = 4;         ///< H
  int64_t layers = 4;
};

/// Every position looks at itself and at those before it.
struct CausalAttentionImpl : torch::nn::Module {
  explicit CausalAttentionImpl(const GPTOptions& options);
  at::Tensor forward(const at::Tensor& x_BTC);

  int64_t heads;
  torch::nn::Linear to_qkv;  ///< queries, keys and values side by side
  torch::nn::Linear to_out;
};
TORCH_MODULE(CausalAttention);

struct MLPImpl : torch::nn::Module {
  explicit MLPImpl(const GPTOptions& options);
  at::Tensor forward(const at::Tensor& x_BTC);

  torch::nn::Linear up;
  torch::nn::Linear down;
};
TORCH_MODULE(MLP);

struct BlockImpl : torch::nn::Module {
  explicit BlockImpl(const GPTOptions& options);
  at::Tensor forward(const at::Tensor& x_BTC);

  torch::nn::LayerNorm attention_norm;
  CausalAttention attention;
  torch::nn::LayerNorm mlp_norm;
  MLP mlp;
};
TORCH_MODULE(Block);

class GPTImpl : public torch::nn::Module {
 public:
  explicit GPTImpl(const GPTOptions& options);

  /// The mean cross entropy of `targets_BT` (each position's next token), a scalar in fp32.
  at::Tensor forward(const at::Tensor& tokens_BT, const at::Tensor& targets_BT);

  /// `tokens_BT` with `count` more tokens, drawn from the model's distribution sharpened by `temperature`.
  at::Tensor generate(at::Tensor tokens_BT, int64_t count, double temperature = 0.7);

  int64_t context() const { return context_; }

 private:
  at::Tensor logits_BTV(const at::Tensor& tokens_BT);
  void initialize_weights(int64_t layers);

  int64_t context_;
  torch::nn::Embedding token_embedding_;  ///< also the output layer: one matrix reads and writes bytes
  torch::nn::Embedding position_embedding_;
  torch::nn::ModuleList blocks_;
  torch::nn::LayerNorm norm_;
};
TORCH_MODULE(GPT);

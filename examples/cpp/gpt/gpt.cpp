// The forward passes, in the order of the header.
#include "gpt.h"

#include <cmath>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace {

torch::nn::LayerNorm make_norm(int64_t width) { return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})); }

}  // namespace

CausalAttentionImpl::CausalAttentionImpl(const GPTOptions& options)
    : heads(options.heads), to_qkv(options.width, 3 * options.width), to_out(options.width, options.width) {
  register_module("to_qkv", to_qkv);
  register_module("to_out", to_out);
}

at::Tensor CausalAttentionImpl::forward(const at::Tensor& x_BTC) {
  const at::Tensor qkv_3BHTD = to_qkv->forward(x_BTC).unflatten(-1, {3, heads, -1}).permute({2, 0, 3, 1, 4});
  const at::Tensor mixed_BHTD =
      at::scaled_dot_product_attention(qkv_3BHTD[0], qkv_3BHTD[1], qkv_3BHTD[2],
                                       /*attn_mask=*/{}, /*dropout_p=*/0.0, /*is_causal=*/true);
  return to_out->forward(mixed_BHTD.transpose(1, 2).flatten(2));
}

MLPImpl::MLPImpl(const GPTOptions& options)
    : up(options.width, 4 * options.width), down(4 * options.width, options.width) {
  register_module("up", up);
  register_module("down", down);
}

at::Tensor MLPImpl::forward(const at::Tensor& x_BTC) {
  const at::Tensor hidden_BTF = at::gelu(up->forward(x_BTC), "tanh");
  return down->forward(hidden_BTF);
}

BlockImpl::BlockImpl(const GPTOptions& options)
    : attention_norm(make_norm(options.width)), attention(options), mlp_norm(make_norm(options.width)), mlp(options) {
  register_module("attention_norm", attention_norm);
  register_module("attention", attention);
  register_module("mlp_norm", mlp_norm);
  register_module("mlp", mlp);
}

at::Tensor BlockImpl::forward(const at::Tensor& x_BTC) {
  const at::Tensor attended_BTC = x_BTC + attention->forward(attention_norm->forward(x_BTC));
  return attended_BTC + mlp->forward(mlp_norm->forward(attended_BTC));
}

GPTImpl::GPTImpl(const GPTOptions& options)
    : context_(options.context),
      token_embedding_(options.vocabulary, options.width),
      position_embedding_(options.context, options.width),
      norm_(make_norm(options.width)) {
  register_module("token_embedding", token_embedding_);
  register_module("position_embedding", position_embedding_);
  register_module("blocks", blocks_);
  register_module("norm", norm_);
  for (int64_t layer = 0; layer < options.layers; ++layer) blocks_->push_back(Block(options));
  initialize_weights(options.layers);
}

// GPT-2's start: small weights, and smaller ones where blocks add to the residual stream, so that its size does not
// grow with depth.
void GPTImpl::initialize_weights(int64_t layers) {
  const c10::NoGradGuard no_grad;
  for (auto& parameter : named_parameters()) {
    const std::string& name = parameter.key();
    const bool is_residual = name.ends_with("to_out.weight") || name.ends_with("down.weight");
    if (name.ends_with("bias")) parameter.value().zero_();
    if (parameter.value().dim() == 2) {
      parameter.value().normal_(0.0, is_residual ? 0.02 / std::sqrt(2.0 * static_cast<double>(layers)) : 0.02);
    }
  }
}

at::Tensor GPTImpl::logits_BTV(const at::Tensor& tokens_BT) {
  const at::Tensor positions_T = at::arange(tokens_BT.size(1), tokens_BT.options());
  at::Tensor x_BTC = token_embedding_->forward(tokens_BT) + position_embedding_->forward(positions_T);
  for (const auto& block : *blocks_) x_BTC = block->as<Block>()->forward(x_BTC);
  return at::linear(norm_->forward(x_BTC), token_embedding_->weight);
}

at::Tensor GPTImpl::forward(const at::Tensor& tokens_BT, const at::Tensor& targets_BT) {
  return at::cross_entropy_loss(logits_BTV(tokens_BT).flatten(0, 1).to(at::kFloat), targets_BT.flatten());
}

at::Tensor GPTImpl::generate(at::Tensor tokens_BT, int64_t count, double temperature) {
  const c10::NoGradGuard no_grad;
  for (int64_t i = 0; i < count; ++i) {
    const at::Tensor seen_BT =
        tokens_BT.narrow(1, std::max<int64_t>(0, tokens_BT.size(1) - context_), std::min(tokens_BT.size(1), context_));
    const at::Tensor last_BV = logits_BTV(seen_BT).select(1, -1).to(at::kFloat);
    tokens_BT = at::cat({tokens_BT, at::multinomial(at::softmax(last_BV / temperature, -1), 1)}, 1);
  }
  return tokens_BT;
}

// Small modules with awkward traits.
#include "engine/oracle_models.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/functional/activation.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <string>
#include <vector>

namespace deepspeed::testing {
namespace {

namespace nn = torch::nn;

at::Tensor to_loss(const at::Tensor& y) { return (y.to(at::kFloat) * 1.5).tanh().pow(2).mean(); }

/// Linear, norm, linear; `trunk` is a Sequential of equal classes, so that it is cut into units.
class Plain : public OracleModel {
 public:
  Plain() {
    first = register_module("first", nn::Linear(8, 12));
    norm = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({12})));
    trunk = register_module("trunk", nn::Sequential(nn::Linear(12, 12), nn::Linear(12, 12), nn::Linear(12, 7)));
  }
  at::Tensor forward(const at::Tensor& x, const Moment& moment) override { return to_loss(body(x, moment)); }

 protected:
  virtual at::Tensor body(const at::Tensor& x, const Moment&) {
    return trunk->forward(norm(first(x.to(first->weight.scalar_type())).tanh()));
  }
  nn::Linear first{nullptr};
  nn::LayerNorm norm{nullptr};
  nn::Sequential trunk{nullptr};
};

struct TiedHead final : nn::Module {
  explicit TiedHead(const at::Tensor& shared) { weight = register_parameter("weight", shared); }
  at::Tensor weight;
};

class Tied final : public Plain {
 public:
  Tied() {
    encoder = register_module("encoder", nn::Linear(nn::LinearOptions(12, 12).bias(false)));
    decoder = register_module("decoder", std::make_shared<TiedHead>(encoder->weight));
  }

 protected:
  at::Tensor body(const at::Tensor& x, const Moment&) override {
    const at::Tensor hidden = first(x.to(first->weight.scalar_type()));
    return trunk->forward(norm(at::linear(encoder(hidden).tanh(), decoder->weight)));
  }
  nn::Linear encoder{nullptr};
  std::shared_ptr<TiedHead> decoder;
};

class UsedTwice final : public Plain {
 protected:
  at::Tensor body(const at::Tensor& x, const Moment&) override {
    const at::Tensor hidden = norm(first(x.to(first->weight.scalar_type())));
    return trunk->forward(trunk[0]->as<nn::Linear>()->forward(hidden).tanh());
  }
};

class Unused final : public Plain {
 public:
  Unused() { never = register_module("never", nn::Linear(5, 3)); }
  nn::Linear never{nullptr};
};

class Frozen : public Plain {
 public:
  Frozen() {
    trunk[1]->as<nn::Linear>()->weight.set_requires_grad(false);
    norm->weight.set_requires_grad(false);
  }
};

class UnfrozenLater final : public Frozen {
 public:
  void before_step(int step) override {
    norm->weight.set_requires_grad(step >= 2);
    first->bias.set_requires_grad(step != 1);
  }
};

class ZeroSize final : public Plain {
 public:
  ZeroSize() { empty = register_parameter("empty", at::zeros({0, 4})); }

 protected:
  at::Tensor body(const at::Tensor& x, const Moment& moment) override {
    return Plain::body(x, moment) + empty.sum().to(first->weight.scalar_type());
  }
  at::Tensor empty;
};

class Scalar final : public Plain {
 public:
  Scalar() { factor = register_parameter("factor", at::full({}, 0.7)); }

 protected:
  at::Tensor body(const at::Tensor& x, const Moment& moment) override { return Plain::body(x, moment) * factor; }
  at::Tensor factor;
};

class Branch : public Plain {
 public:
  Branch() {
    left = register_module("left", nn::Linear(12, 12));
    right = register_module("right", nn::Linear(12, 12));
  }

 protected:
  virtual bool goes_left(const Moment& moment) const = 0;
  at::Tensor body(const at::Tensor& x, const Moment& moment) override {
    const at::Tensor hidden = norm(first(x.to(first->weight.scalar_type())));
    return trunk->forward(goes_left(moment) ? left(hidden).tanh() : right(hidden).sigmoid());
  }
  nn::Linear left{nullptr};
  nn::Linear right{nullptr};
};

class BranchPerStep final : public Branch {
  bool goes_left(const Moment& moment) const override { return moment.step % 2 == 0; }
};

class BranchPerRank final : public Branch {
  bool goes_left(const Moment& moment) const override { return (moment.rank + moment.step / 2) % 2 == 0; }
};

/// bfloat16 linears around a float32 norm.
class Mixed final : public Plain {
 public:
  Mixed() {
    first->to(at::kBFloat16);
    trunk->to(at::kBFloat16);
  }

 protected:
  at::Tensor body(const at::Tensor& x, const Moment&) override {
    return trunk->forward(norm(first(x.to(at::kBFloat16)).to(at::kFloat)).to(at::kBFloat16));
  }
};

/// A frozen bfloat16 base with trainable float32 adapters beside the layers of its trunk.
class Lora final : public Plain {
 public:
  Lora() {
    to(at::kBFloat16);
    for (at::Tensor& parameter : parameters()) parameter.set_requires_grad(false);
    for (int layer = 0; layer < 3; ++layer) {
      const std::string number = std::to_string(layer);
      down.push_back(register_module("down" + number, nn::Linear(nn::LinearOptions(12, 3).bias(false))));
      up.push_back(register_module("up" + number, nn::Linear(nn::LinearOptions(3, layer == 2 ? 7 : 12).bias(false))));
    }
  }

 protected:
  at::Tensor body(const at::Tensor& x, const Moment&) override {
    at::Tensor hidden = norm(first(x.to(at::kBFloat16)).tanh());
    for (int layer = 0; layer < 3; ++layer) {
      hidden = trunk[layer]->as<nn::Linear>()->forward(hidden) + up[layer](down[layer](hidden.to(at::kFloat)));
      hidden = hidden.to(at::kBFloat16);
    }
    return hidden;
  }
  std::vector<nn::Linear> down;
  std::vector<nn::Linear> up;
};

/// Forward without a graph, and once more with one in backward, which runs a backward inside the backward.
struct Recompute final : torch::autograd::Function<Recompute> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, nn::LinearImpl* layer) {
    context->save_for_backward({x});
    context->saved_data["layer"] = reinterpret_cast<int64_t>(layer);  // of the model, which outlives the graph
    const at::NoGradGuard no_grad;
    return layer->forward(x).tanh();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    auto* layer = reinterpret_cast<nn::LinearImpl*>(context->saved_data["layer"].toInt());
    const at::Tensor x = context->get_saved_variables()[0].detach().requires_grad_(true);
    at::Tensor y;
    {
      const at::AutoGradMode with_graph(true);
      y = layer->forward(x).tanh();
    }
    y.backward(gradients[0]);
    return {x.grad(), at::Tensor()};
  }
};

/// The trunk's first two layers are recomputed in backward.
class Recomputed : public Plain {
 protected:
  virtual std::vector<int> layers() const { return {0, 1}; }
  at::Tensor body(const at::Tensor& x, const Moment&) override {
    at::Tensor hidden = norm(first(x.to(first->weight.scalar_type())).tanh());
    for (const int layer : layers()) hidden = Recompute::apply(hidden, trunk[layer]->as<nn::Linear>());
    return trunk[2]->as<nn::Linear>()->forward(hidden);
  }
};

/// One of them twice, so that its gradient comes in two parts: autograd adds those in the parameter's dtype, the engine
/// in the accumulation dtype, so that only float32 can be compared.
class RecomputedTwice final : public Recomputed {
  std::vector<int> layers() const override { return {0, 1, 0}; }
};

template <class Model>
std::shared_ptr<OracleModel> make() {
  return std::make_shared<Model>();
}

}  // namespace

const std::vector<OracleRow>& oracle_rows() {
  static const std::vector<OracleRow> rows = {{"plain", make<Plain>},
                                              {"tied", make<Tied>},
                                              {"used_twice", make<UsedTwice>},
                                              {"unused", make<Unused>},
                                              {"frozen", make<Frozen>},
                                              {"unfrozen_later", make<UnfrozenLater>},
                                              {"zero_size", make<ZeroSize>},
                                              {"scalar", make<Scalar>},
                                              {"branch_per_step", make<BranchPerStep>},
                                              {"branch_per_rank", make<BranchPerRank>},
                                              {"decay_groups", make<Plain>, true, false},
                                              {"mixed_dtypes", make<Mixed>, false, true},
                                              {"lora", make<Lora>, false, true},
                                              {"recomputed", make<Recomputed>},
                                              {"recomputed_twice", make<RecomputedTwice>, false, true}};
  return rows;
}

}  // namespace deepspeed::testing

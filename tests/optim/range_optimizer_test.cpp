// Every optimizer over several steps against torch::optim's classes or the papers' formulas in float64, and what the
// engine relies on: cuts, threads and segments never change a bit.
#include "optim/range_optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <functional>
#include <limits>

#include "deepspeed/error.h"
#include "optim/lamb.h"

namespace deepspeed::optim {
namespace {

constexpr int kSteps = 5;

/// The tensors of a lane, owned; shard() borrows a range of them.
struct Lane {
  Lane(const RangeOptimizer& optimizer, int64_t numel, at::ScalarType gradient_dtype, at::ScalarType compute_dtype)
      : master(at::randn({numel})), gradient(at::zeros({numel}, gradient_dtype)) {
    if (compute_dtype != at::kFloat) compute = at::zeros({numel}, compute_dtype);
    for (const StateSpec& spec : optimizer.state_specs()) state.push_back(at::full({numel}, spec.initial_value));
  }
  Lane(const Lane& other) : master(other.master.clone()), gradient(other.gradient.clone()) {
    if (other.compute.defined()) compute = other.compute.clone();
    for (const at::Tensor& tensor : other.state) state.push_back(tensor.clone());
  }

  LaneShard shard(int64_t begin, int64_t end, std::span<const Segment> segments) const {
    const auto cut = [&](const at::Tensor& tensor) { return tensor.narrow(0, begin, end - begin); };
    LaneShard shard{.master = cut(master), .gradient = cut(gradient), .segments = segments};
    if (compute.defined()) shard.compute = cut(compute);
    for (const at::Tensor& tensor : state) shard.state.push_back(cut(tensor));
    return shard;
  }

  at::Tensor master, gradient, compute;
  std::vector<at::Tensor> state;
};

void expect_equal_lanes(const Lane& a, const Lane& b) {
  EXPECT_TRUE(at::equal(a.master, b.master));
  for (size_t i = 0; i < a.state.size(); ++i) EXPECT_TRUE(at::equal(a.state[i], b.state[i])) << "state " << i;
  if (a.compute.defined()) {
    EXPECT_TRUE(at::equal(a.compute, b.compute));
  }
}

double relative_difference(const at::Tensor& got, const at::Tensor& expected) {
  return ((got.to(at::kDouble) - expected).abs().max() / expected.abs().max()).item<double>();
}

at::Tensor gradient_of_step(int step, int64_t numel) {
  at::manual_seed(static_cast<uint64_t>(100 + step));
  return at::randn({numel});
}

/// An oracle in float64 gets a gradient a step and holds the weights.
using Oracle = std::function<void(at::Tensor& weights, const at::Tensor& gradient, int64_t step)>;

struct Case {
  const char* name;
  const char* type;
  Hyperparameters values;
  std::function<Oracle(const Hyperparameters&)> make_oracle;
};

template <class Optimizer, class Options>
std::function<Oracle(const Hyperparameters&)> torch_oracle(std::function<Options(const Hyperparameters&)> options) {
  return [options](const Hyperparameters& values) -> Oracle {
    auto optimizer = std::make_shared<std::unique_ptr<Optimizer>>();
    return [=](at::Tensor& weights, const at::Tensor& gradient, int64_t) {
      if (!*optimizer) {
        weights.requires_grad_(true);
        *optimizer = std::make_unique<Optimizer>(std::vector<at::Tensor>{weights}, options(values));
      }
      weights.mutable_grad() = values.maximize ? -gradient : gradient.clone();
      (*optimizer)->step();
    };
  };
}

auto torch_adam() {
  return torch_oracle<torch::optim::Adam, torch::optim::AdamOptions>([](const Hyperparameters& h) {
    return torch::optim::AdamOptions(h.lr)
        .betas({h.betas[0], h.betas[1]})
        .eps(h.eps)
        .weight_decay(h.weight_decay)
        .amsgrad(h.amsgrad);
  });
}

auto torch_adamw() {
  return torch_oracle<torch::optim::AdamW, torch::optim::AdamWOptions>([](const Hyperparameters& h) {
    return torch::optim::AdamWOptions(h.lr)
        .betas({h.betas[0], h.betas[1]})
        .eps(h.eps)
        .weight_decay(h.weight_decay)
        .amsgrad(h.amsgrad);
  });
}

auto torch_sgd() {
  return torch_oracle<torch::optim::SGD, torch::optim::SGDOptions>([](const Hyperparameters& h) {
    return torch::optim::SGDOptions(h.lr)
        .momentum(h.momentum)
        .dampening(h.dampening)
        .weight_decay(h.weight_decay)
        .nesterov(h.nesterov);
  });
}

auto torch_adagrad() {
  return torch_oracle<torch::optim::Adagrad, torch::optim::AdagradOptions>([](const Hyperparameters& h) {
    return torch::optim::AdagradOptions(h.lr)
        .lr_decay(h.lr_decay)
        .eps(h.eps)
        .weight_decay(h.weight_decay)
        .initial_accumulator_value(h.initial_accumulator_value);
  });
}

Oracle adam_without_correction(const Hyperparameters& h) {
  auto m = std::make_shared<at::Tensor>();
  auto v = std::make_shared<at::Tensor>();
  return [=](at::Tensor& w, const at::Tensor& g, int64_t step) {
    if (step == 1) *m = at::zeros_like(w), *v = at::zeros_like(w);
    *m = h.betas[0] * *m + (1 - h.betas[0]) * g;
    *v = h.betas[1] * *v + (1 - h.betas[1]) * g * g;
    w = w - h.lr * (*m / (v->sqrt() + h.eps) + h.weight_decay * w);
  };
}

// Algorithm 2 of the Lion paper.
Oracle paper_lion(const Hyperparameters& h) {
  auto m = std::make_shared<at::Tensor>();
  return [=](at::Tensor& w, const at::Tensor& g, int64_t step) {
    if (step == 1) *m = at::zeros_like(w);
    const at::Tensor c = h.betas[0] * *m + (1 - h.betas[0]) * g;
    w = w - h.lr * (c.sign() + h.weight_decay * w);
    *m = h.betas[1] * *m + (1 - h.betas[1]) * g;
  };
}

// Algorithm 2 of the LAMB paper with phi the identity, and DeepSpeed's clamp of the ratio; one parameter.
Oracle paper_lamb(const Hyperparameters& h) {
  auto m = std::make_shared<at::Tensor>();
  auto v = std::make_shared<at::Tensor>();
  return [=](at::Tensor& w, const at::Tensor& g, int64_t step) {
    if (step == 1) *m = at::zeros_like(w), *v = at::zeros_like(w);
    *m = h.betas[0] * *m + (1 - h.betas[0]) * g;
    *v = h.betas[1] * *v + (1 - h.betas[1]) * g * g;
    const at::Tensor m_hat = *m / (1 - std::pow(h.betas[0], step));
    const at::Tensor v_hat = *v / (1 - std::pow(h.betas[1], step));
    const at::Tensor u =
        m_hat / (h.eps_inside_sqrt ? (v_hat + h.eps).sqrt() : v_hat.sqrt() + h.eps) + h.weight_decay * w;
    const double ratio = w.norm().item<double>() / u.norm().item<double>();
    w = w - h.lr * std::min(std::max(ratio, h.min_coeff), h.max_coeff) * u;
  };
}

std::vector<Case> all_cases() {
  const Hyperparameters plain{.lr = 0.01, .weight_decay = 0.1, .betas = {0.9, 0.99}};
  const auto with = [&](auto change) {
    Hyperparameters values = plain;
    change(values);
    return values;
  };
  return {
      {"adamw", "adamw", plain, torch_adamw()},
      {"adam_l2", "adam", with([](auto& h) { h.adam_w_mode = false; }), torch_adam()},
      {"adamw_amsgrad", "adamw", with([](auto& h) { h.amsgrad = true; }), torch_adamw()},
      {"adamw_maximize", "adamw", with([](auto& h) { h.maximize = true; }), torch_adamw()},
      {"adamw_no_correction", "adamw", with([](auto& h) { h.bias_correction = false; }), &adam_without_correction},
      {"sgd", "sgd", with([](auto& h) { h.weight_decay = 0.0; }), torch_sgd()},
      {"sgd_momentum", "sgd", with([](auto& h) { h.momentum = 0.9, h.dampening = 0.3; }), torch_sgd()},
      {"sgd_nesterov", "sgd", with([](auto& h) { h.momentum = 0.9, h.nesterov = true; }), torch_sgd()},
      {"sgd_maximize", "sgd", with([](auto& h) { h.momentum = 0.9, h.maximize = true; }), torch_sgd()},
      {"adagrad", "adagrad", with([](auto& h) { h.lr_decay = 0.1, h.initial_accumulator_value = 0.5; }),
       torch_adagrad()},
      {"lion", "lion", plain, &paper_lion},
      {"lamb", "lamb", plain, &paper_lamb},
      {"lamb_clamped", "lamb", with([](auto& h) { h.max_coeff = 0.5; }), &paper_lamb},
      {"lamb_eps_inside", "lamb", with([](auto& h) { h.eps_inside_sqrt = true, h.eps = 1e-3; }), &paper_lamb},
  };
}

class RangeOptimizerTest : public testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<RangeOptimizer> optimizer_ = make_optimizer(GetParam().type, GetParam().values);
};

TEST_P(RangeOptimizerTest, FollowsItsOracleOverSeveralSteps) {
  for (const auto implementation : {Implementation::kProven, Implementation::kTorch}) {
    SCOPED_TRACE(implementation == Implementation::kTorch ? "LibTorch operations" : "kernels");
    optimizer_->set_implementation(implementation);
    at::manual_seed(1);
    const int64_t numel = 10'007;
    Lane lane(*optimizer_, numel, at::kFloat, at::kFloat);
    at::Tensor weights = lane.master.to(at::kDouble);
    const Oracle oracle = GetParam().make_oracle(GetParam().values);
    const Hyperparameters groups[] = {GetParam().values};
    for (int step = 1; step <= kSteps; ++step) {
      const at::Tensor gradient = gradient_of_step(step, numel);
      lane.gradient.copy_(gradient);
      const Segment segments[] = {{.begin = 0, .end = numel, .step = step}};
      optimizer_->step(lane.shard(0, numel, segments), groups, 1.0);
      oracle(weights, gradient.to(at::kDouble), step);
      EXPECT_LE(relative_difference(lane.master, weights.detach()), 1e-6) << "step " << step;
    }
  }
}

TEST_P(RangeOptimizerTest, GradientScaleMultipliesEveryGradient) {
  at::manual_seed(2);
  Lane scaled(*optimizer_, 5'000, at::kFloat, at::kFloat);
  Lane plain = scaled;
  const Hyperparameters groups[] = {GetParam().values};
  for (int step = 1; step <= 3; ++step) {
    const Segment segments[] = {{.begin = 0, .end = 5'000, .step = step}};
    plain.gradient.copy_(gradient_of_step(step, 5'000));
    scaled.gradient.copy_(plain.gradient * 1024.0);  // a power of two: the same bits afterwards
    optimizer_->step(plain.shard(0, 5'000, segments), groups, 1.0);
    optimizer_->step(scaled.shard(0, 5'000, segments), groups, 1.0 / 1024.0);
  }
  expect_equal_lanes(scaled, plain);
}

TEST_P(RangeOptimizerTest, TheComputeTensorIsTheMasterRounded) {
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    Lane lane(*optimizer_, 3'001, dtype, dtype);
    lane.gradient.copy_(gradient_of_step(1, 3'001));
    const Segment segments[] = {{.begin = 0, .end = 3'001}};
    const Hyperparameters groups[] = {GetParam().values};
    optimizer_->step(lane.shard(0, 3'001, segments), groups, 1.0);
    EXPECT_TRUE(at::equal(lane.compute, lane.master.to(dtype))) << dtype;
    EXPECT_GT(lane.compute.abs().sum().item<float>(), 0.0F);
  }
}

TEST_P(RangeOptimizerTest, ThreadsDoNotChangeABit) {
  at::manual_seed(3);
  const int64_t numel = 500'009;
  Lane one(*optimizer_, numel, at::kBFloat16, at::kBFloat16);
  one.gradient.copy_(gradient_of_step(1, numel));
  Lane two = one;
  const Segment segments[] = {{.begin = 0, .end = 200'003}, {.begin = 200'003, .end = numel, .parameter = 1}};
  const Hyperparameters groups[] = {GetParam().values};
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  optimizer_->step(one.shard(0, numel, segments), groups, 0.5);
  at::set_num_threads(2);
  optimizer_->step(two.shard(0, numel, segments), groups, 0.5);
  at::set_num_threads(threads);
  expect_equal_lanes(one, two);
}

TEST_P(RangeOptimizerTest, OwnedRangesGiveTheBitsOfTheWhole) {
  if (optimizer_->needs() != Needs::kElementwise) GTEST_SKIP() << "needs whole parameters";
  at::manual_seed(4);
  Lane whole(*optimizer_, 1'000, at::kBFloat16, at::kBFloat16);
  Lane parts = whole;
  const Hyperparameters groups[] = {GetParam().values};
  for (int step = 1; step <= 3; ++step) {
    whole.gradient.copy_(gradient_of_step(step, 1'000));
    parts.gradient.copy_(whole.gradient);
    const Segment all[] = {{.begin = 0, .end = 1'000, .step = step}};
    optimizer_->step(whole.shard(0, 1'000, all), groups, 0.3);
    int64_t begin = 0;
    for (const int64_t end : {3, 333, 1'000}) {
      const Segment part[] = {{.begin = 0, .end = end - begin, .step = step}};
      optimizer_->step(parts.shard(begin, end, part), groups, 0.3);
      begin = end;
    }
  }
  expect_equal_lanes(parts, whole);
}

TEST_P(RangeOptimizerTest, SegmentsUseTheirGroupAndStepAndTheRestIsUntouched) {
  at::manual_seed(5);
  Lane together(*optimizer_, 900, at::kFloat, at::kBFloat16);
  together.gradient.copy_(gradient_of_step(1, 900));
  Lane apart = together;
  const Lane before = together;
  Hyperparameters groups[] = {GetParam().values, GetParam().values};
  groups[1].lr *= 7.0;
  groups[1].weight_decay = 0.0;
  // A gap in front, between and behind; two groups at different steps.
  const Segment segments[] = {{.begin = 5, .end = 400, .group = 1, .step = 3},
                              {.begin = 450, .end = 890, .group = 0, .step = 9, .parameter = 1}};
  optimizer_->step(together.shard(0, 900, segments), groups, 1.0);
  const Segment first[] = {{.begin = 0, .end = 395, .step = 3}};
  optimizer_->step(apart.shard(5, 400, first), std::span(&groups[1], 1), 1.0);
  const Segment second[] = {{.begin = 0, .end = 440, .step = 9}};
  optimizer_->step(apart.shard(450, 890, second), std::span(&groups[0], 1), 1.0);
  expect_equal_lanes(together, apart);
  for (const auto& [begin, end] : {std::pair{0, 5}, {400, 450}, {890, 900}}) {
    EXPECT_TRUE(at::equal(together.master.slice(0, begin, end), before.master.slice(0, begin, end)));
    EXPECT_TRUE(at::equal(together.compute.slice(0, begin, end), before.compute.slice(0, begin, end)));
  }
  EXPECT_FALSE(at::equal(together.master.slice(0, 5, 400), before.master.slice(0, 5, 400)));
}

INSTANTIATE_TEST_SUITE_P(All, RangeOptimizerTest, testing::ValuesIn(all_cases()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Lamb, RanksThatShareAParameterAddTheirNorms) {
  at::manual_seed(6);
  const Hyperparameters groups[] = {{.lr = 0.01, .weight_decay = 0.1}};
  const auto optimizer = make_optimizer("lamb", groups[0]);
  const auto& lamb = dynamic_cast<const ParameterNormOptimizer&>(*optimizer);
  Lane whole(lamb, 1'000, at::kFloat, at::kFloat);
  whole.gradient.copy_(gradient_of_step(1, 1'000));
  Lane parts = whole;
  const Segment all[] = {{.begin = 0, .end = 1'000}};
  lamb.step(whole.shard(0, 1'000, all), groups, 1.0);
  std::vector<double> weight_squares(1);
  std::vector<double> update_squares(1);
  const at::Tensor scratch = at::zeros({1'000});
  const std::pair<int64_t, int64_t> ranges[] = {{0, 300}, {300, 1'000}};
  for (const auto& [begin, end] : ranges) {
    const Segment part[] = {{.begin = 0, .end = end - begin}};
    lamb.prepare(parts.shard(begin, end, part), groups, 1.0, scratch.slice(0, begin, end), weight_squares,
                 update_squares);
  }
  for (const auto& [begin, end] : ranges) {
    const Segment part[] = {{.begin = 0, .end = end - begin}};
    lamb.apply(parts.shard(begin, end, part), groups, scratch.slice(0, begin, end), weight_squares, update_squares);
  }
  EXPECT_LE(relative_difference(parts.master, whole.master.to(at::kDouble)), 1e-7);
}

TEST(Lamb, TrustRatioIsClampedAndOneWhereANormIsZero) {
  const Hyperparameters h{.max_coeff = 2.0, .min_coeff = 0.5};
  EXPECT_EQ(lamb_trust_ratio(3.0, 2.0, h), 1.5);
  EXPECT_EQ(lamb_trust_ratio(9.0, 1.0, h), 2.0);
  EXPECT_EQ(lamb_trust_ratio(1.0, 9.0, h), 0.5);
  EXPECT_EQ(lamb_trust_ratio(0.0, 9.0, h), 1.0);
  EXPECT_EQ(lamb_trust_ratio(9.0, 0.0, h), 1.0);
}

TEST(RangeOptimizer, StatesHaveTorchsNames) {
  const auto names = [](std::string_view type, const Hyperparameters& values) {
    std::vector<std::string> result;
    for (const StateSpec& spec : make_optimizer(type, values)->state_specs()) result.push_back(spec.name);
    return result;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names("Adam", {}), (Names{"exp_avg", "exp_avg_sq"}));
  EXPECT_EQ(names("adamw", {.amsgrad = true}), (Names{"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}));
  EXPECT_EQ(names("SGD", {}), Names{});
  EXPECT_EQ(names("sgd", {.momentum = 0.9}), Names{"momentum_buffer"});
  EXPECT_EQ(names("adagrad", {}), Names{"sum"});
  EXPECT_EQ(names("lion", {}), Names{"exp_avg"});
  EXPECT_EQ(names("lamb", {}), (Names{"exp_avg", "exp_avg_sq"}));
  EXPECT_EQ(make_optimizer("adagrad", {.initial_accumulator_value = 0.25})->state_specs()[0].initial_value, 0.25);
}

TEST(RangeOptimizer, AnUnknownTypeIsAnErrorWithTheKnownOnes) {
  try {
    make_optimizer("adafactor", {});
    FAIL() << "expected ConfigError";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("got \"adafactor\", expected adam"), std::string::npos);
  }
}

/// The message of the ValueError or ConfigError that one step raises.
std::string error_of_step(const RangeOptimizer& optimizer, const LaneShard& shard,
                          std::span<const Hyperparameters> groups) {
  try {
    optimizer.step(shard, groups, 1.0);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(RangeOptimizer, TensorsThatDoNotFitAreNamed) {
  const Hyperparameters groups[] = {{}};
  const auto adam = make_optimizer("adam", {});
  const Lane lane(*adam, 10, at::kFloat, at::kBFloat16);
  const Segment segments[] = {{.begin = 0, .end = 10}};
  const LaneShard good = lane.shard(0, 10, segments);
  EXPECT_EQ(error_of_step(*adam, good, groups), "no error");
  const auto error_with = [&](auto change) {
    LaneShard bad = good;
    change(bad);
    return error_of_step(*adam, bad, groups);
  };
  const auto expect_error = [&](auto change, std::string_view text) {
    const std::string error = error_with(change);
    EXPECT_NE(error.find(text), std::string::npos) << error;
  };
  expect_error([](LaneShard& s) { s.gradient = at::zeros({9}); }, "the gradient has shape [9], expected [10]");
  expect_error([](LaneShard& s) { s.gradient = at::Tensor(); }, "the gradient is undefined");
  expect_error([](LaneShard& s) { s.gradient = at::zeros({10}, at::kDouble); }, "the gradient has dtype Double");
  expect_error([](LaneShard& s) { s.master = at::zeros({10}, at::kHalf); }, "expected float32");
  expect_error([](LaneShard& s) { s.compute = at::zeros({10}, at::kDouble); }, "the compute tensor has dtype Double");
  expect_error([](LaneShard& s) { s.state.pop_back(); }, "got 1 state tensors, expected 2");
  const std::vector<std::pair<Segment, std::string_view>> bad_segments = {
      {{.begin = 0, .end = 11}, "segment [0, 11)"},
      {{.begin = 0, .end = 10, .group = 1}, "got group 1, expected 0 to 0"},
      {{.begin = 0, .end = 10, .step = 0}, "got step 0"}};
  for (const auto& [segment, text] : bad_segments) {
    expect_error([&](LaneShard& s) { s.segments = std::span(&segment, 1); }, text);
  }
}

TEST(RangeOptimizer, OptionsThatDecideStatesCannotAppearLater) {
  const Segment segments[] = {{.begin = 0, .end = 4}};
  const auto sgd = make_optimizer("sgd", {});
  const Hyperparameters with_momentum[] = {{.momentum = 0.9}};
  EXPECT_NE(error_of_step(*sgd, Lane(*sgd, 4, at::kFloat, at::kFloat).shard(0, 4, segments), with_momentum)
                .find("momentum: got 0.9"),
            std::string::npos);
  const auto adam = make_optimizer("adam", {});
  const Hyperparameters with_amsgrad[] = {{.amsgrad = true}};
  EXPECT_NE(error_of_step(*adam, Lane(*adam, 4, at::kFloat, at::kFloat).shard(0, 4, segments), with_amsgrad)
                .find("amsgrad: got true"),
            std::string::npos);
}

TEST(RangeOptimizer, AmsgradIsAGroupsOwn) {
  const auto both = make_optimizer("adamw", {.amsgrad = true});
  const auto plain = make_optimizer("adamw", {});
  Lane lane(*both, 64, at::kFloat, at::kFloat);
  const Lane alone = lane;
  Lane without(*plain, 64, at::kFloat, at::kFloat);
  without.master.copy_(lane.master);
  const Hyperparameters groups[] = {{.lr = 0.01, .amsgrad = true}, {.lr = 0.01}};
  for (int step = 1; step <= 3; ++step) {
    const at::Tensor gradient = gradient_of_step(step, 64) / step;  // falling, so that maxima matter
    for (const Lane* each : std::initializer_list<const Lane*>{&lane, &alone, &without}) each->gradient.copy_(gradient);
    const Segment two[] = {{.begin = 0, .end = 32, .group = 0, .step = step},
                           {.begin = 32, .end = 64, .group = 1, .step = step}};
    const Segment one[] = {{.begin = 0, .end = 64, .group = 0, .step = step}};
    both->step(lane.shard(0, 64, two), groups, 1.0);
    both->step(alone.shard(0, 64, one), std::span(groups, 1), 1.0);
    plain->step(without.shard(0, 64, one), std::span(groups + 1, 1), 1.0);
  }
  const auto part = [](const Lane& from, int64_t begin) { return from.master.narrow(0, begin, 32); };
  EXPECT_TRUE(at::equal(part(lane, 0), part(alone, 0)));
  EXPECT_TRUE(at::equal(part(lane, 32), part(without, 32)));
  EXPECT_FALSE(at::equal(part(alone, 32), part(without, 32)));
}

TEST(RangeOptimizer, ANanGradientReachesItsWeightAndNoOther) {
  for (const auto* type : {"adam", "sgd", "adagrad", "lion"}) {
    const auto optimizer = make_optimizer(type, {});
    Lane lane(*optimizer, 40, at::kFloat, at::kFloat);
    lane.gradient[17] = std::numeric_limits<float>::quiet_NaN();
    const Segment segments[] = {{.begin = 0, .end = 40}};
    const Hyperparameters groups[] = {{}};
    optimizer->step(lane.shard(0, 40, segments), groups, 1.0);
    EXPECT_EQ(at::isnan(lane.master).sum().item<int64_t>(), 1) << type;
    EXPECT_TRUE(std::isnan(lane.master[17].item<float>())) << type;
  }
}

}  // namespace
}  // namespace deepspeed::optim

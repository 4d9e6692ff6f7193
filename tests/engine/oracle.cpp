// Comparing the engine with plain LibTorch, step by step. After each comparison the oracle takes over the engine's
// weights, so that every step is judged alone.
#include "engine/oracle.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <set>

#include "deepspeed/engine.h"

namespace deepspeed::testing {
namespace {

constexpr int kSteps = 4;
constexpr int kSamples = 3;
constexpr double kLearningRate = 0.1;
constexpr double kWeightDecay = 0.01;
constexpr double kClipping = 0.05;  // small enough to act
constexpr double kLossScale = 64;

c10::ScalarType compute_type(const OracleSetup& setup) {
  return setup.dtype == "bf16" ? at::kBFloat16 : setup.dtype == "fp16" ? at::kHalf : at::kFloat;
}

at::Tensor input(int step, int micro, int rank) {
  at::manual_seed(1000 * step + 100 * micro + rank + 1);
  return at::randn({kSamples, 8});
}

int group_of(const OracleRow& row, const at::Tensor& parameter) {
  return row.decay_groups && parameter.dim() < 2 ? 1 : 0;
}

std::shared_ptr<OracleModel> make_model(const OracleRow& row) {
  at::manual_seed(7);
  return row.make();
}

double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  if (a.numel() == 0) return 0.0;
  const double scale = b.to(at::kDouble).abs().max().item<double>();
  const double difference = (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
  return scale > 0 ? difference / scale : difference;
}

/// The single-process run. Masters are float32 copies; `model` computes in the run's dtype.
class Oracle {
 public:
  Oracle(const OracleRow& row, const OracleSetup& setup, int world)
      : row_(row), setup_(setup), world_(world), model_(make_model(row)) {
    for (const auto& item : model_->named_parameters()) {
      bool tied = false;
      for (const auto& [name, tensor] : parameters_) tied = tied || tensor.is_same(item.value());
      if (tied) continue;
      parameters_.emplace(item.key(), item.value());
      masters_[item.key()] = item.value().detach().to(at::kFloat).clone();
    }
    if (setup.dtype != "fp32") {
      for (auto& [name, parameter] : parameters_) parameter.set_data(parameter.detach().to(compute_type(setup)));
    }
  }

  void compute_gradients(int step) {
    model_->before_step(step);
    gradients_.clear();
    // What is frozen keeps only its compute dtype, but not before a step went by without it.
    std::set<std::string> frozen;
    for (const auto& [name, parameter] : parameters_) {
      if (parameter.requires_grad()) continue;
      frozen.insert(name);
      if (step == 0 || frozen_.contains(name)) masters_[name] = parameter.detach().to(at::kFloat);
    }
    frozen_ = std::move(frozen);
    const double loss_scale = setup_.dtype == "fp16" ? kLossScale : 1.0;
    for (const auto& [name, parameter] : parameters_) {
      if (parameter.requires_grad()) gradients_[name] = at::zeros_like(masters_[name]);
    }
    for (int rank = 0; rank < world_; ++rank) {
      for (int micro = 0; micro < setup_.accumulation; ++micro) {
        for (auto& [name, parameter] : parameters_) parameter.mutable_grad().reset();
        (model_->forward(input(step, micro, rank), {rank, step}) * loss_scale).backward();
        for (auto& [name, gradient] : gradients_) {
          const at::Tensor& part = parameters_[name].grad();
          if (part.defined()) gradient += part.to(at::kFloat) / loss_scale / setup_.accumulation / world_;
        }
      }
    }
  }

  double norm() const {
    double squares = 0;
    for (const auto& [name, gradient] : gradients_) squares += gradient.to(at::kDouble).pow(2).sum().item<double>();
    return std::sqrt(squares);
  }

  void step() {
    const at::NoGradGuard no_grad;
    const double clip = std::min(1.0, kClipping / (norm() + 1e-6));
    for (auto& [name, gradient] : gradients_) {
      at::Tensor& master = masters_[name];
      const double decay = group_of(row_, parameters_[name]) == 0 ? kWeightDecay : 0.0;
      if (setup_.optimizer == "sgd") {
        master -= kLearningRate * (gradient * clip + decay * master);
      } else {
        adamw(name, gradient * clip, decay);
      }
      parameters_[name].set_data(master.to(parameters_[name].scalar_type()).clone());
    }
  }

  void take_over(const std::string& name, const at::Tensor& master) {
    masters_[name] = master.clone();
    parameters_[name].set_data(master.to(parameters_[name].scalar_type()).clone());
  }

  const std::map<std::string, at::Tensor>& gradients() const { return gradients_; }
  const std::map<std::string, at::Tensor>& masters() const { return masters_; }

 private:
  void adamw(const std::string& name, const at::Tensor& gradient, double decay) {
    auto& [m, v, count] =
        moments_.try_emplace(name, at::zeros_like(gradient), at::zeros_like(gradient), 0).first->second;
    ++count;
    m = 0.9 * m + 0.1 * gradient;
    v = 0.999 * v + 0.001 * gradient * gradient;
    const at::Tensor update = (m / (1 - std::pow(0.9, count))) / ((v / (1 - std::pow(0.999, count))).sqrt() + 1e-8);
    masters_[name] -= kLearningRate * (update + decay * masters_[name]);
  }

  OracleRow row_;
  OracleSetup setup_;
  int world_;
  std::shared_ptr<OracleModel> model_;
  std::map<std::string, at::Tensor> parameters_;
  std::map<std::string, at::Tensor> masters_;
  std::map<std::string, at::Tensor> gradients_;
  std::set<std::string> frozen_;  // in the last step
  std::map<std::string, std::tuple<at::Tensor, at::Tensor, int>> moments_;
};

detail::ModelDescription describe_row(const OracleRow& row, const OracleModel& model) {
  InitializeOptions options;
  options.group_of = [&](const std::string&, const at::Tensor& parameter) { return group_of(row, parameter); };
  options.groups = {{}};
  if (row.decay_groups) options.groups.push_back({{"weight_decay", 0.0}});
  return detail::describe(model, options);
}

class Comparison {
 public:
  Comparison(OracleTrace& trace, double tolerance) : trace_(trace), tolerance_(tolerance) {}
  void check(const std::string& what, int step, const at::Tensor& engine, const at::Tensor& oracle) {
    if (!engine.defined()) {
      trace_.differences.push_back(what + " is undefined in step " + std::to_string(step));
      return;
    }
    const double difference = relative_difference(engine, oracle);
    if (!(difference <= tolerance_)) report(what, step, difference);
  }
  void check(const std::string& what, int step, double engine, double oracle) {
    const double difference = std::abs(engine - oracle) / std::max(1e-30, std::abs(oracle));
    if (!(difference <= tolerance_)) report(what, step, difference);
  }

 private:
  void report(const std::string& what, int step, double difference) {
    trace_.differences.push_back(what + " differs by " + std::to_string(difference * 1e6) + "e-6 in step " +
                                 std::to_string(step));
  }
  OracleTrace& trace_;
  double tolerance_;
};

float run_micro_batches(detail::TrainingEngine& engine, OracleModel& model, const OracleSetup& setup,
                        const Moment& moment) {
  float sum = 0;
  for (int micro = 0; micro < setup.accumulation; ++micro) {
    const bool last = micro + 1 == setup.accumulation;
    if (setup.no_sync && !last) engine.enter_no_sync();
    engine.before_forward(0);
    const at::Tensor loss = model.forward(input(moment.step, micro, moment.rank), moment);
    engine.backward(loss, false, true);
    if (setup.no_sync && !last) engine.exit_no_sync();
    sum += loss.item<float>();
    if (!last) engine.step({});
  }
  return sum;
}

}  // namespace

std::string config_text(const OracleSetup& setup, int world) {
  const std::string precision = setup.dtype == "bf16"   ? R"("bf16": {"enabled": true},)"
                                : setup.dtype == "fp16" ? R"("fp16": {"enabled": true, "loss_scale": 64},)"
                                                        : "";
  const std::string optimizer = setup.optimizer == "sgd" ? "SGD" : "AdamW";
  const std::string wire = setup.wire.empty() ? "" : R"("communication_data_type": ")" + setup.wire + R"(",)";
  const std::string size = std::to_string(setup.bucket);
  const std::string buckets =
      setup.bucket == 0 ? "" : R"(, "reduce_bucket_size": )" + size + R"(, "allgather_bucket_size": )" + size;
  return R"({"train_batch_size": )" + std::to_string(world * setup.accumulation * kSamples) +
         R"(, "gradient_accumulation_steps": )" + std::to_string(setup.accumulation) + R"(, "gradient_clipping": )" +
         std::to_string(kClipping) + ", " + precision + wire + R"( "optimizer": {"type": ")" + optimizer +
         R"(", "params": {"lr": 0.1, "weight_decay": 0.01}},
          "zero_optimization": {"stage": )" +
         std::to_string(setup.stage) + R"(, "overlap_comm": )" + (setup.overlap ? "true" : "false") + buckets +
         R"(, "stage3_param_persistence_threshold": )" + std::to_string(setup.persistence) + "}}";
}

OracleTrace train_beside_oracle(RankContext& context, const OracleRow& row, const OracleSetup& setup, Fault fault) {
  OracleTrace trace;
  const double tolerance = !setup.wire.empty() ? 1e-2 : setup.dtype == "fp32" && !row.mixed_dtypes ? 1e-6 : 1e-5;
  Comparison comparison(trace, tolerance);
  Oracle oracle(row, setup, context.world());
  const auto model = make_model(row);
  if (fault == Fault::kScaledGradient)
    model->parameters().front().register_hook([](const at::Tensor& gradient) { return gradient * 1.5; });
  detail::TrainingEngine engine(describe_row(row, *model), config_text(setup, context.world()), context.shared_group(),
                                context.shared_gather_group());
  for (int step = 0; step < kSteps; ++step) {
    model->before_step(step);
    oracle.compute_gradients(step);
    trace.losses.push_back(run_micro_batches(engine, *model, setup, {context.rank(), step}));
    for (const auto& [name, gradient] : oracle.gradients()) {
      at::Tensor ours = engine.full_gradient(name);
      if (fault == Fault::kReducedTwice && ours.defined()) {
        engine.set_full_gradient(name, ours * context.world());
        ours = engine.full_gradient(name);
      }
      comparison.check("gradient of " + name, step, ours, gradient);
    }
    engine.step({});
    trace.norms.push_back(engine.global_grad_norm().value_or(-1));
    comparison.check("gradient norm", step, trace.norms.back(), oracle.norm());
    oracle.step();
    for (const auto& [name, master] : std::map(oracle.masters())) {
      const at::Tensor ours = engine.full_fp32_parameter(name);
      comparison.check("weight " + name, step, ours, master);
      oracle.take_over(name, ours);
    }
  }
  return trace;
}

}  // namespace deepspeed::testing

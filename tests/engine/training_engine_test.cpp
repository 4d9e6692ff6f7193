// One rank, small models: what the engine promises about gradients, masters, layouts and mistakes.
#include "deepspeed/detail/training_engine.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "deepspeed/deepspeed.h"
#include "support/error_message.h"
#include "support/ranks.h"

namespace deepspeed::testing {
namespace {

namespace nn = torch::nn;
using detail::TrainingEngine;
using test::message_of;

const char* const kSgd = R"({"type": "SGD", "params": {"lr": 0.1}})";
const char* const kAdam = R"({"type": "Adam", "params": {"lr": 0.01}})";

struct Setup {
  int stage = 0;
  int accumulation = 1;
  std::string optimizer = kSgd;  ///< "": none in the config
  std::string more;              ///< further keys, each followed by a comma
};

std::string config_text(const Setup& setup) {
  const std::string steps = std::to_string(setup.accumulation);
  return R"({"train_batch_size": )" + steps + R"(, "gradient_accumulation_steps": )" + steps +
         R"(, "gradient_clipping": 0, )" + setup.more +
         (setup.optimizer.empty() ? "" : R"("optimizer": )" + setup.optimizer + ", ") +
         R"("zero_optimization": {"stage": )" + std::to_string(setup.stage) + "}}";
}

template <class Module>
std::unique_ptr<TrainingEngine> make_engine(const Module& model, const Setup& setup) {
  return std::make_unique<TrainingEngine>(detail::describe(*model, {}), config_text(setup), nullptr);
}

/// Four weights: the gradient of loss(c) is c in each.
struct Line {
  Line() { model->weight.detach().fill_(1.0); }
  at::Tensor loss(TrainingEngine& engine, double factor) {
    engine.before_forward(0);
    return model->forward(at::full({1, 4}, factor, model->weight.options().requires_grad(false))).sum();
  }
  void step(TrainingEngine& engine, double factor) {
    engine.backward(loss(engine, factor), false, true);
    engine.step({});
  }
  at::Tensor& gradient() { return model->weight.mutable_grad(); }
  double value() { return model->weight.detach()[0][0].item<double>(); }

  nn::Linear model{nn::LinearOptions(4, 1).bias(false)};
};

#define EXPECT_MESSAGE(action, part) \
  EXPECT_NE(message_of([&] { action; }).find(part), std::string::npos) << message_of([&] { action; })

// --- gradients -----------------------------------------------------------------------------------------------------

TEST(TrainingEngine, TwoPlainBackwardsWithNoForwardBetweenThemAddUp) {
  for (const int stage : {0, 1, 2}) {
    for (const int accumulation : {1, 2}) {
      Line line;
      const auto engine = make_engine(line.model, {.stage = stage, .accumulation = accumulation});
      for (int step = 0; step < 2; ++step) {
        const at::Tensor first = line.loss(*engine, 1.0);
        const at::Tensor second = line.loss(*engine, 2.0);
        first.backward();
        second.backward();
        engine->set_gradient_accumulation_boundary(true);
        engine->step({});
        EXPECT_DOUBLE_EQ(engine->global_grad_norm().value(), 6.0 / accumulation)
            << "stage " << stage << ", accumulation " << accumulation;
      }
    }
  }
}

TEST(TrainingEngine, AGradientReplacedInMidAccumulationCountsOnce) {
  for (const int stage : {0, 1}) {
    for (const bool plain : {false, true}) {
      Line line;
      const auto engine = make_engine(line.model, {.stage = stage, .accumulation = 2});
      const auto backward = [&](double factor) {
        const at::Tensor loss = line.loss(*engine, factor);
        plain ? loss.backward() : engine->backward(loss, false, true);
        engine->step({});
      };
      backward(1.0);
      ASSERT_TRUE(line.gradient().defined());
      line.gradient() = line.gradient() * 10.0;
      backward(2.0);
      EXPECT_DOUBLE_EQ(engine->global_grad_norm().value(), 2.0 * (10.0 + 2.0) / 2) << stage << plain;
      backward(1.0);
      backward(2.0);
      EXPECT_DOUBLE_EQ(engine->global_grad_norm().value(), 2.0 * (1.0 + 2.0) / 2) << "the next window";
    }
  }
}

TEST(TrainingEngine, AReducedGradientThatIsReplacedBeforeALaterBackwardCountsOnce) {
  Line line;
  const auto engine = make_engine(line.model, {.stage = 0});
  engine->backward(line.loss(*engine, 1.0), false, true);
  line.gradient() = line.gradient() * 10.0;
  engine->backward(line.loss(*engine, 2.0), false, true);
  engine->step({});
  EXPECT_DOUBLE_EQ(engine->global_grad_norm().value(), 2.0 * (10.0 + 2.0));
}

TEST(TrainingEngine, APlainBackwardThatThrewLeavesTheNextOnesRight) {
  for (const int stage : {0, 1, 2}) {
    nn::Sequential model(nn::Linear(4, 4), nn::Linear(4, 1));
    const auto engine = make_engine(model, {.stage = stage});
    at::Tensor first = model->parameters().front();
    const unsigned hook =
        first.register_hook([](const at::Tensor&) -> at::Tensor { throw std::runtime_error("user's hook"); });
    const auto loss = [&] {
      engine->before_forward(0);
      return model->forward(at::ones({1, 4})).sum();
    };
    EXPECT_THROW(loss().backward(), std::runtime_error);
    first.remove_hook(hook);
    for (int step = 0; step < 2; ++step) {
      const at::Tensor before = first.detach().clone();
      loss().backward();
      engine->step({});
      EXPECT_GT(engine->global_grad_norm().value(), 0.0) << "stage " << stage;
      EXPECT_FALSE(at::equal(before, first)) << "stage " << stage;
    }
  }
}

TEST(TrainingEngine, AGradientCanBeSetOnlyOnceItIsReduced) {
  for (const int stage : {0, 1, 2}) {
    Line line;
    const auto engine = make_engine(line.model, {.stage = stage});
    const at::Tensor value = at::full({1, 4}, 2.0);
    EXPECT_MESSAGE(engine->set_full_gradient("weight", value), "weight");
    EXPECT_MESSAGE(engine->set_full_gradient("weight", value), "after the backward");
    engine->backward(line.loss(*engine, 1.0), false, true);
    engine->set_full_gradient("weight", value);
    engine->step({});
    EXPECT_DOUBLE_EQ(engine->global_grad_norm().value(), 4.0);
  }
}

TEST(TrainingEngine, ANormThatNobodyComputedIsAbsent) {
  Line line;
  const auto engine = make_engine(line.model, {.more = R"("bf16": {"enabled": true, "check_grad_overflow": false}, )"});
  line.step(*engine, 1.0);
  EXPECT_FALSE(engine->global_grad_norm().has_value());
}

// --- the order of reductions -----------------------------------------------------------------------------------------

/// Twelve equal blocks; before_forward of block i is that of module i + 1.
struct Blocks {
  Blocks() {
    for (int i = 0; i < 12; ++i) model->push_back(nn::Linear(64, 64));
  }
  void step(TrainingEngine& engine, const std::vector<int>& uses, bool module_events) {
    engine.before_forward(0);
    at::Tensor x = at::ones({1, 64});
    for (const int block : uses) {
      if (module_events) engine.before_forward(block + 1);
      x = model[block]->as<nn::Linear>()->forward(x);
    }
    engine.backward(x.sum(), false, true);
    engine.step({});
  }
  nn::Sequential model;
};

TEST(TrainingEngine, TheOrderOfUseIsLearntSoThatNoSlotIsAdded) {
  Blocks blocks;
  const auto engine = make_engine(blocks.model, {.stage = 2});
  const auto before = engine->memory();
  for (int step = 0; step < 2; ++step) blocks.step(*engine, {11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, true);
  EXPECT_EQ(engine->memory().at("slots"), before.at("slots"));
}

TEST(TrainingEngine, SlotsThatAnUnusedBlockNeededGoAgain) {
  Blocks blocks;
  const auto engine = make_engine(blocks.model, {.stage = 2});
  const auto before = engine->memory();
  const std::vector<int> all_but_last = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  blocks.step(*engine, all_but_last, false);
  EXPECT_GT(engine->memory().at("slots"), before.at("slots")) << "the last block was waited for";
  for (int step = 0; step < 3; ++step) blocks.step(*engine, all_but_last, false);
  EXPECT_EQ(engine->memory().at("slots"), before.at("slots"));
  EXPECT_NEAR(engine->memory().at("total") / engine->memory().at("formula_total"), 1.0, 0.02);
}

// --- layouts, memory, mistakes
// ----------------------------------------------------------------------------------------

TEST(TrainingEngine, MomentsAndStepsOfAnUnfrozenParameterStartTogether) {
  Line line;
  const auto engine = make_engine(line.model, {.optimizer = kAdam});
  for (int step = 0; step < 10; ++step) line.step(*engine, 1.0);
  line.model->weight.set_requires_grad(false);
  engine->before_forward(0);
  engine->step({});
  line.model->weight.set_requires_grad(true);
  const double before = line.value();
  line.step(*engine, 1.0);
  EXPECT_NEAR(before - line.value(), 0.01, 1e-5) << "Adam's first step is lr";
}

/// Two weights of four elements each; the gradient is the factor in both.
struct Pair : nn::Module {
  Pair() {
    left = register_module("left", nn::Linear(nn::LinearOptions(4, 1).bias(false)));
    right = register_module("right", nn::Linear(nn::LinearOptions(4, 1).bias(false)));
    for (at::Tensor& weight : parameters()) weight.detach().fill_(1.0);
  }
  at::Tensor loss(double factor) {
    const at::Tensor x = at::full({1, 4}, factor);
    return left(x).sum() + right(x).sum();
  }
  nn::Linear left{nullptr};
  nn::Linear right{nullptr};
};

void train(TrainingEngine& engine, Pair& pair, double factor) {
  engine.before_forward(0);
  engine.backward(pair.loss(factor), false, true);
  engine.step({});
}

TEST(TrainingEngine, AModelThatIsFrozenWhileAnotherTrainsThroughItComesBackAsItWas) {
  for (const int stage : {0, 2, 3}) {
    const auto plain = std::make_shared<Pair>();
    const auto frozen = std::make_shared<Pair>();
    const auto without = make_engine(plain, {.stage = stage, .optimizer = kAdam});
    const auto with = make_engine(frozen, {.stage = stage, .optimizer = kAdam});
    for (int step = 0; step < 6; ++step) {
      train(*without, *plain, step % 3 + 1.0);
      train(*with, *frozen, step % 3 + 1.0);
      for (at::Tensor& weight : frozen->parameters()) weight.set_requires_grad(false);
      with->before_forward(0);  // the other model's pass, whose backward leaves nothing here
      for (at::Tensor& weight : frozen->parameters()) weight.set_requires_grad(true);
    }
    EXPECT_TRUE(at::equal(plain->left->weight, frozen->left->weight)) << stage;
    EXPECT_TRUE(at::equal(without->full_optimizer_state("left.weight", "exp_avg"),
                          with->full_optimizer_state("left.weight", "exp_avg")));
  }
}

TEST(TrainingEngine, AFrozenParameterRestsInItsFirstStepAndThenGivesItsRoomBack) {
  for (const char* const optimizer : {kAdam, R"({"type": "Lamb", "params": {"lr": 0.01}})"}) {
    const auto pair = std::make_shared<Pair>();
    const auto engine = make_engine(pair, {.optimizer = optimizer});
    for (int step = 0; step < 3; ++step) train(*engine, *pair, 2.0);
    const double states = engine->memory().at("states");
    const at::Tensor right = pair->right->weight.detach().clone();
    pair->right->weight.set_requires_grad(false);
    for (int step = 0; step < 2; ++step) {
      const at::Tensor left = pair->left->weight.detach().clone();
      train(*engine, *pair, 2.0);
      EXPECT_TRUE(at::equal(pair->right->weight, right)) << optimizer << ", step " << step;
      EXPECT_FALSE(at::equal(pair->left->weight, left));
      EXPECT_EQ(engine->memory().at("states") < states, step == 1) << optimizer;
    }
    pair->right->weight.set_requires_grad(true);
    train(*engine, *pair, 2.0);
    EXPECT_FALSE(at::equal(pair->right->weight, right)) << "unfrozen at once";
  }
}

TEST(TrainingEngine, ZeroGradForgetsAStrayBackwardAndKeepsAnAccumulationThatWasCounted) {
  for (const int stage : {0, 1, 2, 3}) {
    Line line;
    const auto engine = make_engine(line.model, {.stage = stage, .accumulation = 2});
    line.loss(*engine, 100.0).backward();  // as another engine's backward does
    engine->zero_grad();
    line.step(*engine, 1.0);
    engine->zero_grad();
    line.step(*engine, 3.0);
    EXPECT_DOUBLE_EQ(engine->global_grad_norm().value(), 4.0) << "stage " << stage;
  }
}

TEST(TrainingEngine, LambsBuffersHaveALineOfTheirOwn) {
  Line line;
  const auto engine = make_engine(line.model, {.optimizer = R"({"type": "Lamb", "params": {"lr": 0.01}})"});
  EXPECT_EQ(engine->memory().at("scratch"), 0.0);
  line.step(*engine, 1.0);
  const auto memory = engine->memory();
  EXPECT_GE(memory.at("scratch"), 16 * 4) << "an update of each element";
  EXPECT_EQ(memory.at("total"), memory.at("parameters") + memory.at("gradients") + memory.at("states") +
                                    memory.at("slots") + memory.at("scratch"));
}

struct ComplexModel : nn::Module {
  ComplexModel() {
    line = register_module("line", nn::Linear(4, 1));
    phase = register_parameter("phase", at::ones({4}, at::kComplexFloat));
  }
  nn::Linear line{nullptr};
  at::Tensor phase;
};

TEST(TrainingEngine, ATrainableComplexParameterIsRefusedByNameAndAFrozenOneStays) {
  const auto model = std::make_shared<ComplexModel>();
  EXPECT_MESSAGE(make_engine(model, {}), "phase is ComplexFloat");
  EXPECT_MESSAGE(make_engine(model, {}), "requires_grad_(False)");
  model->phase.set_requires_grad(false);
  const auto engine = make_engine(model, {});
  EXPECT_EQ(model->phase.scalar_type(), at::kComplexFloat);
  model->phase.set_requires_grad(true);
  EXPECT_MESSAGE(engine->before_forward(0), "phase is ComplexFloat");
}

TEST(TrainingEngine, ASecondEngineOnALiveModelIsAnErrorThatNamesTheParameter) {
  Line line;
  Line other;
  auto engine = make_engine(line.model, {});
  const auto beside = make_engine(other.model, {});
  EXPECT_MESSAGE(make_engine(line.model, {}), "parameter weight");
  EXPECT_MESSAGE(make_engine(line.model, {}), "destroy()");
  line.step(*engine, 1.0);
  EXPECT_DOUBLE_EQ(engine->global_grad_norm().value(), 2.0) << "the refused engine changed nothing";
  engine->destroy();
  engine = make_engine(line.model, {.stage = 1});
  line.step(*engine, 1.0);
  EXPECT_DOUBLE_EQ(engine->global_grad_norm().value(), 2.0);
}

TEST(TrainingEngine, AnInitializeThatFailedLeavesTheModelFree) {
  Line line;
  line.model->to(at::kDouble);
  EXPECT_THROW(make_engine(line.model, {}), NotSupported);
  line.model->to(at::kFloat);
  line.step(*make_engine(line.model, {}), 1.0);
}

TEST(TrainingEngine, ADestroyedEngineSaysSo) {
  Line line;
  const auto engine = make_engine(line.model, {});
  engine->destroy();
  EXPECT_MESSAGE(engine->begin_backward(true), "destroyed");
  EXPECT_MESSAGE(engine->end_backward(), "destroyed");
  EXPECT_MESSAGE(engine->unit_names(), "destroyed");
  EXPECT_MESSAGE(engine->barrier(), "destroyed");
  EXPECT_MESSAGE(engine->refresh_masters(), "destroyed");
}

// --- schedules -------------------------------------------------------------------------------------------------------

const char* const kOneCycle =
    R"("scheduler": {"type": "OneCycle", "params": {"cycle_min_lr": 0.001, "cycle_max_lr": 0.01,
       "cycle_first_step_size": 10, "cycle_min_mom": 0.7, "cycle_max_mom": 0.95}}, )";

TEST(TrainingEngine, AScheduleSetsBetasFromTheStartAndAfterALoad) {
  const std::string folder = "/tmp/ds_schedule_" + std::to_string(::getpid());
  Line scheduled;
  Line plain;
  const auto engine = make_engine(scheduled.model, {.optimizer = kAdam, .more = kOneCycle});
  EXPECT_DOUBLE_EQ(engine->groups()[0].at("beta1"), 0.7);
  const auto other = make_engine(plain.model, {.optimizer = kAdam});  // as Python's: its schedule is not the engine's
  for (int step = 0; step < 3; ++step) {
    scheduled.step(*engine, 1.0);
    plain.step(*other, 1.0);
  }
  const detail::GroupValues expected = engine->groups()[0];
  EXPECT_NE(expected.at("beta1"), 0.7);
  engine->save_checkpoint(folder, "scheduled", "", {}, true, false);
  other->save_checkpoint(folder, "plain", "", {}, true, false);
  for (const char* tag : {"scheduled", "plain"}) {
    Line line;
    const auto loaded = make_engine(line.model, {.optimizer = kAdam, .more = kOneCycle});
    loaded->load_checkpoint(folder, {.tag = tag});
    EXPECT_DOUBLE_EQ(loaded->groups()[0].at("lr"), expected.at("lr")) << tag;
    EXPECT_DOUBLE_EQ(loaded->groups()[0].at("beta1"), expected.at("beta1")) << tag;
  }
  std::filesystem::remove_all(folder);
}

// --- masters ---------------------------------------------------------------------------------------------------------

/// An engine of bf16 weights whose optimizer runs here, or in the kernels.
std::unique_ptr<TrainingEngine> make_bf16_engine(Line& line, int stage, bool external) {
  detail::ModelDescription description = detail::describe(*line.model, {});
  if (external) description.optimizer_type = detail::kExternalOptimizer;
  Setup setup{.stage = stage, .more = R"("bf16": {"enabled": true}, )"};
  if (external) setup.optimizer = "";
  auto engine = std::make_unique<TrainingEngine>(std::move(description), config_text(setup), nullptr);
  if (external) {
    engine->set_external_step([](const std::vector<detail::OwnedParameter>& owned) {
      for (const detail::OwnedParameter& each : owned) each.master.sub_(each.gradient * 0.1);
    });
  }
  return engine;
}

TEST(TrainingEngine, WeightsChangedInPlaceAreKeptOnceTheMastersAreRefreshed) {
  for (const int stage : {0, 1, 2}) {
    for (const bool external : {false, true}) {
      Line line;
      const auto engine = make_bf16_engine(line, stage, external);
      line.step(*engine, 1.0);
      line.model->weight.detach().fill_(5.0);
      engine->refresh_masters();
      line.step(*engine, 1.0);
      EXPECT_NEAR(line.value(), 4.9, 0.02) << "stage " << stage << (external ? ", external" : "");
    }
  }
}

TEST(TrainingEngine, AWholeParameterThatIsSetReachesEveryMaster) {
  for (const bool external : {false, true}) {
    Line line;
    const auto engine = make_bf16_engine(line, 1, external);
    line.step(*engine, 1.0);
    engine->set_full_fp32_parameter("weight", at::full({1, 4}, 5.0));
    line.step(*engine, 1.0);
    EXPECT_NEAR(line.value(), 4.9, 0.02) << (external ? "external" : "kernel");
  }
}

}  // namespace
}  // namespace deepspeed::testing

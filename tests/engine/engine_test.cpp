// The engine's other promises: checkpoints between stages and worlds, memory, errors, gradients for users, overflow.
#include <gtest/gtest.h>
#include <signal.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "deepspeed/deepspeed.h"
#include "engine/oracle.h"

namespace deepspeed::testing {
namespace {

std::shared_ptr<OracleModel> make_plain(int seed) {
  at::manual_seed(seed);
  return oracle_rows().front().make();
}

std::unique_ptr<detail::TrainingEngine> make_engine(RankContext& context, OracleModel& model,
                                                    const OracleSetup& setup) {
  return std::make_unique<detail::TrainingEngine>(detail::describe(model, {}), config_text(setup, context.world()),
                                                  context.new_group(), context.new_group());
}

float train_step(RankContext& context, detail::TrainingEngine& engine, OracleModel& model, int step) {
  at::manual_seed(100 + step);  // the same batch on every rank: worlds of any size follow the same path
  const at::Tensor x = at::randn({3, 8});
  engine.before_forward(0);
  const at::Tensor loss = model.forward(x, {context.rank(), step});
  engine.backward(loss, false, true);
  engine.step({});
  return loss.item<float>();
}

TEST(Checkpoint, LoadsOnAnotherStageAndWorldSizeWithEqualStateAndLosses) {
  const std::string folder = "/tmp/ds_engine_checkpoint_" + std::to_string(::getpid());
  std::filesystem::remove_all(folder);
  const OracleSetup saved{.stage = 2, .dtype = "bf16", .optimizer = "adamw"};
  run_on_ranks(2, [&](RankContext& context) {
    const auto model = make_plain(1);
    const auto engine = make_engine(context, *model, saved);
    for (int step = 0; step < 2; ++step) train_step(context, *engine, *model, step);
    engine->save_checkpoint(folder, "two", R"({"note": "kept"})", {}, true, false);
    std::vector<at::Tensor> values = {engine->full_fp32_parameter("first.weight"),
                                      engine->full_optimizer_state("first.weight", "exp_avg"),
                                      engine->full_optimizer_state("trunk.1.bias", "exp_avg_sq")};
    const float next = train_step(context, *engine, *model, 2);
    if (context.rank() == 0) {
      std::ofstream out(folder + "/expected", std::ios::binary);
      out.write(reinterpret_cast<const char*>(&next), sizeof(next));
      for (const at::Tensor& value : values) out.write(static_cast<const char*>(value.data_ptr()), value.nbytes());
    }
  });
  for (const int world : {1, 2, 4}) {
    for (const int stage : {0, 1, 2, 3}) {
      run_on_ranks(world, [&](RankContext& context) {
        const auto model = make_plain(99);
        OracleSetup setup = saved;
        setup.stage = stage;
        const auto engine = make_engine(context, *model, setup);
        const detail::LoadedCheckpoint loaded = engine->load_checkpoint(folder, {});
        EXPECT_EQ(loaded.tag, "two");
        EXPECT_NE(loaded.client_state.find("kept"), std::string::npos);
        EXPECT_EQ(engine->progress().global_steps, 2);
        std::ifstream in(folder + "/expected", std::ios::binary);
        float next = 0;
        in.read(reinterpret_cast<char*>(&next), sizeof(next));
        for (const at::Tensor& value :
             {engine->full_fp32_parameter("first.weight"), engine->full_optimizer_state("first.weight", "exp_avg"),
              engine->full_optimizer_state("trunk.1.bias", "exp_avg_sq")}) {
          at::Tensor expected = at::empty_like(value);
          in.read(static_cast<char*>(expected.data_ptr()), static_cast<std::streamsize>(expected.nbytes()));
          EXPECT_TRUE(at::equal(value, expected)) << "stage " << stage << ", " << world << " ranks";
        }
        EXPECT_NEAR(train_step(context, *engine, *model, 2), next, 1e-6 * std::abs(next));
      });
    }
  }
  std::filesystem::remove_all(folder);
}

struct WithEmptyTensors : torch::nn::Module {
  explicit WithEmptyTensors(double value) {
    weight = register_parameter("weight", at::full({4}, value));
    at::Tensor empty = register_parameter("empty", at::zeros({0, 4}));
    register_parameter("tied", empty);
    register_buffer("none_yet", at::zeros({0}, at::kLong));
  }
  at::Tensor weight;
};

TEST(Checkpoint, TensorsWithoutElementsComeBack) {
  run_on_ranks(2, [](RankContext& context) {
    for (const char* optimizer : {"adamw", "external"}) {
      const auto make = [&](const WithEmptyTensors& model) {
        detail::ModelDescription description = detail::describe(model, {});
        const bool is_external = std::string(optimizer) == detail::kExternalOptimizer;
        if (is_external) description.optimizer_type = optimizer;
        auto engine = std::make_unique<detail::TrainingEngine>(
            description, config_text({.stage = 2, .optimizer = "adamw"}, context.world()), context.new_group());
        engine->set_external_step([](const auto&) {});
        return engine;
      };
      const std::string folder = context.folder() + "/" + optimizer;
      const WithEmptyTensors model(2.0);
      const auto engine = make(model);
      const std::vector<detail::OwnedState> owned = {{"empty", "moment", at::zeros({0, 4})}};
      engine->save_checkpoint(folder, "t", R"({"x": {"$tensor": "x"}})", {{"x", at::empty({0, 3})}}, true, false,
                              context.rank() == 0 ? owned : std::vector<detail::OwnedState>{});
      const WithEmptyTensors other(3.0);
      const auto resumed = make(other);
      const detail::LoadedCheckpoint loaded = resumed->load_checkpoint(folder, {});
      EXPECT_TRUE(at::equal(other.weight, model.weight));
      EXPECT_EQ(loaded.tensors.at("x").sizes(), (at::IntArrayRef{0, 3}));
      for (const detail::OwnedState& state : loaded.owned_states)
        EXPECT_EQ(state.value.sizes(), (at::IntArrayRef{0, 4}));
      // Rank 0 owns the larger parameter, so rank 1 the empty one.
      const bool is_owner = std::string(optimizer) == detail::kExternalOptimizer && context.rank() == 1;
      EXPECT_EQ(loaded.owned_states.size(), is_owner ? 1u : 0u) << optimizer;
    }
  });
}

TEST(Checkpoint, TheLossScaleIsTakenOverOnlyFromDynamicScalingByDynamicScaling) {
  run_on_ranks(1, [](RankContext& context) {
    const auto make = [&](OracleModel& model, const std::string& precision) {
      const std::string config =
          R"({"train_batch_size": 3, "optimizer": {"type": "SGD", "params": {"lr": 0.1}}, )" + precision + "}";
      return std::make_unique<detail::TrainingEngine>(detail::describe(model, {}), config, nullptr);
    };
    const std::string dynamic = R"("fp16": {"enabled": true, "initial_scale_power": 4, "hysteresis": 1})";
    const auto scale_after_loading = [&](const std::string& saved) {
      const auto model = make_plain(1);
      const auto engine = make(*model, saved);
      engine->before_forward(0);
      engine->backward(model->forward(at::ones({3, 8}), {0, 0}) * std::numeric_limits<float>::infinity(), false, true);
      engine->step({});  // skipped where gradients are checked: halves a dynamic scale
      engine->save_checkpoint(context.folder(), "t", "", {}, true, false);
      const auto other = make_plain(1);
      const auto resumed = make(*other, dynamic);
      resumed->load_checkpoint(context.folder(), {});
      return resumed->loss_scale();
    };
    EXPECT_EQ(scale_after_loading(dynamic), 8);
    EXPECT_EQ(scale_after_loading(R"("bf16": {"enabled": true})"), 16);
    EXPECT_EQ(scale_after_loading(R"("fp16": {"enabled": true, "loss_scale": 64})"), 16);
  });
}

TEST(Checkpoint, GradientsThatWaitForAStepRefuseASaveOnAllRanks) {
  run_on_ranks(2, [](RankContext& context) {
    const auto model = make_plain(1);
    const auto engine = make_engine(context, *model, {.stage = 1, .accumulation = 2});
    const auto message_of_save = [&](const std::string& tag) -> std::string {
      try {
        engine->save_checkpoint(context.folder(), tag, "", {}, true, false);
      } catch (const CheckpointError& error) {
        return error.what();
      }
      return "";
    };
    const auto backward = [&](bool plain) {
      engine->before_forward(0);
      const at::Tensor loss = model->forward(at::ones({3, 8}), {context.rank(), 0});
      plain ? loss.backward() : engine->backward(loss, false, true);
    };
    EXPECT_EQ(message_of_save("begin"), "");
    for (const bool plain : {false, true}) {
      backward(plain);
      EXPECT_NE(message_of_save("no").find("after step() at an accumulation boundary"), std::string::npos);
      engine->step({});
      EXPECT_NE(message_of_save("no"), "") << "in the middle of an accumulation";
      backward(plain);
      EXPECT_NE(message_of_save("no"), "") << "all micro-batches, but no step";
      engine->step({});
      EXPECT_EQ(message_of_save("boundary"), "");
    }
    EXPECT_FALSE(std::filesystem::exists(context.folder() + "/no"));
    backward(false);
    engine->load_checkpoint(context.folder(), {});
    EXPECT_EQ(message_of_save("loaded"), "") << "a load drops what was accumulated";
    if (context.rank() == 1) backward(false);  // the first of two: stays on this rank
    EXPECT_NE(message_of_save("no").find("rank 1: "), std::string::npos) << "on every rank";
  });
}

struct WithLateBuffer : torch::nn::Module {
  WithLateBuffer() { weight = register_parameter("weight", at::ones({4})); }
  at::Tensor forward() {
    if (!seen.defined()) seen = register_buffer("seen", at::zeros({}, at::kLong));
    seen.add_(1);
    return weight.sum();
  }
  at::Tensor weight;
  at::Tensor seen;
};

TEST(Checkpoint, BuffersAreThoseThatTheModuleHasAtTheTime) {
  const std::string folder = "/tmp/ds_engine_buffers_" + std::to_string(::getpid());
  const std::string config = R"({"train_batch_size": 1, "optimizer": {"type": "SGD", "params": {"lr": 0.1}}})";
  run_on_ranks(1, [&](RankContext&) {
    const auto model = std::make_shared<WithLateBuffer>();
    const auto engine = initialize(model, config);
    for (int step = 0; step < 3; ++step) engine->forward();
    engine->save_checkpoint(folder);
    const auto other = std::make_shared<WithLateBuffer>();
    const auto resumed = initialize(other, config);
    resumed->forward();
    resumed->load_checkpoint(folder);
    EXPECT_EQ(other->seen.item<int64_t>(), 3);
  });
  std::filesystem::remove_all(folder);
}

TEST(Checkpoint, EachRankGetsItsOwnStateBackWhereAsManyRanksLoad) {
  const std::string folder = "/tmp/ds_engine_ranks_" + std::to_string(::getpid());
  run_on_ranks(2, [&](RankContext& context) {
    const auto model = make_plain(1);
    const auto engine = make_engine(context, *model, {.stage = 1});
    const std::string name = "rank" + std::to_string(context.rank());
    const detail::RankState state{R"({"generator": {"$tensor": ")" + name + R"("}})",
                                  {{name, at::full({2}, context.rank())}}};
    engine->save_checkpoint(folder, "t", "", {}, true, false, {}, state);
    const detail::LoadedCheckpoint loaded = engine->load_checkpoint(folder, {});
    EXPECT_EQ(loaded.world, 2);
    EXPECT_EQ(loaded.rank_state.tensors.size(), 1u);
    EXPECT_TRUE(at::equal(loaded.rank_state.tensors.at(name), at::full({2}, context.rank())));
    engine->save_checkpoint(folder, "without", "", {}, false, false);
    EXPECT_EQ(engine->load_checkpoint(folder, {.tag = "without"}).rank_state.json, "");
  });
  run_on_ranks(1, [&](RankContext& context) {
    const auto model = make_plain(1);
    const auto engine = make_engine(context, *model, {.stage = 1});
    const detail::LoadedCheckpoint loaded = engine->load_checkpoint(folder, {});
    EXPECT_EQ(loaded.world, 2);
    EXPECT_EQ(loaded.rank_state.json, "");
  });
  std::filesystem::remove_all(folder);
}

TEST(Checkpoint, MissingOrForeignCheckpointsAreNamed) {
  run_on_ranks(2, [](RankContext& context) {
    const auto model = make_plain(1);
    const auto engine = make_engine(context, *model, {.stage = 1});
    try {
      engine->load_checkpoint("/tmp/no_such_checkpoint", {});
      ADD_FAILURE() << "expected CheckpointError";
    } catch (const CheckpointError& error) {
      EXPECT_NE(std::string(error.what()).find("/tmp/no_such_checkpoint"), std::string::npos);
    }
    engine->save_checkpoint(context.folder() + "/ck", "a", "", {}, true, false);
    at::manual_seed(1);
    const auto other = oracle_rows()[3].make();  // has parameters that were not saved
    const auto second = make_engine(context, *other, {.stage = 1});
    try {
      second->load_checkpoint(context.folder() + "/ck", {});
      ADD_FAILURE() << "expected CheckpointError";
    } catch (const CheckpointError& error) {
      EXPECT_NE(std::string(error.what()).find("never.weight"), std::string::npos) << error.what();
    }
  });
}

TEST(Engine, HeldBytesAreTheFormulaWithinTwoPercent) {
  run_on_ranks(2, [](RankContext& context) {
    for (const char* dtype : {"fp32", "bf16"}) {
      for (const int stage : {0, 1, 2, 3}) {
        torch::nn::Sequential model;
        for (int layer = 0; layer < 6; ++layer) model->push_back(torch::nn::Linear(256, 256));
        detail::TrainingEngine engine(
            detail::describe(*model, {}),
            config_text({.stage = stage, .dtype = dtype, .optimizer = "adamw"}, context.world()), context.new_group(),
            context.new_group());
        const auto memory = engine.memory();
        EXPECT_NEAR(memory.at("total") / memory.at("formula_total"), 1.0, 0.02) << dtype << ", stage " << stage;
        EXPECT_EQ(engine.unit_names().size(), 6u);
      }
    }
  });
}

TEST(Engine, OverflowSkipsTheStepOnAllRanksAndNamesTheParameter) {
  run_on_ranks(2, [](RankContext& context) {
    for (const int stage : {0, 1, 2, 3}) {
      const auto model = make_plain(1);
      const auto engine = make_engine(context, *model, {.stage = stage, .dtype = "fp16"});
      const at::Tensor before = engine->full_fp32_parameter("first.weight");
      engine->before_forward(0);
      at::Tensor loss = model->forward(at::ones({3, 8}), {context.rank(), 0});
      if (context.rank() == 1) loss = loss * std::numeric_limits<float>::infinity();
      engine->backward(loss, false, true);
      const detail::StepOutcome outcome = engine->step({});
      EXPECT_TRUE(outcome.at_boundary);
      EXPECT_FALSE(outcome.applied);
      EXPECT_EQ(engine->progress().skipped_steps, 1);
      EXPECT_TRUE(at::equal(before, engine->full_fp32_parameter("first.weight")));
      train_step(context, *engine, *model, 1);
      EXPECT_FALSE(at::equal(before, engine->full_fp32_parameter("first.weight"))) << "stage " << stage;
    }
  });
}

TEST(Engine, MastersFollowWeightsWrittenInPlaceAtEveryStage) {
  run_on_ranks(2, [](RankContext& context) {
    for (const int stage : {0, 1, 2, 3}) {
      const auto model = make_plain(1);
      const auto engine = make_engine(context, *model, {.stage = stage, .dtype = "bf16"});
      {
        const at::NoGradGuard no_grad;
        model->named_parameters()["first.weight"].fill_(0.5);
      }
      engine->refresh_masters();
      EXPECT_EQ(engine->full_fp32_parameter("first.weight").min().item<float>(), 0.5F) << "stage " << stage;
      EXPECT_EQ(engine->full_fp32_parameter("first.weight").max().item<float>(), 0.5F) << "stage " << stage;
    }
  });
}

TEST(Engine, UsersSeeGradientsWhereTheStageKeepsThemAndMayReplaceThem) {
  run_on_ranks(2, [](RankContext& context) {
    for (const int stage : {0, 1, 2, 3}) {
      const auto model = make_plain(1);
      const auto engine = make_engine(context, *model, {.stage = stage});
      engine->before_forward(0);
      engine->backward(model->forward(at::ones({3, 8}) * (context.rank() + 1), {context.rank(), 0}), false, true);
      at::Tensor parameter = model->named_parameters()["first.weight"];
      EXPECT_EQ(parameter.grad().defined(), stage == 0);
      const at::Tensor whole = engine->full_gradient("first.weight");
      if (stage == 0) {
        EXPECT_TRUE(at::equal(parameter.grad(), whole));
      }
      for (auto& item : model->named_parameters()) item.value().mutable_grad() = at::zeros_like(item.value());
      parameter.mutable_grad() = at::full_like(parameter, 1e-3);
      engine->step({});
      EXPECT_NEAR(engine->global_grad_norm().value(), 1e-3 * std::sqrt(96.0), 1e-8);
    }
  });
}

TEST(Engine, PlainBackwardOfALossTrainsLikeTheEngines) {
  run_on_ranks(2, [](RankContext& context) {
    for (const int stage : {0, 1, 2, 3}) {
      std::vector<at::Tensor> weights;
      for (const bool plain : {false, true}) {
        const auto model = make_plain(1);
        const auto engine = make_engine(context, *model, {.stage = stage});
        for (int step = 0; step < 3; ++step) {
          engine->before_forward(0);
          const at::Tensor loss = model->forward(at::ones({3, 8}) * (context.rank() + step), {context.rank(), step});
          plain ? loss.backward() : engine->backward(loss, false, true);
          engine->step({});
        }
        weights.push_back(engine->full_fp32_parameter("first.weight"));
      }
      EXPECT_TRUE(at::equal(weights[0], weights[1])) << "stage " << stage;
    }
  });
}

TEST(Engine, TwoBackwardsBeforeTheStepAddUp) {
  run_on_ranks(2, [](RankContext& context) {
    for (const int stage : {0, 1, 2, 3}) {
      const auto model = make_plain(1);
      const auto engine = make_engine(context, *model, {.stage = stage});
      const auto loss = [&](double factor) { return model->forward(at::ones({3, 8}) * factor, {context.rank(), 0}); };
      engine->before_forward(0);
      engine->backward(loss(1.0), false, true);
      const at::Tensor one = engine->full_gradient("trunk.0.weight");
      engine->backward(loss(1.0), false, true);
      const at::Tensor two = engine->full_gradient("trunk.0.weight");
      EXPECT_TRUE(at::allclose(two, one * 2, 1e-6)) << "stage " << stage;
      engine->step({});
    }
  });
}

TEST(Engine, AfterABackwardThatThrewTrainingGoesOn) {
  run_on_ranks(2, [](RankContext& context) {
    for (const int stage : {0, 1, 2, 3}) {
      std::vector<at::Tensor> weights;
      for (const bool throws : {false, true}) {
        const auto model = make_plain(1);
        const auto engine = make_engine(context, *model, {.stage = stage});
        if (throws) {
          at::Tensor first = model->named_parameters()["first.weight"];
          const unsigned hook = first.register_hook(
              [](const at::Tensor& gradient) -> at::Tensor { throw std::runtime_error("user's hook"); });
          engine->before_forward(0);
          EXPECT_THROW(engine->backward(model->forward(at::ones({3, 8}), {context.rank(), 0}), false, true),
                       std::runtime_error);
          first.remove_hook(hook);
        }
        train_step(context, *engine, *model, 0);
        weights.push_back(engine->full_fp32_parameter("first.weight"));
      }
      EXPECT_TRUE(at::equal(weights[0], weights[1])) << "stage " << stage;
    }
  });
}

// A rank that dies in the middle of a step ends the others' waiting with an error, within seconds.
TEST(Engine, ADeadRankIsAnErrorWithinSeconds) {
  run_on_ranks(2, [](RankContext& context) {
    const auto model = make_plain(1);
    const auto engine = make_engine(context, *model, {.stage = 2});
    train_step(context, *engine, *model, 0);
    if (context.rank() == 1) ::_exit(0);
    const auto begin = std::chrono::steady_clock::now();
    try {
      for (int step = 1; step < 3; ++step) train_step(context, *engine, *model, step);
      ADD_FAILURE() << "expected CommError";
    } catch (const CommError& error) {
      EXPECT_NE(std::string(error.what()).find("rank 0 of 2"), std::string::npos) << error.what();
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  });
}

TEST(Engine, MistakesAreNamed) {
  run_on_ranks(1, [](RankContext& context) {
    const auto model = make_plain(1);
    const auto message = [](const auto& action) -> std::string {
      try {
        action();
      } catch (const Error& error) {
        return error.what();
      }
      return "no error";
    };
    const std::string typo = R"({"train_batch_size": 1, "zero_optimisation": {"stage": 1}})";
    EXPECT_NE(
        message([&] { detail::TrainingEngine(detail::describe(*model, {}), typo, {}); }).find("zero_optimization"),
        std::string::npos);
    const std::string later = R"({"train_batch_size": 1, "zero_optimization": {"stage": 2, "zenflow": {}}})";
    EXPECT_NE(message([&] { detail::TrainingEngine(detail::describe(*model, {}), later, {}); }).find("zenflow"),
              std::string::npos);
    const auto engine = make_engine(context, *model, {.stage = 1});
    EXPECT_NE(message([&] {
                engine->backward(at::ones({2}, at::TensorOptions().requires_grad(true)), false, true);
              }).find("scalar"),
              std::string::npos);
    EXPECT_NE(message([&] { engine->backward(at::ones({}), false, true); }).find("require"), std::string::npos);
    engine->destroy();
    EXPECT_NE(message([&] { engine->step({}); }).find("destroyed"), std::string::npos);
    for (const auto& parameter : model->parameters()) EXPECT_TRUE(parameter.sum().isfinite().item<bool>());
  });
}

}  // namespace
}  // namespace deepspeed::testing

// Pretrained weights into ordinary modules and into engines of every stage.
#include "deepspeed/pretrained.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "deepspeed/deepspeed.h"
#include "io/safetensors_writer.h"
#include "support/error_message.h"
#include "support/ranks.h"

namespace deepspeed::testing {
namespace {

namespace fs = std::filesystem;
namespace nn = torch::nn;
using test::message_of;

struct SharedHead final : nn::Module {
  explicit SharedHead(const at::Tensor& shared) { weight = register_parameter("weight", shared); }
  at::Tensor weight;
};

/// An embedding tied to the head, a block, a buffer.
struct Model final : nn::Module {
  Model() {
    embed = register_module("embed", nn::Embedding(13, 6));
    block = register_module("block", nn::Linear(6, 6));
    head = register_module("head", std::make_shared<SharedHead>(embed->weight));
    calls = register_buffer("calls", at::zeros({3}, at::kLong));
  }
  at::Tensor forward(const at::Tensor& tokens) {
    const at::Tensor hidden = at::tanh(block->forward(embed->forward(tokens)));
    return at::cross_entropy_loss(at::linear(hidden, head->weight), tokens);
  }
  nn::Embedding embed{nullptr};
  nn::Linear block{nullptr};
  std::shared_ptr<SharedHead> head;
  at::Tensor calls;
};

using Tensors = std::map<std::string, at::Tensor>;

/// What the files hold; the tied weight under its second name.
Tensors pretrained(const std::string& prefix = "") {
  at::manual_seed(7);
  return {{prefix + "head.weight", at::randn({13, 6})},
          {prefix + "block.weight", at::randn({6, 6})},
          {prefix + "block.bias", at::randn({6})},
          {prefix + "calls", at::tensor({4, 5, 6}, at::kLong)}};
}

std::string save(const std::string& folder, const Tensors& tensors) {
  fs::create_directories(folder);
  std::vector<io::TensorDeclaration> declared;
  for (const auto& [key, value] : tensors) {
    const bool is_float = value.scalar_type() == at::kFloat;
    const io::ElementType type = is_float                           ? io::ElementType::kFloat32
                                 : value.scalar_type() == at::kLong ? io::ElementType::kInt64
                                                                    : io::ElementType::kBFloat16;
    declared.push_back({key, type, value.sizes().vec()});
  }
  io::SafetensorsWriter writer(fs::path(folder) / "model.safetensors", declared);
  size_t index = 0;
  for (const auto& [key, value] : tensors) writer.write(index++, value.contiguous().data_ptr());
  writer.commit();
  return folder;
}

std::string config_text(int stage, const std::string& more = "") {
  return R"({"train_micro_batch_size_per_gpu": 1, "optimizer": {"type": "AdamW", "params": {"lr": 0.01}}, )" + more +
         R"("zero_optimization": {"stage": )" + std::to_string(stage) +
         R"(, "stage3_param_persistence_threshold": 0}})";
}

std::unique_ptr<detail::TrainingEngine> make_engine(RankContext& context, const Model& model,
                                                    const std::string& config) {
  return std::make_unique<detail::TrainingEngine>(detail::describe(model, {}), config, context.new_group(),
                                                  context.new_group());
}

double train(detail::TrainingEngine& engine, Model& model, int steps) {
  double loss_value = 0;
  for (int step = 0; step < steps; ++step) {
    engine.before_forward(0);
    const at::Tensor loss = model.forward(at::arange(step, step + 4));
    loss_value = loss.item<double>();
    engine.backward(loss, false, true);
    engine.step({});
  }
  return loss_value;
}

TEST(LoadPretrained, AnOrdinaryModuleGetsItsParametersTiedOnesAndBuffers) {
  run_on_ranks(1, [](RankContext& context) {
    for (const std::string prefix : {"", "model."}) {
      Model model;
      const Tensors expected = pretrained();
      const LoadedPretrained loaded =
          load_pretrained(model, save(context.folder() + "/" + prefix + "m", pretrained(prefix)));
      EXPECT_TRUE(loaded.missing.empty() && loaded.unexpected.empty());
      EXPECT_TRUE(at::equal(model.embed->weight, expected.at("head.weight")));
      EXPECT_TRUE(model.head->weight.is_same(model.embed->weight));
      EXPECT_TRUE(at::equal(model.block->bias, expected.at("block.bias")));
      EXPECT_TRUE(at::equal(model.calls, expected.at("calls")));
    }
  });
}

TEST(LoadPretrained, AnEngineOfEveryStageTrainsOnAsIfTheModuleHadBeenLoadedBefore) {
  run_on_ranks(2, [](RankContext& context) {
    const std::string folder = context.folder() + "/pretrained";
    if (context.rank() == 0) save(folder, pretrained());
    context.shared_group()->barrier()->wait();
    for (const std::string more : {"", R"("bf16": {"enabled": true}, )"}) {
      for (const int stage : {0, 1, 2, 3}) {
        Model before;
        load_pretrained(before, folder);
        const auto expected = make_engine(context, before, config_text(stage, more));
        Model model;
        const auto engine = make_engine(context, model, config_text(stage, more));
        engine->load_pretrained(folder, {});
        for (const std::string name : {"embed.weight", "block.weight", "block.bias"}) {
          EXPECT_TRUE(at::equal(engine->full_fp32_parameter(name), expected->full_fp32_parameter(name)))
              << name << " at stage " << stage << more;
        }
        EXPECT_TRUE(at::equal(model.calls, before.calls));
        EXPECT_EQ(train(*engine, model, 3), train(*expected, before, 3)) << "stage " << stage << more;
        engine->destroy();
        expected->destroy();
      }
    }
  });
}

TEST(LoadPretrained, EachRankReadsItsShareOfTheBytesAtEveryStage) {
  run_on_ranks(4, [](RankContext& context) {
    const std::string folder = context.folder() + "/pretrained";
    at::manual_seed(7);
    Tensors tensors = {{"weight", at::randn({400, 300})}, {"bias", at::randn({400})}};
    if (context.rank() == 0) save(folder, tensors);
    context.shared_group()->barrier()->wait();
    for (const int stage : {0, 2, 3}) {
      nn::Linear model(300, 400);
      detail::TrainingEngine engine(detail::describe(*model, {}), config_text(stage), context.new_group(),
                                    context.new_group());
      const int64_t bytes = engine.load_pretrained(folder, {}).bytes_read;
      EXPECT_GT(bytes, 400 * 301);  // a fourth of 4 bytes each
      EXPECT_LT(bytes, 400 * 301 * 1.01 + 500) << "stage " << stage;
      EXPECT_TRUE(at::equal(engine.full_fp32_parameter("weight"), tensors.at("weight")));
      engine.destroy();
    }
  });
}

TEST(LoadPretrained, ValuesThatWereGatheredOrWrittenBeforeAreGone) {
  run_on_ranks(2, [](RankContext& context) {
    const std::string folder = context.folder() + "/pretrained";
    if (context.rank() == 0) save(folder, pretrained());
    context.shared_group()->barrier()->wait();
    Model model;
    const auto engine = make_engine(context, model, config_text(3));
    {
      const at::NoGradGuard no_grad;
      model.block->weight.fill_(3.0);  // gathered and written, not in the shards yet
    }
    engine->load_pretrained(folder, {});
    EXPECT_TRUE(at::equal(model.block->weight.clone(), pretrained().at("block.weight")));
    engine->destroy();
  });
}

TEST(LoadPretrained, WhatIsMissingOrDoesNotFitIsNamed) {
  run_on_ranks(1, [](RankContext& context) {
    Model model;
    Tensors tensors = pretrained();
    tensors.erase("block.bias");
    tensors["block.biass"] = at::zeros({6});
    const std::string folder = save(context.folder() + "/lacks", tensors);
    const std::string missing = message_of([&] { load_pretrained(model, folder); });
    for (const char* part : {"block.bias ", "block.biass", "model.safetensors", "allow_missing"})
      EXPECT_NE(missing.find(part), std::string::npos) << part << " in " << missing;
    const at::Tensor bias = model.block->bias.detach().clone();
    const LoadedPretrained loaded = load_pretrained(model, folder, {.allow_missing = true});
    EXPECT_EQ(loaded.missing, std::vector<std::string>{"block.bias"});
    EXPECT_EQ(loaded.unexpected, std::vector<std::string>{"block.biass"});
    EXPECT_TRUE(at::equal(model.block->bias, bias));
    EXPECT_TRUE(at::equal(model.block->weight, tensors.at("block.weight")));
    tensors["block.bias"] = at::zeros({7});
    const std::string shape = message_of([&] { load_pretrained(model, save(context.folder() + "/shape", tensors)); });
    EXPECT_NE(shape.find("[7]"), std::string::npos) << shape;
  });
}

TEST(LoadPretrained, AFileThatOneRankCannotReadIsAnErrorOnAll) {
  run_on_ranks(2, [](RankContext& context) {
    const std::string folder = context.folder() + "/of" + std::to_string(context.rank());
    if (context.rank() == 0) save(folder, pretrained());
    Model model;
    const auto engine = make_engine(context, model, config_text(3));
    const std::string message = message_of([&] { engine->load_pretrained(folder, {}); });
    EXPECT_NE(message.find("rank 1"), std::string::npos) << message;
    EXPECT_NE(message.find("of1"), std::string::npos) << message;
    engine->destroy();
  });
}

TEST(LoadPretrained, Bfloat16FilesBecomeFloat32Exactly) {
  run_on_ranks(2, [](RankContext& context) {
    const std::string folder = context.folder() + "/half";
    Tensors tensors = pretrained();
    for (auto& [key, value] : tensors) {
      if (value.is_floating_point()) value = value.to(at::kBFloat16);
    }
    if (context.rank() == 0) save(folder, tensors);
    context.shared_group()->barrier()->wait();
    Model model;
    const auto engine = make_engine(context, model, config_text(2));
    engine->load_pretrained(folder, {});
    EXPECT_TRUE(at::equal(model.block->weight, tensors.at("block.weight").to(at::kFloat)));
    engine->destroy();
  });
}

/// A line of /proc/self/status, in MiB.
int64_t status_mib(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stoll(line.substr(field.size() + 1)) / 1024;
  }
  return 0;
}

TEST(LoadPretrained, AModuleBuiltWithoutWeightsNeedsItsShardAndAFewUnits) {
  run_on_ranks(2, [](RankContext& context) {
    constexpr int kUnits = 8;
    constexpr int64_t kWidth = 2048;  // 16 MiB a unit
    const std::string folder = context.folder() + "/large";
    if (context.rank() == 0) {
      Tensors tensors;
      for (int unit = 0; unit < kUnits; ++unit)
        tensors[std::to_string(unit) + ".weight"] = at::full({kWidth, kWidth}, static_cast<double>(unit));
      save(folder, tensors);
    }
    context.shared_group()->barrier()->wait();
    const int64_t before = status_mib("VmRSS");
    std::ofstream("/proc/self/clear_refs") << "5";  // the peak starts anew
    nn::Sequential model;
    {
      const SkipInit skip;
      for (int unit = 0; unit < kUnits; ++unit)
        model->push_back(nn::Linear(nn::LinearOptions(kWidth, kWidth).bias(false)));
    }
    detail::TrainingEngine engine(detail::describe(*model, {}),
                                  R"({"train_micro_batch_size_per_gpu": 1, "zero_optimization": {"stage": 3}})",
                                  context.new_group(), context.new_group());
    engine.load_pretrained(folder, {});
    constexpr int64_t kUnitMib = kWidth * kWidth * 4 / 1024 / 1024;
    const int64_t shard = kUnits * kUnitMib / 2;
    EXPECT_LT(status_mib("VmHWM") - before, shard + 5 * kUnitMib) << "two slots, and three units on their way";
    const at::NoGradGuard no_grad;
    for (int unit = 0; unit < kUnits; ++unit)
      EXPECT_EQ(model[unit]->as<nn::Linear>()->weight.mean().item<double>(), unit);
    engine.destroy();
  });
}

}  // namespace
}  // namespace deepspeed::testing

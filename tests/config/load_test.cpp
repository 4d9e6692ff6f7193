#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "config/batch.h"
#include "config/effective.h"
#include "config/known_keys.h"
#include "config/reader.h"
#include "config/value.h"
#include "deepspeed/error.h"
#include "support/scratch_folder.h"

namespace deepspeed::config {
namespace {

using nlohmann::json;

Config load(std::string_view text) { return load_config(text, "test.json"); }

std::string load_error(std::string_view text) {
  try {
    load(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << part << " in:\n" << text;
}

std::string all_warnings(const Config& config) {
  std::string text;
  for (const auto& warning : config.warnings) text += warning + "\n";
  return text;
}

constexpr const char* kGuideSmall = R"({
   "train_batch_size": 32,
   "gradient_accumulation_steps": 1,
   "optimizer": {"type": "AdamW", "params": {"lr": 0.001}},
   "fp16": {"enabled": true},
   "zero_optimization": {"stage": 2}
})";

constexpr const char* kGuideLarge = R"({
  "train_batch_size": 32,
  "gradient_accumulation_steps": 1,
  "optimizer": {
    "type": "AdamW",
    "params": {
      "lr": 0.00015,
      "weight_decay": 0.01
    }
  },
  "fp16": {
    "enabled": true,
    "loss_scale": 0,
    "loss_scale_window": 1000,
    "hysteresis": 2,
    "min_loss_scale": 1
  },
  "zero_optimization": {
    "stage": 2,  // Use stage 2 or stage 3 depending on your GPU memory availability
    "allgather_partitions": true,
    "overlap_comm": true,
    "reduce_scatter": true
  }
})";

TEST(Load, TheGuidesConfigsLoadWithoutAWarning) {
  for (const char* text : {kGuideSmall, kGuideLarge}) {
    Config config = load(text);
    EXPECT_EQ(all_warnings(config), "");
    EXPECT_EQ(config.zero_optimization.stage, 2);
    EXPECT_TRUE(config.fp16.enabled);
    EXPECT_EQ(config.optimizer->type, "adamw");
    EXPECT_EQ(config.gradient_clipping, 1.0);
    resolve_batch(config, 2);
    EXPECT_EQ(config.train_micro_batch_size_per_gpu, 16);
  }
  EXPECT_EQ(load(kGuideLarge).optimizer->params, json::parse(R"({"lr": 0.00015, "weight_decay": 0.01})"));
  EXPECT_EQ(load(kGuideLarge).zero_optimization.overlap_comm, true);
}

TEST(Load, ValuesAreConvertedAsDeepSpeedDoes) {
  const Config config = load(R"({
    "train_batch_size": 8.0, "steps_per_print": Infinity, "gradient_clipping": "0.5", "wall_clock_breakdown": "no",
    "communication_data_type": "FP16", "gradient_allreduce_op": "SUM",
    "zero_optimization": {"stage": "2", "reduce_bucket_size": 5e8, "overlap_comm": 1, "contiguous_gradients": "yes",
                          "stage3_model_persistence_threshold": 9223372036854775807},
    "optimizer": {"type": "Adam", "params": {"lr": "3e-5", "bias_correction": 1, "betas": [0.9, "0.95"]}}})");
  EXPECT_EQ(config.train_batch_size, 8);
  EXPECT_FALSE(config.steps_per_print.has_value());
  EXPECT_EQ(config.gradient_clipping, 0.5);
  EXPECT_EQ(config.communication_data_type, core::Dtype::kFloat16);
  EXPECT_EQ(config.gradient_allreduce_op, "sum");
  EXPECT_EQ(config.zero_optimization.stage, 2);
  EXPECT_EQ(config.zero_optimization.reduce_bucket_size, 500'000'000);
  EXPECT_EQ(config.zero_optimization.overlap_comm, true);
  EXPECT_EQ(config.zero_optimization.stage3_model_persistence_threshold, INT64_MAX);
  EXPECT_EQ(config.optimizer->params["lr"], 3e-5);
  EXPECT_EQ(config.optimizer->params["bias_correction"], true);
  EXPECT_FALSE(load(R"({"steps_per_print": 1e400})").steps_per_print.has_value());
}

TEST(Load, WrongValuesNamePathPlaceValueAndWhatIsExpected) {
  expect_part(load_error("{\n\"zero_optimization\": {\"stage\": 7}}"),
              "zero_optimization.stage (test.json, line 2): got 7, expected an integer from 0 to 3");
  expect_part(load_error(R"({"zero_optimization": {"stage": 1.5}})"), "got 1.5, expected an integer");
  expect_part(load_error(R"({"zero_optimization": {"stage": null}})"), "Leave the key out for the default, 0.");
  expect_part(load_error(R"({"fp16": {"loss_scale": true}})"), "fp16.loss_scale");
  expect_part(load_error(R"({"fp16": {"loss_scale": -1}})"), "a number not below 0");
  expect_part(load_error(R"({"fp16": 1})"), "got 1, expected an object");
  expect_part(load_error(R"({"gradient_clipping": NaN})"), "got NaN, expected a number");
  expect_part(load_error(R"({"communication_data_type": "fp64"})"), R"("fp32", "bf16" or "fp16")");
  expect_part(load_error(R"({"gradient_allreduce_op": "maen"})"), "Did you mean \"mean\"?");
  expect_part(load_error(R"({"checkpoint": {"tag_validation": "Maybe"}})"), R"("Ignore", "Warn" or "Fail")");
  expect_part(load_error(R"({"train_batch_size": 99999999999999999999})"), "expected an integer");
  expect_part(load_error(R"({"optimizer": {"type": "AdamW", "params": {"lr": "fast"}}})"), "optimizer.params.lr");
  expect_part(load_error(R"({"optimizer": {"type": "AdamW", "params": {"betas": [0.9]}}})"), "a list of 2 numbers");
}

TEST(Load, AutoTakesTheDefaultEverywhere) {
  const Config config = load(R"({
    "train_batch_size": "auto", "gradient_clipping": "auto", "bf16": "auto", "fp16": {"enabled": "auto"},
    "zero_optimization": {"stage": "auto", "stage3_prefetch_bucket_size": "auto", "offload_param": {"device": "auto"}},
    "optimizer": {"type": "AdamW", "params": {"lr": "auto", "eps": 1e-7}}})");
  EXPECT_FALSE(config.train_batch_size.has_value());
  EXPECT_EQ(config.gradient_clipping, 1.0);
  EXPECT_EQ(config.zero_optimization.stage, 0);
  EXPECT_EQ(config.optimizer->params, json::parse(R"({"eps": 1e-7})"));
  EXPECT_EQ(config.provenance.describe("optimizer.params.lr"), "auto");
  EXPECT_EQ(config.provenance.describe("zero_optimization.stage"), "auto");
}

TEST(Load, NullSectionsAreAbsent) {
  const Config config = load(R"({"zero_optimization": null, "optimizer": null, "fp16": null, "checkpoint": null,
                                 "scheduler": {}, "tensorboard": null})");
  EXPECT_FALSE(config.optimizer.has_value());
  EXPECT_FALSE(config.scheduler.has_value());
  EXPECT_EQ(config.zero_optimization.stage, 0);
}

TEST(Load, UnknownTopLevelKeysWarnAndAreErrorsUnderStrict) {
  expect_part(all_warnings(load(R"({"my_own_notes": 1})")), "unknown key \"my_own_notes\"");
  expect_part(load_error(R"({"my_own_notes": 1, "strict": true})"), "my_own_notes");
  expect_part(load_error(R"({"zero_optimisation": {"stage": 2}})"), "\"zero_optimization\"");
  expect_part(load_error(R"({"Train_Batch_Size": 2})"), "\"train_batch_size\"");
  expect_part(load_error(R"({"train-batch-size": 2})"), "\"train_batch_size\"");
  expect_part(load_error(R"({"gradientClipping": 2})"), "\"gradient_clipping\"");
  expect_part(load_error(R"({"reduce_bucket_size": 2})"), "It belongs in \"zero_optimization\"");
}

TEST(Load, NearMissesOfTopLevelKeysNameTheRightKey) {
  for (const auto& [wrong, right] :
       std::map<std::string, std::string>{{"zero_optimizer", "\"zero_optimization\"?"},
                                          {"zero", "\"zero_optimization\"?"},
                                          {"zero_stage", "\"zero_optimization.stage\"?"},
                                          {"gradient_accumulation", "\"gradient_accumulation_steps\""},
                                          {"accumulation_steps", "\"gradient_accumulation_steps\"?"},
                                          {"micro_batch_size", "\"train_micro_batch_size_per_gpu\"?"},
                                          {"micro-batch-size", "\"train_micro_batch_size_per_gpu\"?"},
                                          {"batch_size", "\"train_batch_size\""},
                                          {"Max_Grad_Norm", "\"gradient_clipping\"?"},
                                          {"lr_scheduler", "\"scheduler\"?"}}) {
    const std::string error = load_error(json{{wrong, 1}}.dump());
    expect_part(error, "unknown key \"" + wrong + "\" at top level. Did you mean ");
    expect_part(error, right);
  }
  for (const char* other : {"train_size", "zero_shot", "steps", "my_scheduler_notes"}) {
    expect_part(all_warnings(load(json{{other, 1}}.dump())), "nothing reads it");
  }
}

TEST(Load, ValuesThatChangeNothingAreNamed) {
  for (const char* text : {R"({"zero_optimization": {"round_robin_gradients": true}})",
                           R"({"zero_optimization": {"contiguous_gradients": false}})",
                           R"({"zero_optimization": {"reduce_scatter": false}})",
                           R"({"zero_optimization": {"allgather_partitions": false}})",
                           R"({"zero_optimization": {"use_multi_rank_bucket_allreduce": false}})",
                           R"({"zero_optimization": {"ignore_unused_parameters": false}})",
                           R"({"zero_optimization": {"stage": 2, "compute_grad_norm": false}})",
                           R"({"data_types": {"keep_in_fp32_modules": ["norm"]}})", R"({"disable_allgather": true})",
                           R"({"checkpoint": {"tag_validation": "fail"}})",
                           R"({"checkpoint": {"checkpoint_serialization": false}})", R"({"dump_state": true})",
                           R"({"compile": {"double_buffer": false}})", R"({"pipeline": {"use_reentrant": false}})"}) {
    const json keys = json::parse(text);
    EXPECT_EQ(load(text).warnings.size(), 1U) << text;
    expect_part(all_warnings(load(text)), keys.begin().key());
  }
  expect_part(all_warnings(load(R"({"zero_optimization": {"contiguous_gradients": false}})")),
              "zero_optimization.contiguous_gradients (test.json, line 1): got false, but gradients always lie in "
              "contiguous buffers. The key has no effect: remove it.");
  expect_part(load_error(R"({"data_types": {"buffer_dtype": "bf16"}})"), "data_types.buffer_dtype");
  expect_part(load_error(R"({"bf16": {"enabled": true}, "zero_optimization": {"load_from_fp32_weights": false}})"),
              "zero_optimization.load_from_fp32_weights");
}

TEST(Load, ValuesThatAreWhatTheEngineDoesAnywayGiveNoWarning) {
  const Config config = load(R"({"zero_allow_untested_optimizer": true, "disable_allgather": false,
    "bf16": {"enabled": true, "immediate_grad_update": true}, "data_types": {"keep_in_fp32_modules": "auto"},
    "checkpoint": {"tag_validation": "Warn", "checkpoint_serialization": true}, "pipeline": {"stages": "auto"},
    "compile": {"deepcompile": false}, "zero_optimization": {"stage": 2, "contiguous_gradients": true,
      "allgather_partitions": true, "reduce_scatter": true, "round_robin_gradients": false, "compute_grad_norm": true,
      "load_from_fp32_weights": true, "ignore_unused_parameters": true, "leaf_module": {"names": ["mlp"]}}})");
  EXPECT_EQ(all_warnings(config), "");
}

TEST(Load, DottedKeysOfKnownPathsArePassedOver) {
  const Config config = load(R"({"zero_optimization.reduce_bucket_size": 1234.5,
                                 "zero_optimization.stage3_param_persistence_threshold": 10.0})");
  EXPECT_EQ(all_warnings(config), "");
  EXPECT_EQ(config.zero_optimization.reduce_bucket_size, 500'000'000);
}

TEST(Load, OldFormsMapToNewOnesWithAWarning) {
  const Config bare = load(R"({"zero_optimization": true, "allgather_size": 2000})");
  EXPECT_EQ(bare.zero_optimization.stage, 1);
  EXPECT_EQ(bare.zero_optimization.allgather_bucket_size, 2000);
  expect_part(all_warnings(bare), "a bare true is deprecated");
  const Config renamed = load(R"({"zero_optimization": {"stage3_gather_fp16_weights_on_model_save": true}})");
  EXPECT_TRUE(renamed.zero_optimization.stage3_gather_16bit_weights_on_model_save);
  expect_part(all_warnings(renamed), "stage3_gather_16bit_weights_on_model_save");
  const Config bfloat = load(R"({"bfloat16": {"enabled": true}})");
  EXPECT_TRUE(bfloat.bf16.enabled);
  expect_part(all_warnings(bfloat), "bfloat16 is the old name of bf16");
  EXPECT_EQ(load(R"({"zero_optimization": {"cpu_offload": false}})").zero_optimization.offload_optimizer->device,
            "none");
  expect_part(load_error(R"({"zero_optimization": {"stage": 2, "cpu_offload": true}})"), "not built yet");
  EXPECT_TRUE(load(R"({"comms_logger": {"verbose": true}})").comms_logger.enabled);
  EXPECT_FALSE(load(R"({"comms_logger": {"enabled": false}})").comms_logger.enabled);
}

TEST(Load, OldAndNewNameTogetherAreAnError) {
  expect_part(load_error(R"({"bf16": {}, "bfloat16": {}})"), "given twice");
  expect_part(load_error(R"({"zero_optimization": {"prefetch_bucket_size": 1, "stage3_prefetch_bucket_size": 1}})"),
              "given twice");
  expect_part(load_error(R"({"zero_optimization": {"cpu_offload": true, "offload_optimizer": {"device": "none"}}})"),
              "offload_optimizer");
}

TEST(Load, WhatHasNotLandedIsRefusedOrWarnedAboutByName) {
  for (const char* text :
       {R"({"zero_optimization": {"mics_shard_size": 2}})",
        R"({"zero_optimization": {"offload_optimizer": {"device": "cpu"}}})", R"({"sequence_parallel_size": 2})",
        R"({"tensor_parallel": {"autotp_size": 2}})", R"({"optimizer": {"type": "OneBitAdam"}})",
        R"({"optimizer": {"type": "Muon"}})", R"({"torch_autocast": {"enabled": true}})", R"({"sparse_attention": {}})",
        R"({"elasticity": {"enabled": 1}})",
        R"({"compression_training": {"row_pruning": {"shared_parameters": {"enabled": true}}}})",
        R"({"checkpoint": {"load_universal": true}})", R"({"zero_optimization": {"zero_quantized_weights": true}})"}) {
    expect_part(load_error(text), "is not built yet");
  }
  expect_part(
      load_error("{\n\"zero_optimization\": {\"mics_shard_size\": 2}}"),
      "zero_optimization.mics_shard_size (test.json, line 2): got 2, but MiCS sharding is not built yet. Use -1.");
  expect_part(all_warnings(load(R"({"tensorboard": {"enabled": true}})")), "tensorboard.enabled");
  expect_part(all_warnings(load(R"({"aio": {"queue_depth": 32}})")), "aio");
  EXPECT_EQ(all_warnings(load(R"({"tensorboard": {"enabled": false}, "elasticity": {"enabled": false}})")), "");
}

TEST(Load, WhatHuggingFaceSendsLoadsWithoutAWarning) {
  const Config config = load(R"({
    "train_batch_size": 16, "train_micro_batch_size_per_gpu": 8, "gradient_accumulation_steps": 1,
    "gradient_clipping": 1.0, "steps_per_print": Infinity, "fp16": {"enabled": false, "auto_cast": true},
    "bf16": {"enabled": true}, "zero_allow_untested_optimizer": true, "zero_force_ds_cpu_optimizer": false,
    "communication_data_type": null, "tensor_parallel": {"autotp_size": 0},
    "zero_optimization": {"stage": 2, "stage3_gather_16bit_weights_on_model_save": false,
      "offload_optimizer": {"device": "none", "nvme_path": null}, "offload_param": {"device": "none", "nvme_path": null}},
    "checkpoint": {"use_node_local_storage": false}})");
  EXPECT_EQ(all_warnings(config), "");
  expect_part(all_warnings(load(R"({"zero_optimization": {"stage": 2, "offload_param": {"device": "cpu"}}})")),
              "zero_optimization.offload_param.device");
}

TEST(Load, ContradictionsAreErrors) {
  expect_part(load_error(R"({"fp16": {"enabled": true}, "bf16": {"enabled": true}})"), "both enabled");
  expect_part(load_error(R"({"optimizer": {"type": "Adam", "params": {"max_grad_norm": 0.3}}})"),
              "\"gradient_clipping\": 0.3");
  expect_part(load_error(R"({"fp16": {"loss_scale_window": 0}})"), "fp16.loss_scale_window");
  expect_part(load_error(R"({"zero_optimization": {"compute_grad_norm": false}})"), "stages 1 and 2");
  expect_part(load_error(R"({"zero_optimization": {"allgather_bucket_size": 3}})"), "an even number");
  expect_part(load_error(R"({"bf16": {"enabled": true}, "data_types": {"param_dtype": "fp16"}})"), "bfloat16");
  expect_part(load_error(R"({"optimizer": {"params": {"lr": 1}}})"), "optimizer.type");
  expect_part(load_error(R"({"optimizer": {"type": "AdmW"}})"), "\"adamw\"");
  expect_part(load_error(R"({"scheduler": {"type": "WarmupRL"}})"), "\"WarmupLR\"");
  expect_part(load_error(R"({"scheduler": {"type": "WarmupDecayLR", "params": {}}})"), "total_num_steps");
  expect_part(load_error(R"({"scheduler": {"type": "WarmupLR", "params": {"warmup_num_step": 3}}})"),
              "\"warmup_num_steps\"");
  EXPECT_NO_THROW(load(R"({"optimizer": {"type": "MyFutureOptimizer", "params": {"anything": 1}}})"));
}

TEST(Load, FilesTextsAndBase64AreAccepted) {
  const auto folder = test::scratch_path("load");
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "ds_config.json").string();
  std::ofstream(path) << "{ // comment\n\"train_batch_size\": 4}";
  EXPECT_EQ(load_config_argument(path).train_batch_size, 4);
  EXPECT_EQ(load_config_argument(R"({"train_batch_size": 4})").train_batch_size, 4);
  EXPECT_EQ(load_config_argument("eyJ0cmFpbl9iYXRjaF9zaXplIjogNH0=").train_batch_size, 4);
  try {
    load_config_file(folder / "absent.json");
    FAIL() << "expected IoError";
  } catch (const IoError& error) {
    EXPECT_EQ(error.error_number(), ENOENT);
    expect_part(error.what(), (folder / "absent.json").string());
    expect_part(error.what(), std::filesystem::current_path().string());
  }
  EXPECT_THROW(load_config_argument(folder.string()), IoError);
  try {
    load_config_argument("ds_confg.json");
    FAIL() << "expected ConfigError";
  } catch (const ConfigError& error) {
    expect_part(error.what(), "ds_confg.json");
  }
}

TEST(Load, EffectiveConfigSaysTheOriginOfEachValue) {
  Config config = load(R"({"train_micro_batch_size_per_gpu": 2, "bfloat16": {"enabled": true},
                           "gradient_clipping": "auto"})");
  resolve_batch(config, 3);
  const std::string text = effective_config(config);
  for (const char* pattern :
       {"train_batch_size .* = 6 .*\\(derived: 2 x 1 x 3 ranks\\)", "bf16.enabled .* = true .*\\(given\\)",
        "gradient_clipping .* = 1 .*\\(auto\\)", "zero_optimization.stage .* = 0 .*\\(default\\)"}) {
    EXPECT_THAT(text, ::testing::ContainsRegex(pattern));
  }
  EXPECT_LT(text.find("gradient_clipping"), text.find("zero_optimization.stage"));
}

}  // namespace
}  // namespace deepspeed::config

// A ds_config.json as one typed, checked struct a section. Fields have the names of their JSON keys.
//
//   const config::Config config = config::load_config_argument(argument);
//   config.zero_optimization.stage
//
// Loading checks everything that needs no world size; resolve_batch (config/batch.h) does the rest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/autotuning_config.h"
#include "config/checkpoint_config.h"
#include "config/data_efficiency_config.h"
#include "config/expert_parallel_config.h"
#include "config/legacy_config.h"
#include "config/monitor_config.h"
#include "config/optimizer_config.h"
#include "config/parallel_config.h"
#include "config/precision_config.h"
#include "config/provenance.h"
#include "config/zero_config.h"

namespace deepspeed::config {

struct Config {
  bool strict = false;                                    ///< ours: unknown top-level keys are errors
  std::optional<int64_t> train_batch_size;                ///< samples a step, over all ranks
  std::optional<int64_t> train_micro_batch_size_per_gpu;  ///< samples a forward pass on one rank
  std::optional<int64_t> gradient_accumulation_steps;     ///< forward passes a step
  bool managed_gradient_accumulation = true;              ///< false: every step() updates
  std::optional<int64_t> steps_per_print;      ///< absent or infinite: never, but a breakdown then comes every step
  double gradient_clipping = 1.0;              ///< largest global L2 norm; 0: no clipping
  bool prescale_gradients = false;             ///< divide before the reduction, not after
  double gradient_predivide_factor = 1.0;      ///< used by prescale_gradients
  std::string gradient_allreduce_op = "mean";  ///< mean or sum
  std::optional<core::Dtype> communication_data_type;  ///< of reduced gradients; absent: accumulation dtype
  core::Dtype seq_parallel_communication_data_type = core::Dtype::kFloat32;
  bool disable_allgather = false;
  bool dump_state = false;  ///< rank 0 prints the engine's attributes
  bool disable_python_gc = false;
  bool wall_clock_breakdown = false;
  bool memory_breakdown = false;
  std::optional<int64_t> vocabulary_size;  ///< only warned about where it is no multiple of 8
  bool dataloader_drop_last = false;
  bool use_data_before_expert_parallelism = false;
  bool zero_allow_untested_optimizer = false;
  bool zero_force_ds_cpu_optimizer = true;
  std::optional<std::string> log_level;  ///< debug, info, warning, error or critical
  std::optional<int64_t> sequence_parallel_size;
  std::optional<int64_t> data_parallel_size;
  int64_t allgather_size = 500'000'000;  ///< only with the deprecated zero_optimization: true
  nlohmann::json weight_quantization;
  nlohmann::json datastates_ckpt = false;

  std::optional<OptimizerConfig> optimizer;
  std::optional<SchedulerConfig> scheduler;
  Fp16Config fp16;
  Bf16Config bf16;
  TorchAutocastConfig torch_autocast;
  DataTypesConfig data_types;
  ZeroConfig zero_optimization;
  ActivationCheckpointingConfig activation_checkpointing;
  PipelineConfig pipeline;
  AioConfig aio;
  CheckpointConfig checkpoint;
  EventFileConfig tensorboard;
  EventFileConfig csv_monitor;
  WandbConfig wandb;
  CometConfig comet;
  FlopsProfilerConfig flops_profiler;
  CommsLoggerConfig comms_logger;
  TimersConfig timers;
  TraceConfig trace;
  AutotuningConfig autotuning;
  TensorParallelConfig tensor_parallel;
  ExpertParallelConfig expert_parallel;
  HybridEngineConfig hybrid_engine;
  CompileConfig compile;
  DataEfficiencyConfig data_efficiency;

  ElasticityConfig elasticity;  ///< from here on: DeepSpeed up to 0.19.6
  std::optional<SparseAttentionConfig> sparse_attention;
  ProgressiveLayerDropConfig progressive_layer_drop;
  EigenvalueConfig eigenvalue;
  CurriculumLearningConfig curriculum_learning;
  NebulaConfig nebula;
  CompressionTrainingConfig compression_training;
  nlohmann::json amp;  ///< "enabled" and apex's keyword arguments
  nlohmann::json quantize_training;
  bool sparse_gradients = false;
  bool graph_harvesting = false;

  nlohmann::json raw;                 ///< the config as it was given
  Provenance provenance;              ///< where each value came from
  std::vector<std::string> warnings;  ///< sentences for the user; nothing is printed while loading
};

Fields fields(Config& config);

/// Reads and checks the JSON text (comments and trailing commas are fine); `origin` names it in errors.
/// Throws ConfigError for a syntax error, an unknown key, a wrong value, a contradiction, or a value that this version
/// cannot honour.
Config load_config(std::string_view text, std::string_view origin);

/// As above from a file. Throws IoError with path and current folder where it cannot be read.
Config load_config_file(const std::filesystem::path& path);

/// A path to an existing file, else JSON text, else url-safe base64 of JSON text. Throws ConfigError that names all
/// three where it is none.
Config load_config_argument(const std::string& argument);

/// Contradictions and old forms of a config that code may also have filled in itself; load_config has called it.
void check_config(Config& config);

}  // namespace deepspeed::config

// Sections that DeepSpeed had up to 0.19.6 and rejects since: known here, so that old files are read and named.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/field.h"

namespace deepspeed::config {

struct ElasticityConfig {
  bool enabled = false;
  int64_t max_train_batch_size = 2000;
  std::vector<int64_t> micro_batch_sizes = {2, 4, 6};
  int64_t min_gpus = 1;
  int64_t max_gpus = 10000;
  int64_t num_gpus_per_node = 1;
  int64_t model_parallel_size = 1;
  double min_time = 0;  ///< minutes
  bool prefer_larger_batch = true;
  bool ignore_non_elastic_batch_info = false;
  double version = 0.2;
};

struct SparseAttentionConfig {
  std::string mode = "fixed";  ///< dense, fixed, variable, bigbird or bslongformer
  int64_t block = 16;
  bool different_layout_per_head = false;
  int64_t num_local_blocks = 4;
  int64_t num_global_blocks = 1;
  std::string attention = "bidirectional";
  bool horizontal_global_attention = false;
  int64_t num_different_global_patterns = 1;
  int64_t num_random_blocks = 0;
  std::vector<int64_t> local_window_blocks = {4};
  std::vector<int64_t> global_block_indices = {0};
  std::vector<int64_t> global_block_end_indices;  ///< empty: a global block is one block wide
  int64_t num_sliding_window_blocks = 3;
};

struct ProgressiveLayerDropConfig {
  bool enabled = false;
  double theta = 1.0;
  double gamma = 0.001;
};

struct EigenvalueConfig {
  bool enabled = false;
  bool verbose = false;
  int64_t max_iter = 100;
  double tol = 1e-2;
  double stability = 1e-6;
  int64_t gas_boundary_resolution = 1;
  std::string layer_name = "bert.encoder.layer";
  int64_t layer_num = 0;
};

struct CurriculumLearningConfig {
  bool enabled = false;
  std::string curriculum_type = "seqlen";
  std::optional<int64_t> min_difficulty;
  std::optional<int64_t> max_difficulty;
  std::optional<std::string> schedule_type;
  nlohmann::json schedule_config;
};

struct NebulaConfig {
  bool enabled = false;
  bool enable_nebula_load = true;
  std::optional<std::string> nebula_load_path;
  std::optional<std::string> persistent_storage_path;
  int64_t persistent_time_interval = 100;
  int64_t num_of_version_in_retention = 2;
};

struct LayerReductionConfig {
  bool enabled = false;
  std::optional<int64_t> keep_number_layer;
  std::optional<std::string> module_name_prefix;
  std::vector<int64_t> teacher_layer;
  std::vector<std::string> other_module_name;
};

/// One technique of compression_training; what is inside depends on the technique.
struct CompressionTechniqueConfig {
  nlohmann::json shared_parameters;
  nlohmann::json different_groups;
};

struct CompressionTrainingConfig {
  CompressionTechniqueConfig weight_quantization;
  CompressionTechniqueConfig activation_quantization;
  CompressionTechniqueConfig sparse_pruning;
  CompressionTechniqueConfig row_pruning;
  CompressionTechniqueConfig head_pruning;
  CompressionTechniqueConfig channel_pruning;
  LayerReductionConfig layer_reduction;
};

Fields fields(ElasticityConfig& config);
Fields fields(SparseAttentionConfig& config);
Fields fields(ProgressiveLayerDropConfig& config);
Fields fields(EigenvalueConfig& config);
Fields fields(CurriculumLearningConfig& config);
Fields fields(NebulaConfig& config);
Fields fields(LayerReductionConfig& config);
Fields fields(CompressionTechniqueConfig& config);
Fields fields(CompressionTrainingConfig& config);

}  // namespace deepspeed::config

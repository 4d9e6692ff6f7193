#include "config/autotuning_config.h"

namespace deepspeed::config {

Fields fields(AutotuningModelInfoConfig& config) {
  return {
      field("profile", config.profile),
      field("num_params", config.num_params).at_least(0),
      field("hidden_size", config.hidden_size).at_least(0),
      field("num_layers", config.num_layers).at_least(0),
  };
}

Fields fields(AutotuningConfig& config) {
  return {
      field("enabled", config.enabled),
      field("fast", config.fast),
      field("results_dir", config.results_dir),
      field("exps_dir", config.exps_dir),
      field("overwrite", config.overwrite),
      field("start_profile_step", config.start_profile_step).at_least(0),
      field("end_profile_step", config.end_profile_step).at_least(0),
      field("metric", config.metric),
      field("metric_path", config.metric_path),
      field("tuner_type", config.tuner_type).one_of({"gridsearch", "random", "model_based"}),
      field("tuner_early_stopping", config.tuner_early_stopping).at_least(0),
      field("tuner_num_trials", config.tuner_num_trials).at_least(1),
      field("arg_mappings", config.arg_mappings).object(),
      section("model_info", config.model_info),
      field("model_info_path", config.model_info_path),
      field("mp_size", config.mp_size).at_least(1),
      field("max_train_batch_size", config.max_train_batch_size).at_least(1),
      field("min_train_batch_size", config.min_train_batch_size).at_least(1),
      field("max_train_micro_batch_size_per_gpu", config.max_train_micro_batch_size_per_gpu).at_least(1),
      field("min_train_micro_batch_size_per_gpu", config.min_train_micro_batch_size_per_gpu).at_least(1),
      field("num_tuning_micro_batch_sizes", config.num_tuning_micro_batch_sizes).at_least(1),
  };
}

}  // namespace deepspeed::config

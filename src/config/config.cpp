// The list of the top level's fields.
#include "config/config.h"

#include "config/batch.h"

namespace deepspeed::config {
namespace {

constexpr double kLargestBatch = static_cast<double>(kLargestTrainBatchSize);
constexpr double kLargestFactor = static_cast<double>(kLargestBatchFactor);

Fields plain_fields(Config& config) {
  return {
      field("strict", config.strict),
      field("train_batch_size", config.train_batch_size).between(1, kLargestBatch),
      field("train_micro_batch_size_per_gpu", config.train_micro_batch_size_per_gpu).between(1, kLargestFactor),
      field("gradient_accumulation_steps", config.gradient_accumulation_steps).between(1, kLargestFactor),
      field("managed_gradient_accumulation", config.managed_gradient_accumulation),
      field("steps_per_print", config.steps_per_print).at_least(1).never_at_infinity(),
      field("gradient_clipping", config.gradient_clipping).at_least(0),
      field("prescale_gradients", config.prescale_gradients),
      field("gradient_predivide_factor", config.gradient_predivide_factor).above(0),
      field("gradient_allreduce_op", config.gradient_allreduce_op).one_of({"mean", "sum"}),
      field("communication_data_type", config.communication_data_type),
      field("seq_parallel_communication_data_type", config.seq_parallel_communication_data_type),
      field("disable_allgather", config.disable_allgather),
      field("dump_state", config.dump_state),
      field("disable_python_gc", config.disable_python_gc),
      field("wall_clock_breakdown", config.wall_clock_breakdown),
      field("memory_breakdown", config.memory_breakdown),
      field("vocabulary_size", config.vocabulary_size).at_least(1),
      field("dataloader_drop_last", config.dataloader_drop_last),
      field("use_data_before_expert_parallelism", config.use_data_before_expert_parallelism),
      field("zero_allow_untested_optimizer", config.zero_allow_untested_optimizer),
      field("zero_force_ds_cpu_optimizer", config.zero_force_ds_cpu_optimizer),
      field("log_level", config.log_level).one_of({"debug", "info", "warning", "error", "critical"}),
      field("sequence_parallel_size", config.sequence_parallel_size).at_least(1),
      field("data_parallel_size", config.data_parallel_size).at_least(1),
      field("allgather_size", config.allgather_size).at_least(0),
      field("weight_quantization", config.weight_quantization).object(),
      field("datastates_ckpt", config.datastates_ckpt),
  };
}

Fields section_fields(Config& config) {
  auto& zero = config.zero_optimization;
  return {
      section("optimizer", config.optimizer),
      section("scheduler", config.scheduler),
      section("fp16", config.fp16),
      section("bf16", config.bf16).was("bfloat16"),
      section("torch_autocast", config.torch_autocast),
      section("data_types", config.data_types),
      section("zero_optimization", zero).from_bool([&zero](bool on) { zero.stage = on ? 1 : 0; }),
      section("activation_checkpointing", config.activation_checkpointing),
      section("pipeline", config.pipeline),
      section("aio", config.aio),
      section("checkpoint", config.checkpoint),
      section("tensorboard", config.tensorboard),
      section("csv_monitor", config.csv_monitor),
      section("wandb", config.wandb),
      section("comet", config.comet),
      section("flops_profiler", config.flops_profiler),
      section("comms_logger", config.comms_logger),
      section("timers", config.timers),
      section("trace", config.trace),
      section("autotuning", config.autotuning),
      section("tensor_parallel", config.tensor_parallel),
      section("expert_parallel", config.expert_parallel),
      section("hybrid_engine", config.hybrid_engine),
      section("compile", config.compile),
      section("data_efficiency", config.data_efficiency),
  };
}

Fields legacy_fields(Config& config) {
  return {
      section("elasticity", config.elasticity),
      section("sparse_attention", config.sparse_attention),
      section("progressive_layer_drop", config.progressive_layer_drop),
      section("eigenvalue", config.eigenvalue),
      section("curriculum_learning", config.curriculum_learning),
      section("nebula", config.nebula),
      section("compression_training", config.compression_training),
      field("amp", config.amp).object(),
      field("quantize_training", config.quantize_training).object(),
      field("sparse_gradients", config.sparse_gradients),
      field("graph_harvesting", config.graph_harvesting),
  };
}

}  // namespace

Fields fields(Config& config) {
  Fields all = plain_fields(config);
  for (const auto& list : {section_fields(config), legacy_fields(config)})
    all.insert(all.end(), list.begin(), list.end());
  return all;
}

}  // namespace deepspeed::config

#include "config/landed.h"

#include <algorithm>

#include "config/config.h"
#include "config/known_keys.h"
#include "config/nearest.h"
#include "config/value.h"
#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

using C = const Config&;

constexpr Missing kRefused = Missing::kRefused;
constexpr Missing kIgnored = Missing::kIgnored;
constexpr Missing kNothing = Missing::kNothing;
constexpr const char* kRemoveIt = "The key has no effect: remove it.";

// Whether any key of the section has another value than its default.
template <class Section>
bool is_changed(const Section& section) {
  Section given = section;  // fields point into a section that they may change
  Section untouched;
  const Fields now = fields(given);
  const Fields before = fields(untouched);
  return !std::equal(now.begin(), now.end(), before.begin(), before.end(),
                     [](const Field& a, const Field& b) { return current_value(a) == current_value(b); });
}

template <class Offload>
bool leaves_device(const std::optional<Offload>& offload) {
  return offload && offload->device != "none";
}

bool is_enabled(const nlohmann::json& section) {
  return section.is_object() && section.value("enabled", nlohmann::json(true)) != false;
}

bool is_later_optimizer(C c) {
  static const std::vector<std::string> kNames = {"onebitadam", "zerooneadam", "onebitlamb", "muon",
                                                  "muadam",     "muadamw",     "musgd"};
  return c.optimizer && std::count(kNames.begin(), kNames.end(), lower_case(c.optimizer->type)) != 0;
}

bool compresses(C c) {
  const auto& all = c.compression_training;
  for (const auto* technique : {&all.weight_quantization, &all.activation_quantization, &all.sparse_pruning,
                                &all.row_pruning, &all.head_pruning, &all.channel_pruning}) {
    const auto& shared = technique->shared_parameters;
    if (shared.is_object() && shared.contains("enabled") && shared["enabled"] != false) return true;
  }
  return all.layer_reduction.enabled;
}

bool asks_for_activation_checkpointing(C c) {
  const auto& section = c.activation_checkpointing;
  return section.partition_activations || section.contiguous_memory_optimization || section.cpu_checkpointing ||
         section.synchronize_checkpoint_boundary || section.profile;
}

}  // namespace

const std::vector<NotLanded>& not_landed() {
  static const std::vector<NotLanded> kTable = {
      // What is sharded and where it lives.
      {"zero_optimization.offload_optimizer.device",
       [](C c) { return leaves_device(c.zero_optimization.offload_optimizer); }, kRefused, "optimizer offload",
       "Use \"none\"."},
      {"zero_optimization.offload_param.device",
       [](C c) { return c.zero_optimization.stage < 3 && leaves_device(c.zero_optimization.offload_param); }, kIgnored,
       "parameter offload, which needs ZeRO stage 3,", "It has no effect at this stage."},
      {"zero_optimization.zenflow", [](C c) { return c.zero_optimization.zenflow.has_value(); }, kRefused, "ZenFlow",
       "Remove the section."},
      {"zero_optimization.zero_hpz_partition_size", [](C c) { return c.zero_optimization.zero_hpz_partition_size > 1; },
       kRefused, "a second copy of the shards (hpZ)", "Use 1."},
      {"zero_optimization.zero_quantized_weights", [](C c) { return c.zero_optimization.zero_quantized_weights; },
       kRefused, "quantized gathering", "Use false."},
      {"zero_optimization.zero_quantized_nontrainable_weights",
       [](C c) { return c.zero_optimization.zero_quantized_nontrainable_weights; }, kRefused, "quantized gathering",
       "Use false."},
      {"zero_optimization.zero_quantized_gradients", [](C c) { return c.zero_optimization.zero_quantized_gradients; },
       kRefused, "quantized reduction", "Use false."},
      {"zero_optimization.zeropp_loco_param", [](C c) { return c.zero_optimization.zeropp_loco_param.has_value(); },
       kRefused, "error feedback of quantized reduction (LoCo)", "Remove the section."},
      {"zero_optimization.mics_shard_size", [](C c) { return c.zero_optimization.mics_shard_size > 0; }, kRefused,
       "MiCS sharding", "Use -1."},
      {"zero_optimization.elastic_checkpoint", [](C c) { return c.zero_optimization.elastic_checkpoint; }, kIgnored,
       "a separate elastic checkpoint", "Every checkpoint of ours loads at any world size."},
      {"sequence_parallel_size", [](C c) { return c.sequence_parallel_size.value_or(1) > 1; }, kRefused,
       "sequence parallelism", "Use 1."},
      {"tensor_parallel.autotp_size", [](C c) { return c.tensor_parallel.autotp_size > 1; }, kRefused,
       "automatic tensor parallelism", "Use 0."},
      {"tensor_parallel.tensor_parallel.tp_size", [](C c) { return c.tensor_parallel.tensor_parallel.tp_size > 1; },
       kRefused, "tensor parallelism", "Use 1."},
      {"expert_parallel.enabled", [](C c) { return c.expert_parallel.enabled; }, kRefused, "expert parallelism",
       "Use false."},

      {"zero_optimization.round_robin_gradients", [](C c) { return c.zero_optimization.round_robin_gradients; },
       kNothing, "every rank owns an equal part of each unit anyway", kRemoveIt},
      {"zero_optimization.contiguous_gradients", [](C c) { return !c.zero_optimization.contiguous_gradients; },
       kNothing, "gradients always lie in contiguous buffers", kRemoveIt},
      {"zero_optimization.reduce_scatter", [](C c) { return !c.zero_optimization.reduce_scatter; }, kNothing,
       "gradients that are sharded are always reduced by a reduce-scatter", kRemoveIt},
      {"zero_optimization.allgather_partitions", [](C c) { return !c.zero_optimization.allgather_partitions; },
       kNothing, "parameters are always gathered by an all-gather", kRemoveIt},
      {"zero_optimization.use_multi_rank_bucket_allreduce",
       [](C c) { return !c.zero_optimization.use_multi_rank_bucket_allreduce; }, kNothing,
       "a reduction always goes to all its ranks at once", kRemoveIt},
      {"disable_allgather", [](C c) { return c.disable_allgather; }, kNothing,
       "parameters are always gathered by an all-gather, in DeepSpeed too", kRemoveIt},
      {"pipeline", [](C c) { return is_changed(c.pipeline); }, kIgnored, "pipeline parallelism",
       "The section has no effect."},

      // Numbers.
      {"zero_optimization.load_from_fp32_weights",
       [](C c) { return !c.zero_optimization.load_from_fp32_weights && (c.fp16.enabled || c.bf16.enabled); }, kRefused,
       "loading master weights from the 16-bit ones", "Use true."},
      {"zero_optimization.compute_grad_norm", [](C c) { return !c.zero_optimization.compute_grad_norm; }, kNothing,
       "the gradient norm is always computed", kRemoveIt},
      {"data_types.buffer_dtype", [](C c) { return c.data_types.buffer_dtype.has_value(); }, kRefused,
       "casting a model's buffers", "Remove the key, and cast them before initialize."},
      {"data_types.keep_in_fp32_modules",
       [](C c) { return c.data_types.keep_in_fp32_modules && !c.data_types.keep_in_fp32_modules->empty(); }, kNothing,
       "buffers always keep the dtype that they have in the model", kRemoveIt},
      {"optimizer.type", is_later_optimizer, kRefused, "this optimizer",
       "Use Adam, AdamW, SGD, Adagrad, Lion, Lamb or a class of torch.optim."},
      {"fp16.fp16_master_weights_and_grads", [](C c) { return c.fp16.fp16_master_weights_and_grads; }, kRefused,
       "16-bit master weights", "Use false."},
      {"bf16.bf16_master_weights_and_grads", [](C c) { return c.bf16.bf16_master_weights_and_grads; }, kRefused,
       "16-bit master weights", "Use false."},
      {"bf16.bf16_optimizer_states", [](C c) { return c.bf16.bf16_optimizer_states; }, kRefused,
       "16-bit optimizer state", "Use false."},
      {"torch_autocast.enabled", [](C c) { return c.torch_autocast.enabled; }, kRefused, "torch autocast",
       "Use false, and bf16 or fp16."},
      {"amp", [](C c) { return is_enabled(c.amp); }, kRefused, "apex amp", "Use bf16 or fp16."},
      {"weight_quantization", [](C c) { return !c.weight_quantization.is_null(); }, kRefused, "weight quantization",
       "Remove the section."},
      {"quantize_training", [](C c) { return is_enabled(c.quantize_training); }, kRefused, "quantized training",
       "Remove the section."},
      {"compression_training", compresses, kRefused, "compression", "Remove the section."},
      {"sparse_attention", [](C c) { return c.sparse_attention.has_value(); }, kRefused, "block-sparse attention",
       "Remove the section."},
      {"progressive_layer_drop.enabled", [](C c) { return c.progressive_layer_drop.enabled; }, kRefused,
       "progressive layer drop", "Use false."},
      {"eigenvalue.enabled", [](C c) { return c.eigenvalue.enabled; }, kRefused, "eigenvalue estimation", "Use false."},
      {"sparse_gradients", [](C c) { return c.sparse_gradients; }, kIgnored, "a sparse reduction of embeddings",
       "Gradients are reduced densely."},

      // Data and sizes.
      {"data_efficiency.enabled", [](C c) { return c.data_efficiency.enabled; }, kRefused, "data efficiency",
       "Use false."},
      {"curriculum_learning.enabled", [](C c) { return c.curriculum_learning.enabled; }, kRefused,
       "curriculum learning", "Use false."},
      {"elasticity.enabled", [](C c) { return c.elasticity.enabled; }, kRefused, "elasticity", "Use false."},
      {"hybrid_engine.enabled", [](C c) { return c.hybrid_engine.enabled; }, kRefused, "the hybrid engine",
       "Use false."},

      // Checkpoints.
      {"checkpoint.load_universal", [](C c) { return c.checkpoint.load_universal; }, kRefused,
       "loading DeepSpeed's universal checkpoints", "Use false: checkpoints of ours load on any topology."},
      {"checkpoint.tag_validation", [](C c) { return c.checkpoint.tag_validation == "Fail"; }, kIgnored,
       "the comparison of a checkpoint's tag over ranks", "Give all ranks the same tag."},
      {"checkpoint.checkpoint_serialization", [](C c) { return !c.checkpoint.checkpoint_serialization; }, kNothing,
       "checkpoints are always safetensors files", kRemoveIt},
      {"checkpoint.writer", [](C c) { return c.checkpoint.writer.has_value(); }, kIgnored, "a choice of writers",
       "The default one is used."},
      {"checkpoint.parallel_write.pipeline_stage", [](C c) { return c.checkpoint.parallel_write.pipeline_stage; },
       kIgnored, "spreading layer files over ranks", "Every rank writes its own shard anyway."},
      {"checkpoint.use_node_local_storage", [](C c) { return c.checkpoint.use_node_local_storage; }, kRefused,
       "a checkpoint spread over the nodes' own disks", "Use false and a shared folder."},
      {"datastates_ckpt", [](C c) { return !c.datastates_ckpt.is_null() && c.datastates_ckpt != false; }, kIgnored,
       "DataStates", "Checkpoints are written as usual."},
      {"nebula.enabled", [](C c) { return c.nebula.enabled; }, kIgnored, "Nebula", "Checkpoints are written as usual."},
      {"aio", [](C c) { return c.provenance.given("aio"); }, kIgnored, "NVMe offload, which this section tunes,",
       "It has no effect."},

      // What is measured, shown or only faster.
      {"activation_checkpointing", asks_for_activation_checkpointing, kIgnored, "our activation checkpointing",
       "torch.utils.checkpoint works."},
      {"compile.deepcompile", [](C c) { return c.compile.deepcompile; }, kIgnored, "DeepCompile", "It has no effect."},
      {"compile", [](C c) { return !c.compile.deepcompile && is_changed(c.compile); }, kIgnored,
       "DeepCompile, which this section tunes,", "It has no effect."},
      {"dump_state", [](C c) { return c.dump_state; }, kIgnored, "the dump of the engine's state",
       "engine.print_effective_config() prints the config."},
      {"zero_optimization.ignore_unused_parameters", [](C c) { return !c.zero_optimization.ignore_unused_parameters; },
       kIgnored, "an error for parameters without a gradient", "Their gradients count as zero."},
      {"graph_harvesting", [](C c) { return c.graph_harvesting; }, kIgnored, "graph harvesting", "It has no effect."},
      {"use_data_before_expert_parallelism", [](C c) { return c.use_data_before_expert_parallelism; }, kIgnored,
       "an order of ranks for experts", "It has no effect."},
      {"flops_profiler.enabled", [](C c) { return c.flops_profiler.enabled; }, kIgnored, "the flops profiler",
       "Nothing is profiled."},
      {"comms_logger.enabled", [](C c) { return c.comms_logger.enabled; }, kIgnored, "the communication logger",
       "Nothing is logged."},
      {"tensorboard.enabled", [](C c) { return c.tensorboard.enabled; }, kIgnored, "the TensorBoard writer",
       "No events are written."},
      {"csv_monitor.enabled", [](C c) { return c.csv_monitor.enabled; }, kIgnored, "the CSV monitor",
       "No files are written."},
      {"wandb.enabled", [](C c) { return c.wandb.enabled; }, kIgnored, "the W&B monitor", "Nothing is sent."},
      {"comet.enabled", [](C c) { return c.comet.enabled; }, kIgnored, "the Comet monitor", "Nothing is sent."},
      {"autotuning.enabled", [](C c) { return c.autotuning.enabled; }, kIgnored, "autotuning", "Nothing is tuned."},
      {"memory_breakdown", [](C c) { return c.memory_breakdown; }, kIgnored, "the table of memory",
       "Nothing is printed."},
  };
  return kTable;
}

void check_landed(Config& config) {
  for (const auto& entry : not_landed()) {
    if (!entry.is_used(config)) continue;
    const auto field = find_field(config, entry.path);
    const bool is_plain = field && !std::holds_alternative<Section>(field->target);
    const std::string value = is_plain ? "got " + show_value(current_value(*field)) + ", but " : "";
    const char* lack = entry.effect == Missing::kNothing ? "" : " is not built yet";
    const std::string sentence = concat(value, entry.capability, lack, ". ", entry.remedy);
    if (entry.effect == Missing::kRefused) config.provenance.fail(entry.path, sentence);
    config.warnings.push_back(concat(entry.path, config.provenance.location(entry.path), ": ", sentence));
  }
}

}  // namespace deepspeed::config

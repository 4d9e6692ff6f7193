"""The engine's getters of config values, as data: method name -> path in the effective config."""

from __future__ import annotations

import os
from typing import Any, Callable

PATHS = {
    "aio_config": "aio",
    "autotp_size": "tensor_parallel.autotp_size",
    "autotuning_enabled": "autotuning.enabled",
    "autotuning_end_profile_step": "autotuning.end_profile_step",
    "autotuning_metric": "autotuning.metric",
    "autotuning_start_profile_step": "autotuning.start_profile_step",
    "bf16_master_weights_and_gradients": "bf16.bf16_master_weights_and_grads",
    "bf16_optimizer_states": "bf16.bf16_optimizer_states",
    "bfloat16_enabled": "bf16.enabled",
    "checkpoint_serialization_enabled": "checkpoint.checkpoint_serialization",
    "curriculum_learning_config": "data_efficiency.data_sampling.curriculum_learning",
    "curriculum_learning_enabled": "data_efficiency.data_sampling.curriculum_learning.enabled",
    "data_efficiency_config": "data_efficiency",
    "data_efficiency_enabled": "data_efficiency.enabled",
    "data_sampling_config": "data_efficiency.data_sampling",
    "data_sampling_enabled": "data_efficiency.data_sampling.enabled",
    "dataloader_drop_last": "dataloader_drop_last",
    "dump_state": "dump_state",
    "flops_profiler_detailed": "flops_profiler.detailed",
    "flops_profiler_enabled": "flops_profiler.enabled",
    "flops_profiler_module_depth": "flops_profiler.module_depth",
    "flops_profiler_output_file": "flops_profiler.output_file",
    "flops_profiler_profile_step": "flops_profiler.profile_step",
    "flops_profiler_recompute_fwd_factor": "flops_profiler.recompute_fwd_factor",
    "flops_profiler_top_modules": "flops_profiler.top_modules",
    "fp16_auto_cast": "fp16.auto_cast",
    "fp16_enabled": "fp16.enabled",
    "fp16_master_weights_and_gradients": "fp16.fp16_master_weights_and_grads",
    "gradient_clipping": "gradient_clipping",
    "gradient_predivide_factor": "gradient_predivide_factor",
    "is_deepcompile_enabled": "compile.deepcompile",
    "is_sanity_checks_enabled": "zero_optimization.enable_sanity_checks",
    "load_universal_checkpoint": "checkpoint.load_universal",
    "log_level": "log_level",
    "loss_scale": "fp16.loss_scale",
    "managed_gradient_accumulation": "managed_gradient_accumulation",
    "memory_breakdown": "memory_breakdown",
    "optimizer_legacy_fusion": "optimizer.legacy_fusion",
    "optimizer_name": "optimizer.type",
    "optimizer_params": "optimizer.params",
    "random_ltd_config": "data_efficiency.data_routing.random_ltd",
    "random_ltd_enabled": "data_efficiency.data_routing.random_ltd.enabled",
    "scheduler_name": "scheduler.type",
    "scheduler_params": "scheduler.params",
    "steps_per_print": "steps_per_print",
    "tensor_parallel_config": "tensor_parallel",
    "torch_autocast_enabled": "torch_autocast.enabled",
    "use_node_local_storage": "checkpoint.use_node_local_storage",
    "wall_clock_breakdown": "wall_clock_breakdown",
    "zenflow_config": "zero_optimization.zenflow",
    "zero_allgather_bucket_size": "zero_optimization.allgather_bucket_size",
    "zero_allgather_partitions": "zero_optimization.allgather_partitions",
    "zero_allgather_sequential": "zero_optimization.stage3_allgather_sequential",
    "zero_allow_untested_optimizer": "zero_allow_untested_optimizer",
    "zero_compute_grad_norm": "zero_optimization.compute_grad_norm",
    "zero_contiguous_gradients": "zero_optimization.contiguous_gradients",
    "zero_elastic_checkpoint": "zero_optimization.elastic_checkpoint",
    "zero_force_ds_cpu_optimizer": "zero_force_ds_cpu_optimizer",
    "zero_gather_16bit_weights_on_model_save": "zero_optimization.stage3_gather_16bit_weights_on_model_save",
    "zero_hpz_partition_size": "zero_optimization.zero_hpz_partition_size",
    "zero_ignore_unused_parameters": "zero_optimization.ignore_unused_parameters",
    "zero_legacy_stage1": "zero_optimization.legacy_stage1",
    "zero_load_from_fp32_weights": "zero_optimization.load_from_fp32_weights",
    "zero_log_trace_cache_warnings": "zero_optimization.log_trace_cache_warnings",
    "zero_max_live_parameters": "zero_optimization.stage3_max_live_parameters",
    "zero_max_reuse_distance": "zero_optimization.stage3_max_reuse_distance",
    "zero_model_persistence_threshold": "zero_optimization.stage3_model_persistence_threshold",
    "zero_module_granularity_threshold": "zero_optimization.stage3_module_granularity_threshold",
    "zero_multi_rank_bucket_allreduce": "zero_optimization.use_multi_rank_bucket_allreduce",
    "zero_offload_optimizer": "zero_optimization.offload_optimizer",
    "zero_offload_param": "zero_optimization.offload_param",
    "zero_optimization_stage": "zero_optimization.stage",
    "zero_param_persistence_threshold": "zero_optimization.stage3_param_persistence_threshold",
    "zero_parameter_alignment": "zero_optimization.parameter_alignment",
    "zero_prefetch_bucket_size": "zero_optimization.stage3_prefetch_bucket_size",
    "zero_quantized_gradients": "zero_optimization.zero_quantized_gradients",
    "zero_quantized_nontrainable_weights": "zero_optimization.zero_quantized_nontrainable_weights",
    "zero_quantized_weights": "zero_optimization.zero_quantized_weights",
    "zero_reduce_bucket_size": "zero_optimization.reduce_bucket_size",
    "zero_reduce_scatter": "zero_optimization.reduce_scatter",
    "zero_round_robin_gradients": "zero_optimization.round_robin_gradients",
    "zero_save_muon_momentum_buffer_in_memory": "zero_optimization.save_muon_momentum_buffer_in_memory",
    "zero_sub_group_size": "zero_optimization.sub_group_size",
}


class ConfigQueries:
    """A mixin: one method a row of PATHS. The class that uses it has `_effective`, the effective config as a dict."""

    _effective: dict[str, Any]

    def config_value(self, path: str) -> Any:
        """The effective value at a dotted path, None where a section on the way is absent."""
        value: Any = self._effective
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    # --- ZeRO ------------------------------------------------------------------------------------------------------
    def zero_optimization(self) -> bool:
        return self.config_value("zero_optimization.stage") >= 1

    def zero_optimization_partition_gradients(self) -> bool:
        return self.config_value("zero_optimization.stage") >= 2

    def zero_optimization_partition_weights(self) -> bool:
        return self.config_value("zero_optimization.stage") >= 3

    is_first_weights_partition_group = zero_optimization_partition_weights

    def zero_overlap_comm(self) -> bool:
        """On at every stage, unless the config says false."""
        return self.config_value("zero_optimization.overlap_comm") is not False

    def zero_use_cpu_optimizer(self) -> bool:
        return self._offload_optimizer("device", "none") != "none"

    zero_cpu_offload = zero_use_cpu_optimizer

    def zero_nvme_offload_optimizer(self) -> bool:
        return self._offload_optimizer("device", "none") == "nvme"

    def zero_partial_offload(self) -> float:
        return self._offload_optimizer("ratio", 1.0)

    def super_offload(self) -> bool:
        return self._offload_optimizer("super_offload", False)

    def cpuadam_cores_perc(self) -> float:
        return self._offload_optimizer("cpuadam_cores_perc", 0.9)

    def _offload_optimizer(self, key: str, default: Any) -> Any:
        value = self.config_value(f"zero_optimization.offload_optimizer.{key}")
        return default if value is None else value

    # --- numbers ---------------------------------------------------------------------------------------------------
    def dynamic_loss_scale(self) -> bool:
        return bool(self.config_value("fp16.enabled")) and not self.config_value("fp16.loss_scale")

    def initial_dynamic_scale(self) -> float:
        return 2.0 ** self.config_value("fp16.initial_scale_power")

    def dynamic_loss_scale_args(self) -> dict[str, Any]:
        """The loss scaler's numbers, under DeepSpeed's names."""
        return {
            "init_scale": self.initial_dynamic_scale(),
            "scale_window": self.config_value("fp16.loss_scale_window"),
            "delayed_shift": self.config_value("fp16.hysteresis"),
            "consecutive_hysteresis": self.config_value("fp16.consecutive_hysteresis"),
            "min_scale": self.config_value("fp16.min_loss_scale"),
        }

    def torch_autocast_dtype(self) -> Any:
        """A torch.dtype, or None where the config names none."""
        return torch_dtype(self.config_value("torch_autocast.dtype"))

    def torch_autocast_lower_precision_safe_modules(self) -> list[str]:
        """Class paths; linear layers and convolutions unless the config lists others."""
        given = self.config_value("torch_autocast.lower_precision_safe_modules")
        return _LINEAR_AND_CONVOLUTIONS if given is None else given

    def postscale_gradients(self) -> bool:
        return not self.config_value("prescale_gradients")

    # --- checkpoints -----------------------------------------------------------------------------------------------
    def checkpoint_writer_enabled(self) -> bool:
        return self.config_value("checkpoint.writer") is not None

    def checkpoint_tag_validation_enabled(self) -> bool:
        return self.config_value("checkpoint.tag_validation").lower() != "ignore"

    def checkpoint_tag_validation_fail(self) -> bool:
        return self.config_value("checkpoint.tag_validation").lower() == "fail"

    # --- tuning and compilation ------------------------------------------------------------------------------------
    def autotuning_metric_path(self) -> str:
        return self.config_value("autotuning.metric_path") or os.path.abspath("autotuning_metric.json")

    def autotuning_model_info_path(self) -> str:
        return self.config_value("autotuning.model_info_path") or os.path.abspath("autotuning_model_info.json")

    def autotuning_profile_model_info(self) -> bool:
        return bool(self.config_value("autotuning.enabled") and self.config_value("autotuning.model_info.profile"))

    def compile_zero_optimization_stage(self) -> bool:
        """Whether compile.passes asks for one of ZeRO's passes."""
        return bool({"z1", "z3"}.intersection(self._compile_passes()))

    def compile_autosp(self) -> bool:
        return "autosp" in self._compile_passes()

    def compile_autotp(self) -> bool:
        return "autotp" in self._compile_passes()

    def uses_parallelization_pass_only(self) -> bool:
        return self.compile_autosp() or self.compile_autotp()

    def _compile_passes(self) -> list[str]:
        return self.config_value("compile.passes") or []


_LINEAR_AND_CONVOLUTIONS = [
    "torch.nn.modules.linear.Linear",
    *(f"torch.nn.modules.conv.Conv{dimensions}d" for dimensions in (1, 2, 3)),
]


def torch_dtype(name: str | None) -> Any:
    """The torch.dtype of a config's name for it ("bf16", "bfloat16", "torch.bfloat16", ...), None for None."""
    import torch

    if name is None:
        return None
    name = name.removeprefix("torch.")
    return getattr(torch, {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}.get(name, name))


def _query(path: str) -> Callable[[ConfigQueries], Any]:
    def query(self: ConfigQueries) -> Any:
        return self.config_value(path)

    query.__doc__ = f"The config's `{path}`."
    return query


for _name, _path in PATHS.items():
    setattr(ConfigQueries, _name, _query(_path))

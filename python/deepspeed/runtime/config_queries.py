"""The engine's getters of config values, as data: method name -> path in the effective config."""

from __future__ import annotations

from typing import Any, Callable

PATHS = {
    "bfloat16_enabled": "bf16.enabled",
    "bf16_master_weights_and_gradients": "bf16.bf16_master_weights_and_grads",
    "bf16_optimizer_states": "bf16.bf16_optimizer_states",
    "checkpoint_tag_validation": "checkpoint.tag_validation",
    "dataloader_drop_last": "dataloader_drop_last",
    "dump_state": "dump_state",
    "fp16_auto_cast": "fp16.auto_cast",
    "fp16_enabled": "fp16.enabled",
    "fp16_master_weights_and_gradients": "fp16.fp16_master_weights_and_grads",
    "gradient_clipping": "gradient_clipping",
    "gradient_predivide_factor": "gradient_predivide_factor",
    "load_universal_checkpoint": "checkpoint.load_universal",
    "log_level": "log_level",
    "loss_scale": "fp16.loss_scale",
    "managed_gradient_accumulation": "managed_gradient_accumulation",
    "memory_breakdown": "memory_breakdown",
    "steps_per_print": "steps_per_print",
    "torch_autocast_dtype": "torch_autocast.dtype",
    "torch_autocast_enabled": "torch_autocast.enabled",
    "use_node_local_storage": "checkpoint.use_node_local_storage",
    "wall_clock_breakdown": "wall_clock_breakdown",
    "zero_allgather_bucket_size": "zero_optimization.allgather_bucket_size",
    "zero_allgather_partitions": "zero_optimization.allgather_partitions",
    "zero_allow_untested_optimizer": "zero_allow_untested_optimizer",
    "zero_compute_grad_norm": "zero_optimization.compute_grad_norm",
    "zero_contiguous_gradients": "zero_optimization.contiguous_gradients",
    "zero_elastic_checkpoint": "zero_optimization.elastic_checkpoint",
    "zero_force_ds_cpu_optimizer": "zero_force_ds_cpu_optimizer",
    "zero_gather_16bit_weights_on_model_save": "zero_optimization.stage3_gather_16bit_weights_on_model_save",
    "zero_ignore_unused_parameters": "zero_optimization.ignore_unused_parameters",
    "zero_legacy_stage1": "zero_optimization.legacy_stage1",
    "zero_load_from_fp32_weights": "zero_optimization.load_from_fp32_weights",
    "zero_max_live_parameters": "zero_optimization.stage3_max_live_parameters",
    "zero_max_reuse_distance": "zero_optimization.stage3_max_reuse_distance",
    "zero_model_persistence_threshold": "zero_optimization.stage3_model_persistence_threshold",
    "zero_multi_rank_bucket_allreduce": "zero_optimization.use_multi_rank_bucket_allreduce",
    "zero_offload_optimizer": "zero_optimization.offload_optimizer",
    "zero_offload_param": "zero_optimization.offload_param",
    "zero_optimization_stage": "zero_optimization.stage",
    "zero_overlap_comm": "zero_optimization.overlap_comm",
    "zero_param_persistence_threshold": "zero_optimization.stage3_param_persistence_threshold",
    "zero_parameter_alignment": "zero_optimization.parameter_alignment",
    "zero_prefetch_bucket_size": "zero_optimization.stage3_prefetch_bucket_size",
    "zero_reduce_bucket_size": "zero_optimization.reduce_bucket_size",
    "zero_reduce_scatter": "zero_optimization.reduce_scatter",
    "zero_round_robin_gradients": "zero_optimization.round_robin_gradients",
    "zero_sub_group_size": "zero_optimization.sub_group_size",
}


class ConfigQueries:
    """A mixin: one method a row of PATHS. The class that uses it has `_effective`, the effective config as a dict."""

    _effective: dict[str, Any]

    def config_value(self, path: str) -> Any:
        value: Any = self._effective
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def zero_optimization(self) -> bool:
        return bool(self.config_value("zero_optimization.stage"))

    def zero_optimization_partition_gradients(self) -> bool:
        return self.config_value("zero_optimization.stage") >= 2

    def zero_optimization_partition_weights(self) -> bool:
        return self.config_value("zero_optimization.stage") >= 3

    def zero_use_cpu_optimizer(self) -> bool:
        return (self.config_value("zero_optimization.offload_optimizer.device") or "none") != "none"

    zero_cpu_offload = zero_use_cpu_optimizer

    def dynamic_loss_scale(self) -> bool:
        return bool(self.config_value("fp16.enabled")) and not self.config_value("fp16.loss_scale")

    def initial_dynamic_scale(self) -> float:
        return 2.0 ** self.config_value("fp16.initial_scale_power")

    def postscale_gradients(self) -> bool:
        return not self.config_value("prescale_gradients")

    def optimizer_name(self) -> str | None:
        return self.config_value("optimizer.type")

    def optimizer_params(self) -> dict[str, Any] | None:
        return self.config_value("optimizer.params")

    def scheduler_name(self) -> str | None:
        return self.config_value("scheduler.type")

    def scheduler_params(self) -> dict[str, Any] | None:
        return self.config_value("scheduler.params")


def _query(path: str) -> Callable[[ConfigQueries], Any]:
    def query(self: ConfigQueries) -> Any:
        return self.config_value(path)

    query.__doc__ = f"The config's `{path}`."
    return query


for _name, _path in PATHS.items():
    setattr(ConfigQueries, _name, _query(_path))

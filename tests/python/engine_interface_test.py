"""Every name of DeepSpeed 0.19.8's engine is there, and the config's getters read the right values."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.native

METHODS = """
    all_gather_scalar allreduce_and_copy allreduce_bucket allreduce_gradients allreduce_no_retain backward
    buffered_allreduce_fallback clip_fp32_gradients coalesce_grad_reduction collect_python_gc compile deepspeed_io
    destroy empty_partition_cache eval forward get_autosp_backend get_autotp_backend get_batch_info
    get_compile_time get_data_parallel_rank get_data_types get_deepcompile_backend get_deepspeed_compile_backend
    get_global_grad_norm get_lr get_model_parallel_rank get_mom get_optimizer_configuration
    get_sequence_parallel_group get_tensor_parallel_rank get_type get_wall_clock_timers
    gradient_accumulation_steps is_deepcompile_active is_deepcompile_enabled is_gradient_accumulation_boundary
    is_iterable_style_dataset is_map_style_dataset load_checkpoint load_moe_state_dict load_module_state_dict
    module_state_dict no_sync offload_states print_forward_breakdown register_compile_pass reload_states
    save_16bit_model save_checkpoint save_fp16_model scale set_custom_curriculum_learning_schedule
    set_data_post_process_func set_gradient_accumulation_boundary set_train_batch_size set_train_micro_batch_size
    sparse_all_gather sparse_allreduce sparse_allreduce_bucket sparse_allreduce_no_retain step train
    train_batch_size train_micro_batch_size_per_gpu was_step_applied zero_grad _consolidated_16bit_state_dict
    _zero3_consolidated_16bit_state_dict
""".split()
NOT_LANDED_GETTERS = "random_ltd_initialize swap_tensor_config".split()
GETTERS = """
    aio_config autotp_size autotuning_enabled autotuning_end_profile_step autotuning_metric autotuning_metric_path
    autotuning_model_info_path autotuning_profile_model_info autotuning_start_profile_step
    bf16_master_weights_and_gradients bf16_optimizer_states bfloat16_enabled checkpoint_serialization_enabled
    checkpoint_tag_validation_enabled checkpoint_tag_validation_fail checkpoint_writer_enabled compile_autosp
    compile_autotp compile_zero_optimization_stage cpuadam_cores_perc curriculum_learning_config
    curriculum_learning_enabled data_efficiency_config data_efficiency_enabled data_sampling_config
    data_sampling_enabled dataloader_drop_last dump_state dynamic_loss_scale dynamic_loss_scale_args
    flops_profiler_detailed flops_profiler_enabled flops_profiler_module_depth flops_profiler_output_file
    flops_profiler_profile_step flops_profiler_recompute_fwd_factor flops_profiler_top_modules fp16_auto_cast
    fp16_enabled fp16_master_weights_and_gradients gradient_clipping gradient_predivide_factor initial_dynamic_scale
    is_first_weights_partition_group is_sanity_checks_enabled load_universal_checkpoint log_level loss_scale
    managed_gradient_accumulation memory_breakdown optimizer_legacy_fusion optimizer_name optimizer_params
    postscale_gradients random_ltd_config random_ltd_enabled scheduler_name scheduler_params steps_per_print
    super_offload tensor_parallel_config torch_autocast_dtype torch_autocast_enabled
    torch_autocast_lower_precision_safe_modules use_node_local_storage uses_parallelization_pass_only
    wall_clock_breakdown zenflow_config zero_allgather_bucket_size zero_allgather_partitions
    zero_allgather_sequential zero_allow_untested_optimizer zero_compute_grad_norm zero_contiguous_gradients
    zero_cpu_offload zero_elastic_checkpoint zero_force_ds_cpu_optimizer zero_gather_16bit_weights_on_model_save
    zero_hpz_partition_size zero_ignore_unused_parameters zero_legacy_stage1 zero_load_from_fp32_weights
    zero_log_trace_cache_warnings zero_max_live_parameters zero_max_reuse_distance zero_model_persistence_threshold
    zero_module_granularity_threshold zero_multi_rank_bucket_allreduce zero_nvme_offload_optimizer
    zero_offload_optimizer zero_offload_param zero_optimization zero_optimization_partition_gradients
    zero_optimization_partition_weights zero_optimization_stage zero_overlap_comm zero_param_persistence_threshold
    zero_parameter_alignment zero_partial_offload zero_prefetch_bucket_size zero_quantized_gradients
    zero_quantized_nontrainable_weights zero_quantized_weights zero_reduce_bucket_size zero_reduce_scatter
    zero_round_robin_gradients zero_save_muon_momentum_buffer_in_memory zero_sub_group_size zero_use_cpu_optimizer
""".split()


def queries(**config: Any) -> Any:
    """An object with the getters of an engine of that config."""
    from deepspeed import _C
    from deepspeed.runtime.config_queries import ConfigQueries

    holder = ConfigQueries()
    holder._effective = json.loads(_C.resolve_config(json.dumps({"train_batch_size": 4, **config}), 1)[1])
    return holder


def test_the_engine_has_every_method() -> None:
    from deepspeed import DeepSpeedEngine

    names = [*METHODS, *GETTERS, *NOT_LANDED_GETTERS]
    assert [name for name in names if not callable(getattr(DeepSpeedEngine, name, None))] == []


def test_every_path_of_a_getter_exists() -> None:
    from deepspeed.runtime.config_queries import PATHS

    full = queries(
        optimizer={"type": "Adam", "params": {}},
        scheduler={"type": "WarmupLR", "params": {}},
        zero_optimization={"offload_optimizer": {"device": "none"}},
    )
    for name, path in PATHS.items():
        *parents, key = path.split(".")
        section = full.config_value(".".join(parents)) if parents else full._effective
        assert key in section, name


def test_every_getter_answers_for_the_smallest_config() -> None:
    smallest = queries()
    for name in GETTERS:
        getattr(smallest, name)()


def test_getters_that_are_no_plain_values() -> None:
    default = queries()
    assert default.zero_optimization() is default.zero_optimization_partition_gradients() is False
    assert default.zero_overlap_comm() is True
    assert (default.zero_use_cpu_optimizer(), default.zero_cpu_offload(), default.zero_nvme_offload_optimizer()) == (
        False, False, False,
    )  # fmt: skip
    assert (default.zero_partial_offload(), default.super_offload(), default.cpuadam_cores_perc()) == (1.0, False, 0.9)
    assert default.dynamic_loss_scale() is False and default.postscale_gradients() is True
    assert default.checkpoint_tag_validation_enabled() and not default.checkpoint_tag_validation_fail()
    assert default.autotuning_metric_path() == os.path.join(os.getcwd(), "autotuning_metric.json")
    assert default.torch_autocast_dtype() is None
    assert default.torch_autocast_lower_precision_safe_modules()[0] == "torch.nn.modules.linear.Linear"
    assert default.optimizer_name() is default.scheduler_params() is None


def test_getters_follow_the_config(tmp_path: Any) -> None:
    given = queries(
        fp16={"enabled": True, "initial_scale_power": 4, "loss_scale_window": 7, "hysteresis": 3},
        zero_optimization={"stage": 2, "overlap_comm": False},
        prescale_gradients=True,
        checkpoint={"tag_validation": "Fail", "writer": {}},
        torch_autocast={"dtype": "bf16", "lower_precision_safe_modules": ["torch.nn.Linear"]},
        compile={"passes": ["z1", "autosp"]},
        autotuning={"metric_path": str(tmp_path / "m.json")},
        optimizer={"type": "Adam", "params": {"lr": 0.1}},
    )
    assert given.zero_optimization() is given.zero_optimization_partition_gradients() is True
    assert given.zero_optimization_partition_weights() is given.zero_overlap_comm() is False
    assert given.dynamic_loss_scale() is True and given.postscale_gradients() is False
    assert given.dynamic_loss_scale_args() == {
        "init_scale": 16.0, "scale_window": 7, "delayed_shift": 3, "consecutive_hysteresis": False, "min_scale": 1,
    }  # fmt: skip
    assert given.checkpoint_tag_validation_fail() and given.checkpoint_writer_enabled()
    assert given.torch_autocast_dtype() is torch.bfloat16
    assert given.torch_autocast_lower_precision_safe_modules() == ["torch.nn.Linear"]
    assert given.compile_zero_optimization_stage() and given.compile_autosp() and given.uses_parallelization_pass_only()
    assert not given.compile_autotp()
    assert given.autotuning_metric_path() == str(tmp_path / "m.json")
    assert given.optimizer_name() == "adam" and given.optimizer_params() == {"lr": 0.1}

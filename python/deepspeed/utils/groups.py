"""Process groups by role. Until other kinds of parallelism land, data parallelism has all ranks and the rest one."""

from __future__ import annotations

from typing import Any

from deepspeed import comm


def get_data_parallel_group() -> Any:
    """The group over which gradients are averaged: all ranks."""
    return comm.get_world_group()


def get_data_parallel_rank() -> int:
    return comm.get_rank()


def get_data_parallel_world_size() -> int:
    return comm.get_world_size()


def get_model_parallel_group() -> Any:
    """None: no model is split over ranks."""
    return None


def get_model_parallel_rank() -> int:
    return 0


def get_model_parallel_world_size() -> int:
    return 1


get_tensor_model_parallel_group = get_model_parallel_group
get_tensor_model_parallel_rank = get_model_parallel_rank
get_tensor_model_parallel_world_size = get_model_parallel_world_size

# The names with an underscore are what Transformers and Accelerate call.
_get_data_parallel_group = get_data_parallel_group
_get_data_parallel_rank = get_data_parallel_rank
_get_data_parallel_world_size = get_data_parallel_world_size
_get_sequence_data_parallel_group = get_data_parallel_group
_get_sequence_data_parallel_rank = get_data_parallel_rank
_get_sequence_data_parallel_world_size = get_data_parallel_world_size
_get_sequence_parallel_group = get_model_parallel_group
_get_sequence_parallel_rank = get_model_parallel_rank
_get_sequence_parallel_world_size = get_model_parallel_world_size
_get_model_parallel_group = get_model_parallel_group
_get_model_parallel_rank = get_model_parallel_rank
_get_model_parallel_world_size = get_model_parallel_world_size


def _get_local_rank() -> int:
    return comm.get_local_rank()

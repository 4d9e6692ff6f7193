"""Reducing and clipping gradients by hand. The functions are methods of DeepSpeedEngine.

A training step needs none of them: `backward` and `step` reduce and clip. They serve scripts that keep gradients of
their own, and those that call DeepSpeed's steps one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

from deepspeed import comm
from deepspeed.runtime.config_queries import torch_dtype

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine

MEMORY_OPT_ALLREDUCE_SIZE = 500_000_000
"""Elements that are flattened and reduced together, by default."""


def communication_data_type(engine: DeepSpeedEngine) -> torch.dtype:
    """What gradients are sent as: the config's communication_data_type, else what they are accumulated in."""
    return torch_dtype(engine.config_value("communication_data_type")) or engine.get_data_types()[1]


def set_communication_data_type(engine: DeepSpeedEngine, value: torch.dtype) -> None:
    """The engine's own reductions are set up by the config: only the present type is accepted."""
    if value != engine.communication_data_type:
        raise NotImplementedError(
            f"[deepspeed.engine] communication_data_type: got {value}, but it is {engine.communication_data_type} "
            "since initialize. Set communication_data_type in the config."
        )


def clip_fp32_gradients(engine: DeepSpeedEngine) -> None:
    """Clips `.grad` by gradient_clipping, now, at stage 0 in float32. `step` clips at every stage without it."""
    if engine.gradient_clipping() > 0 and not engine.zero_optimization() and engine.compute_dtype is None:
        torch.nn.utils.clip_grad_norm_(engine.module.parameters(), engine.gradient_clipping())


def allreduce_gradients(engine: DeepSpeedEngine, bucket_size: int = MEMORY_OPT_ALLREDUCE_SIZE) -> None:
    """Reduces what backward left on this rank, where the engine reduces at this point at all: at stages 0 and 1 that
    is at a boundary, and never inside `no_sync`. Every rank calls it. Units are reduced one by one: `bucket_size` has
    no effect."""
    engine.core.begin_backward(True)  # a backward without gradients: only the reduction
    engine.core.end_backward()


def buffered_allreduce_fallback(
    engine: DeepSpeedEngine, grads: Any = None, elements_per_buffer: int = MEMORY_OPT_ALLREDUCE_SIZE
) -> None:
    """Averages the tensors `grads` in place over the data-parallel ranks; without them the engine's own gradients."""
    if grads is None:
        engine.allreduce_gradients(elements_per_buffer)
        return
    by_type: dict[torch.dtype, list[torch.Tensor]] = {}
    for each in grads:
        by_type.setdefault(each.dtype, []).append(each)
    for bucket in by_type.values():
        engine.allreduce_no_retain(bucket, engine.data_parallel_group, elements_per_buffer)


def allreduce_no_retain(
    engine: DeepSpeedEngine,
    bucket: Any,
    dp_group: Any,
    numel_per_bucket: int = MEMORY_OPT_ALLREDUCE_SIZE,
    dp_world_size: int | None = None,
) -> None:
    """Averages tensors of one type in place, about `numel_per_bucket` elements at a time."""
    part: list[torch.Tensor] = []
    for each in bucket:
        part.append(each)
        if sum(tensor.numel() for tensor in part) > numel_per_bucket:
            engine.allreduce_and_copy(part, dp_group, dp_world_size)
            part = []
    if part:
        engine.allreduce_and_copy(part, dp_group, dp_world_size)


def allreduce_and_copy(
    engine: DeepSpeedEngine, small_bucket: list[torch.Tensor], dp_group: Any, dp_world_size: int | None = None
) -> None:
    """Averages tensors of one type in place, all at once."""
    reduced = engine.allreduce_bucket(small_bucket, dp_group, dp_world_size)
    for each, value in zip(small_bucket, _unflatten_dense_tensors(reduced, small_bucket), strict=True):
        each.copy_(value)


def allreduce_bucket(
    engine: DeepSpeedEngine, bucket: list[torch.Tensor], dp_group: Any, dp_world_size: int | None = None
) -> torch.Tensor:
    """One flat tensor with the average of `bucket`, sent and scaled as the config asks for gradients."""
    flat = _flatten_dense_tensors(bucket)
    sent = flat.to(engine.communication_data_type)
    ranks = dp_world_size or comm.get_world_size(dp_group)
    divisor = ranks if engine.config_value("gradient_allreduce_op") == "mean" else 1
    before = engine.gradient_predivide_factor() if engine.postscale_gradients() else divisor
    if before != 1:
        sent = sent / before
    comm.all_reduce(sent, group=dp_group)
    if before != divisor:
        sent = sent * (before / divisor)
    return sent.to(flat.dtype)


def sparse_all_gather(engine: DeepSpeedEngine, value: torch.Tensor, dp_group: Any) -> list[torch.Tensor]:
    """`value` of every rank; the ranks' first sizes may differ."""
    length = torch.tensor([value.size(0)], device=value.device)
    lengths = [int(each) for each in engine.all_gather_scalar(length, dp_group)]
    padded = value.new_zeros(max(lengths), *value.shape[1:])
    padded[: value.size(0)] = value
    gathered = engine.all_gather_scalar(padded, dp_group)
    return [each[:length] for each, length in zip(gathered, lengths, strict=True)]


def all_gather_scalar(engine: DeepSpeedEngine, value: torch.Tensor, dp_group: Any) -> list[torch.Tensor]:
    """`value` of every rank; it has one shape on all."""
    gathered = [torch.empty_like(value) for _ in range(comm.get_world_size(dp_group))]
    comm.all_gather(gathered, value, group=dp_group)
    return gathered

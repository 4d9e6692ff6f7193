"""Small helpers that training scripts import from `deepspeed.runtime.utils`."""

from __future__ import annotations

import random
from typing import Any, Callable, Iterable, Sequence

import torch

from deepspeed.accelerator import get_accelerator
from deepspeed.utils import logger

__all__ = [
    "CheckOverflow",
    "clip_grad_norm_",
    "empty_cache",
    "get_global_norm",
    "has_inf_or_nan",
    "memory_status",
    "move_to_device",
    "partition_balanced",
    "partition_uniform",
    "see_memory_usage",
    "set_random_seed",
]


def set_random_seed(seed: int) -> None:
    """Seeds Python's, numpy's and torch's generators alike."""
    import numpy

    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def move_to_device(
    item: Any, device: torch.device | str, criterion_func: Callable[[torch.Tensor], bool] | None = None
) -> Any:
    """`item` with every tensor (for which `criterion_func` holds) on `device`; dicts, lists and tuples are entered."""
    if isinstance(item, torch.Tensor):
        return item.to(device) if criterion_func is None or criterion_func(item) else item
    if isinstance(item, dict):
        return type(item)({key: move_to_device(value, device, criterion_func) for key, value in item.items()})
    if isinstance(item, (list, tuple)):
        moved = [move_to_device(each, device, criterion_func) for each in item]
        return type(item)(*moved) if hasattr(item, "_fields") else type(item)(moved)
    return item.to(device) if hasattr(item, "to") else item


def clip_grad_norm_(
    parameters: torch.Tensor | Iterable[torch.Tensor], max_norm: float, norm_type: float = 2, mpu: Any = None
) -> torch.Tensor:
    """torch's clipping of whole gradients; returns the norm before it. The engine clips by `gradient_clipping`."""
    if mpu is not None and mpu.get_model_parallel_world_size() > 1:
        raise NotImplementedError("[deepspeed.runtime.utils] clip_grad_norm_ over a split model has not landed.")
    return torch.nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)


def get_global_norm(norm_list: Sequence[float]) -> float:
    """The 2-norm of a whole from the 2-norms of its parts."""
    return sum(norm**2.0 for norm in norm_list) ** 0.5


def has_inf_or_nan(tensor: torch.Tensor) -> bool:
    """Whether an element is infinite or no number."""
    return not bool(torch.isfinite(tensor).all())


class CheckOverflow:
    """Looks for inf and nan in gradients by hand; the engine does so itself under fp16 and bf16."""

    def __init__(self, param_groups: Iterable[Any] | None = None, mpu: Any = None, **_: Any) -> None:
        self.params = [parameter for group in param_groups or () for parameter in group]

    def check(self, param_groups: Iterable[Any] | None = None) -> bool:
        """Whether a gradient on this rank overflowed."""
        parameters = self.params if param_groups is None else [each for group in param_groups for each in group]
        return any(each.grad is not None and has_inf_or_nan(each.grad) for each in parameters)


def partition_uniform(num_items: int, num_parts: int) -> list[int]:
    """The `num_parts` + 1 bounds of parts whose sizes differ by one at most; the first ones are the larger."""
    size, rest = divmod(num_items, num_parts)
    return [part * size + min(part, rest) for part in range(num_parts + 1)]


def partition_balanced(weights: Sequence[float], num_parts: int) -> list[int]:
    """The `num_parts` + 1 bounds of contiguous parts whose largest sum of weights is as small as possible."""
    totals = [0.0]
    for weight in weights:
        totals.append(totals[-1] + weight)
    # best[i]: the smallest largest sum that the first i items allow in the parts so far; cuts: where each part starts.
    best = list(totals)
    cuts: list[list[int]] = []
    for _ in range(1, num_parts):
        step = [min((max(best[start], totals[end] - totals[start]), start) for start in range(end + 1))
                for end in range(len(totals))]  # fmt: skip
        best = [value for value, _ in step]
        cuts.append([start for _, start in step])
    bounds = [len(weights)]
    for starts in reversed(cuts):
        bounds.append(starts[bounds[-1]])
    return [0, *reversed(bounds)]


def see_memory_usage(message: str, force: bool = False) -> None:
    """Logs the device's and the machine's memory on rank 0; does nothing unless `force`."""
    from deepspeed import comm

    if not force or (comm.is_initialized() and comm.get_rank() != 0):
        return
    logger.info("%s", message)
    logger.info("%s", memory_status())


def memory_status() -> str:
    """Bytes held now and at most on this rank's device, in GB."""
    accelerator = get_accelerator()
    sizes = {
        "MA": accelerator.memory_allocated(),
        "Max_MA": accelerator.max_memory_allocated(),
        "CA": accelerator.memory_reserved(),
        "Max_CA": accelerator.max_memory_reserved(),
    }
    return " ".join(f"{name} {size / 2**30:.2f} GB" for name, size in sizes.items())


def empty_cache() -> None:
    """Gives cached device memory back and starts the peak count again."""
    get_accelerator().empty_cache()
    get_accelerator().reset_peak_memory_stats()

"""Whole values of what ZeRO shards, by parameter: DeepSpeed's safe_get_* and safe_set_* functions.

The `full` ones are collective: every rank calls them. They return None for a parameter that no engine trains.
"""

from __future__ import annotations

from typing import Any

import torch


def _find(parameter: torch.nn.Parameter) -> tuple[Any, str] | None:
    from deepspeed.runtime.live_engines import engine_of

    return engine_of(parameter)


def safe_get_full_fp32_param(param: torch.nn.Parameter) -> torch.Tensor | None:
    """The float32 master weight, shaped like the parameter."""
    found = _find(param)
    return found[0].core.full_fp32_parameter(found[1]) if found else None


def safe_set_full_fp32_param(param: torch.nn.Parameter, value: torch.Tensor) -> None:
    """Sets master weight and parameter."""
    if found := _find(param):
        found[0].core.set_full_fp32_parameter(found[1], value)


def safe_get_full_grad(param: torch.nn.Parameter) -> torch.Tensor | None:
    """The gradient, averaged over the ranks, between backward and step."""
    found = _find(param)
    return found[0].core.full_gradient(found[1]) if found else None


def safe_set_full_grad(param: torch.nn.Parameter, value: torch.Tensor) -> None:
    """Replaces the gradient that the next step uses."""
    if found := _find(param):
        found[0].core.set_full_gradient(found[1], value)


def safe_get_full_optimizer_state(param: torch.nn.Parameter, optim_state_key: str) -> torch.Tensor | None:
    """A moment ("exp_avg", "exp_avg_sq", ...), shaped like the parameter."""
    found = _find(param)
    return found[0].core.full_optimizer_state(found[1], optim_state_key) if found else None


def safe_set_full_optimizer_state(param: torch.nn.Parameter, value: torch.Tensor, optim_state_key: str) -> None:
    """Sets a moment."""
    if found := _find(param):
        found[0].core.set_full_optimizer_state(found[1], optim_state_key, value)


def _local_only_at_stage_3(*args: Any, **kwargs: Any) -> None:
    raise NotImplementedError("[deepspeed.utils] safe_*_local_* see the shards of ZeRO-3, which has not landed yet.")


safe_get_local_fp32_param = safe_set_local_fp32_param = _local_only_at_stage_3
safe_get_local_grad = safe_set_local_grad = _local_only_at_stage_3
safe_get_local_optimizer_state = safe_set_local_optimizer_state = _local_only_at_stage_3

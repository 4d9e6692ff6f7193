"""Inputs in the module's 16-bit type, under fp16."""

from __future__ import annotations

from typing import Any

import torch


def cast_inputs(value: Any, dtype: torch.dtype) -> Any:
    """`value` with every float32 tensor in it as `dtype`; tuples, lists and dicts are entered."""
    if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
        return value.to(dtype)
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(cast_inputs(each, dtype) for each in value)
    if type(value) is dict:
        return {key: cast_inputs(each, dtype) for key, each in value.items()}
    return value

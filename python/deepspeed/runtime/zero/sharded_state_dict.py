"""`state_dict()` of a module whose parameters are sharded gives whole tensors, on the CPU."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator

import torch
from torch import nn

from deepspeed import _C

_keeps_values = True


def attach(module: nn.Module) -> list[Any]:
    """Hooks on every module that owns sharded parameters; every rank calls `state_dict()`. Returns their handles."""
    return [
        each.register_state_dict_post_hook(_fill_in)
        for each in module.modules()
        if any(_C.is_sharded(parameter) for parameter in each.parameters(recurse=False))
    ]


@contextlib.contextmanager
def kept_on(here: bool) -> Iterator[None]:
    """Inside, ranks with `here` false take part in gathering and keep empty tensors."""
    global _keeps_values
    before, _keeps_values = _keeps_values, here
    try:
        yield
    finally:
        _keeps_values = before


def _fill_in(module: nn.Module, state: dict[str, Any], prefix: str, local_metadata: Any) -> None:
    for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
        value = state.get(prefix + name)
        # keep_vars asks for the parameters themselves.
        if not isinstance(value, torch.Tensor) or value is parameter or not _C.is_sharded(value):
            continue
        whole = value if _keeps_values else value.view(-1)[:0]
        state[prefix + name] = whole.to("cpu", copy=True)

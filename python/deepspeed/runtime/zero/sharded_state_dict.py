"""`state_dict()` of a module whose parameters are sharded gives whole tensors, on the CPU.

[Note: Saving with a given state dict] Hugging Face's scripts end with `model.save_pretrained(folder, is_main_process=...,
state_dict=accelerator.get_state_dict(engine))`. On all ranks but the first that state dict is None, and
`save_pretrained` then asks the model for its own, which nobody writes; the first rank has one and does not come. So
between a consolidated state dict and the next micro-batch, `state_dict()` inside a `save_pretrained` that was told
`is_main_process=False` gathers nothing. Where `save_pretrained` itself asks, the state dict is empty: transformers 4
writes what it has on every rank, over the first rank's file. Elsewhere (PEFT picks out names first) it has tensors
without data (device meta), which cannot be written.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import weakref
from types import FrameType
from typing import Any, Callable, Iterator

import torch
from torch import nn

from deepspeed import _C
from deepspeed.runtime.own_hook import OwnHook

_keeps_values = True
_aside: dict[nn.Module, dict[str, nn.Parameter | None]] = {}
_left_to_first: weakref.WeakKeyDictionary[nn.Module, Callable[[], bool]] = weakref.WeakKeyDictionary()


def attach(module: nn.Module) -> list[Any]:
    """Hooks on every module that owns sharded parameters; every rank calls `state_dict()`. Returns their handles."""
    owners = [each for each in module.modules() if any(map(_C.is_sharded, each.parameters(recurse=False)))]
    root = weakref.ref(module)
    hooks = [
        hook
        for each in owners
        for hook in (
            each.register_state_dict_pre_hook(OwnHook(functools.partial(_put_aside, root))),
            each.register_state_dict_post_hook(OwnHook(_fill_in)),
        )
    ]
    return [*hooks, module.register_state_dict_post_hook(OwnHook(_leave_out))] if owners else []


@contextlib.contextmanager
def kept_on(here: bool) -> Iterator[None]:
    """Inside, ranks with `here` false take part in gathering and keep empty tensors."""
    global _keeps_values
    before, _keeps_values = _keeps_values, here
    try:
        yield
    finally:
        _keeps_values = before


def leave_to_first_rank(root: nn.Module, still: Callable[[], bool]) -> None:
    """The first rank has the whole state dict of `root`, this one has none; see the note. For as long as `still` says
    true."""
    _left_to_first[root] = still


def _saves_nothing_here(root: nn.Module | None) -> FrameType | None:
    """The `save_pretrained` around this call, where it writes nothing of `root`; see the note."""
    still = _left_to_first.get(root) if root is not None else None
    frame: FrameType | None = sys._getframe(1) if still is not None and still() else None
    while frame is not None:
        if frame.f_code.co_name == "save_pretrained" and frame.f_locals.get("is_main_process") is False:
            return frame
        frame = frame.f_back
    return None


def _leave_out(module: nn.Module, state: dict[str, Any], prefix: str, local_metadata: Any) -> None:
    """The whole state dict is empty where `save_pretrained` itself asked for it."""
    saving = _saves_nothing_here(module)
    frame: FrameType | None = sys._getframe(1)
    between = (nn.Module.__module__, OwnHook.__module__)
    while saving is not None and frame is not None and frame.f_globals.get("__name__") in between:
        frame = frame.f_back
    if saving is not None and frame is saving:
        state.clear()


def _put_aside(root: weakref.ref[nn.Module], module: nn.Module, prefix: str, keep_vars: bool) -> None:
    """Where nothing is gathered, tensors without data stand in for the parameters until _fill_in."""
    if module in _aside:  # a state_dict() that threw left them there
        module._parameters = _aside.pop(module)
    if _saves_nothing_here(root()):
        _aside[module] = module._parameters
        module._parameters = {
            name: nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype, device="meta"))
            for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
        }


def _fill_in(module: nn.Module, state: dict[str, Any], prefix: str, local_metadata: Any) -> None:
    if module in _aside:
        module._parameters = _aside.pop(module)
        return
    for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
        value = state.get(prefix + name)
        # keep_vars asks for the parameters themselves.
        if not isinstance(value, torch.Tensor) or value is parameter or not _C.is_sharded(value):
            continue
        whole = value if _keeps_values else value.view(-1)[:0]
        state[prefix + name] = whole.to("cpu", copy=True)

"""Tells the C++ engine which module runs forward, through hooks on the modules."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any, Callable

import torch
from torch import nn

from deepspeed.runtime.own_hook import OwnHook


class ForwardEvents:
    """The root's hook stays; the others only tell the first forward's order, from which reductions are ordered.

    The hooks hold this object weakly: they fall silent when the engine that owns it is gone.
    """

    def __init__(self, module: nn.Module, core: Any) -> None:
        self._core = core
        this = weakref.proxy(self)
        self._hooks = [
            each.register_forward_pre_hook(OwnHook(_event(this, index)))  # type: ignore[arg-type]
            for index, (path, each) in enumerate(module.named_modules())
            if not path or _may_have_hook(each)
        ]

    def detach(self) -> None:
        """Removes all hooks."""
        self._drop_hooks_from(0)

    def before_forward(self, index: int) -> None:
        if index and not torch.is_grad_enabled():
            return
        self._core.before_forward(index)
        if index and not self._core.wants_module_events():
            self._drop_hooks_from(1)

    def _drop_hooks_from(self, first: int) -> None:
        for handle in self._hooks[first:]:
            handle.remove()
        del self._hooks[first:]


def _may_have_hook(module: nn.Module) -> bool:
    """It owns parameters, and is no TorchScript, which refuses hooks."""
    return next(module.parameters(recurse=False), None) is not None and not isinstance(module, torch.jit.ScriptModule)


def _event(events: Any, index: int) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: Any) -> None:
        with contextlib.suppress(ReferenceError):
            events.before_forward(index)

    return hook

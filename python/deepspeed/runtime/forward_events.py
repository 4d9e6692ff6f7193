"""Tells the C++ engine which module runs forward, through hooks on the modules."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any, Callable

import torch
from torch import nn


class ForwardEvents:
    """The root's hook stays; the others only tell the first forward's order, from which reductions are ordered.

    The hooks hold this object weakly: they go when the engine that owns it is gone.
    """

    def __init__(self, module: nn.Module, core: Any) -> None:
        self._core = core
        this = weakref.proxy(self)
        self._hooks = [
            each.register_forward_pre_hook(_event(this, index))
            for index, (path, each) in enumerate(module.named_modules())
            if not path or next(each.parameters(recurse=False), None) is not None
        ]
        weakref.finalize(self, _remove_all, self._hooks)

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


def _remove_all(hooks: list[Any]) -> None:
    while hooks:
        hooks.pop().remove()


def _event(events: Any, index: int) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: Any) -> None:
        with contextlib.suppress(ReferenceError):
            events.before_forward(index)

    return hook

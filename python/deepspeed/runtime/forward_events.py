"""Tells the C++ engine which module runs forward, through hooks on the modules."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any, Callable

import torch
from torch import nn

from deepspeed.runtime import compilation
from deepspeed.runtime.own_hook import OwnHook


class ForwardEvents:
    """The root's hook stays; the others only tell the first forward's order, from which reductions are ordered.

    The hooks hold this object weakly and go when the engine that owns it is gone. Of a model that torch.compile has a
    part in, the inner ones go before anything is traced: registration order then stands for forward's.
    """

    def __init__(self, module: nn.Module, core: Any) -> None:
        self._core = core
        self._module = weakref.ref(module)
        this = weakref.proxy(self)
        self._indices = [
            index
            for index, (path, each) in enumerate(module.named_modules())
            if path and _may_have_hook(each)
        ]
        modules = list(module.modules())
        self._root_hook: Any = module.register_forward_pre_hook(OwnHook(_root_event(this)))  # type: ignore[arg-type]
        self._hooks = [
            modules[index].register_forward_pre_hook(OwnHook(_event(this, index)))  # type: ignore[arg-type]
            for index in self._indices
        ]
        weakref.finalize(self, _remove_all, self._root_hook, self._hooks)
        self._is_attached = True
        compilation.prepare_inductor()

    def detach(self) -> None:
        """Removes all hooks."""
        self._is_attached = False
        self._root_hook.remove()
        self._drop_inner_hooks()

    def compile(self, module: nn.Module, options: dict[str, Any]) -> None:
        """torch.compile of the root module in place, with the root's event outside what is compiled."""
        module.compile(**options)
        self._root_hook.remove()
        compiled, root_event = module._compiled_call_impl, _root_event(weakref.proxy(self))

        def call(*inputs: Any, **kwargs: Any) -> Any:
            root_event(module, inputs)
            return compiled(*inputs, **kwargs)

        module._compiled_call_impl = call

    def before_root(self) -> None:
        if not self._is_attached:
            return
        compilation.prepare_inductor()
        self._core.before_forward(0)
        if not self._indices:
            return
        module = self._module()
        if self._hooks and module is not None and any(map(_is_compiled, module.modules())):
            self._drop_inner_hooks()
        if not self._hooks and torch.is_grad_enabled():
            for index in self._indices:
                self._core.before_forward(index)
            self._indices.clear()

    def before_module(self, index: int) -> None:
        if not torch.is_grad_enabled():
            return
        self._core.before_forward(index)
        if not self._core.wants_module_events():
            self._drop_inner_hooks()
            self._indices.clear()

    def _drop_inner_hooks(self) -> None:
        for handle in self._hooks:
            handle.remove()
        self._hooks.clear()


def _is_compiled(module: nn.Module) -> bool:
    """By `module.compile()`, or as the wrapper that torch.compile(module) returns."""
    return getattr(module, "_compiled_call_impl", None) is not None or "_orig_mod" in module._modules


def _root_event(events: Any) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: Any) -> None:
        with contextlib.suppress(ReferenceError):
            events.before_root()

    hook._torchdynamo_disable = True  # type: ignore[attr-defined]  # torch.compiler.disable, which imports the compiler
    return hook


def _may_have_hook(module: nn.Module) -> bool:
    """It owns parameters, and is no TorchScript, which refuses hooks."""
    return next(module.parameters(recurse=False), None) is not None and not isinstance(module, torch.jit.ScriptModule)


def _remove_all(root: Any, others: list[Any]) -> None:
    root.remove()
    while others:
        others.pop().remove()


def _event(events: Any, index: int) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: Any) -> None:
        if torch.compiler.is_compiling():
            return
        with contextlib.suppress(ReferenceError):
            events.before_module(index)

    return hook

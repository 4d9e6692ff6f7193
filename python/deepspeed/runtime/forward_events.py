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
        self._root_hooks: list[Any] = []
        if getattr(module, "_compiled_call_impl", None) is None:
            self._root_hooks.append(module.register_forward_pre_hook(OwnHook(_root_event(this))))  # type: ignore[arg-type]
        else:
            self._wrap_compiled(module)
        self._hooks = [
            modules[index].register_forward_pre_hook(OwnHook(_event(this, index)))  # type: ignore[arg-type]
            for index in self._indices
        ]
        weakref.finalize(self, _remove_all, self._root_hooks, self._hooks)
        self._is_attached = True
        compilation.prepare_inductor()

    def detach(self) -> None:
        """Removes all hooks."""
        self._is_attached = False
        _remove_all(self._root_hooks, self._hooks)
        module = self._module()
        call = getattr(module, "_compiled_call_impl", None)
        if module is not None and isinstance(call, _CompiledCall):
            module._compiled_call_impl = call.compiled

    def compile(self, module: nn.Module, options: dict[str, Any]) -> None:
        """torch.compile of the root module in place, with the root's event outside what is compiled."""
        module.compile(**options)
        _remove_all(self._root_hooks)
        self._wrap_compiled(module)

    def _wrap_compiled(self, module: nn.Module) -> None:
        compiled = module._compiled_call_impl
        if isinstance(compiled, _CompiledCall):  # of an engine that was dropped
            compiled = compiled.compiled
        module._compiled_call_impl = _CompiledCall(compiled, _root_event(weakref.proxy(self)))

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
        _remove_all(self._hooks)


class _CompiledCall:
    """The call of a compiled root module, with the root's event before it: outside what is compiled."""

    def __init__(self, compiled: Callable[..., Any], event: Callable[..., None]) -> None:
        self.compiled = compiled
        self._event = event

    def __call__(self, *inputs: Any, **kwargs: Any) -> Any:
        self._event(None, inputs)
        return self.compiled(*inputs, **kwargs)


def _is_compiled(module: nn.Module) -> bool:
    """By `module.compile()`, or as the wrapper that torch.compile(module) returns."""
    return getattr(module, "_compiled_call_impl", None) is not None or "_orig_mod" in module._modules


def _root_event(events: Any) -> Callable[..., None]:
    def hook(module: nn.Module | None, inputs: Any) -> None:
        with contextlib.suppress(ReferenceError):
            events.before_root()

    hook._torchdynamo_disable = True  # type: ignore[attr-defined]  # torch.compiler.disable, which imports the compiler
    return hook


def _may_have_hook(module: nn.Module) -> bool:
    """It owns parameters, and is no TorchScript, which refuses hooks."""
    return next(module.parameters(recurse=False), None) is not None and not isinstance(module, torch.jit.ScriptModule)


def _remove_all(*hooks: list[Any]) -> None:
    for each in hooks:
        while each:
            each.pop().remove()


def _event(events: Any, index: int) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: Any) -> None:
        if torch.compiler.is_compiling():
            return
        with contextlib.suppress(ReferenceError):
            events.before_module(index)

    return hook

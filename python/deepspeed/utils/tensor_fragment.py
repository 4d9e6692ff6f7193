"""What ZeRO shards, by parameter: DeepSpeed's safe_get_* and safe_set_* functions.

The `full` ones are collective: every rank calls them. All return None for a parameter that no engine trains, and where
there is no gradient yet; a gradient, master weight or moment of a frozen parameter cannot be set.

The `local` ones work at every stage: at 1 to 3 they see the elements that this rank owns, flat, empty where it owns
none; at stage 0 every rank has all. DeepSpeed (at stage 3 only) cuts every parameter into equal parts. Here a unit is
cut, so that ranks own unequal parts of a parameter: take the number of elements from what is returned.
"""

from __future__ import annotations

from typing import Any, Callable, Iterable

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


def safe_get_local_fp32_param(param: torch.nn.Parameter) -> torch.Tensor | None:
    """The elements of the float32 master weight that this rank owns, flat; a copy. See the note at the top."""
    found = _find(param)
    return found[0].core.local_fp32_parameter(found[1]) if found else None


def safe_set_local_fp32_param(param: torch.nn.Parameter, value: torch.Tensor) -> None:
    """Sets this rank's elements of master weight and parameter. Every rank calls it, each with its own part."""
    if found := _find(param):
        found[0].core.set_local_fp32_parameter(found[1], value)


def safe_get_local_grad(param: torch.nn.Parameter) -> torch.Tensor | None:
    """This rank's elements of the averaged gradient, between backward and step."""
    found = _find(param)
    return found[0].core.local_gradient(found[1]) if found else None


def safe_set_local_grad(param: torch.nn.Parameter, value: torch.Tensor) -> None:
    """Replaces this rank's elements of the gradient that the next step uses."""
    if found := _find(param):
        found[0].core.set_local_gradient(found[1], value)


def safe_get_local_optimizer_state(param: torch.nn.Parameter, optim_state_key: str) -> torch.Tensor | None:
    """This rank's elements of a moment."""
    found = _find(param)
    return found[0].core.local_optimizer_state(found[1], optim_state_key) if found else None


def safe_set_local_optimizer_state(param: torch.nn.Parameter, value: torch.Tensor, optim_state_key: str) -> None:
    """Sets this rank's elements of a moment."""
    if found := _find(param):
        found[0].core.set_local_optimizer_state(found[1], optim_state_key, value)


def safe_update_full_grad_vectorized(
    param_list: Iterable[torch.nn.Parameter],
    update_func: Callable[[torch.Tensor, torch.nn.Parameter], torch.Tensor],
) -> None:
    """Replaces each whole gradient by `update_func(gradient, parameter)`; those that lie together are gathered
    together. Parameters without a gradient are passed over. Every rank calls it with the same list."""
    of_engine: dict[Any, list[tuple[torch.nn.Parameter, str]]] = {}
    for param in param_list:
        if found := _find(param):
            of_engine.setdefault(found[0].core, []).append((param, found[1]))
    for core, named in of_engine.items():
        for (param, name), gradient in zip(named, core.full_gradients([name for _, name in named])):
            if gradient is not None:
                core.set_full_gradient(name, update_func(gradient, param))


def get_full_hp_param(self: torch.nn.Parameter, optim_state_key: str | None = None) -> torch.Tensor | None:
    """DeepSpeed's other name: the master weight, or the moment of that key."""
    return (
        safe_get_full_fp32_param(self)
        if optim_state_key is None
        else safe_get_full_optimizer_state(self, optim_state_key)
    )


def set_full_hp_param(self: torch.nn.Parameter, value: torch.Tensor, optim_state_key: str | None = None) -> None:
    """DeepSpeed's other name: sets the master weight, or the moment of that key."""
    if optim_state_key is None:
        safe_set_full_fp32_param(self, value)
    else:
        safe_set_full_optimizer_state(self, value, optim_state_key)


get_full_hp_grad, set_full_hp_grad = safe_get_full_grad, safe_set_full_grad

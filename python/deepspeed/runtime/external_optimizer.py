"""Optimizers that run their own `step`: any torch class without a kernel of ours, and every subclass.

Each parameter has one owner rank, where the user's object finds its gradient; the other ranks' objects see none and
pass it over. So the object's state lives on the owners only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from deepspeed import _C

_NUMBER = ":number"  # marks a state that is a Python number
_TYPES = {float: torch.float64}  # a Python float has more digits than torch's default type


class ExternalStep:
    """Runs the user's optimizer on what this rank owns; the engine calls it inside each boundary step."""

    def __init__(self, optimizer: Optimizer, parameters: dict[str, nn.Parameter]) -> None:
        self.optimizer = optimizer
        self._held = dict(parameters)  # name -> the parameter that the optimizer's groups hold

    def __call__(self, owned: list[Any]) -> None:
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
        for each in owned:
            self._holding(each).grad = each.gradient
        with torch.enable_grad():
            self.optimizer.step()
        for each in owned:
            self._held[each.name].grad = None

    def _holding(self, owned: Any) -> nn.Parameter:
        """The optimizer's parameter for `owned`: the model's own where it is whole and float32, else a float32 master in
        its place."""
        held = self._held[owned.name]
        if not _C.is_sharded(held) and held.data_ptr() == owned.master.data_ptr():
            return held
        master = nn.Parameter(owned.master)
        for group in self.optimizer.param_groups:
            group["params"] = [master if parameter is held else parameter for parameter in group["params"]]
        if held in self.optimizer.state:
            self.optimizer.state[master] = self.optimizer.state.pop(held)
        self._held[owned.name] = master
        return master

    def states(self) -> list[tuple[str, str, torch.Tensor]]:
        """(parameter, key, value) of all tensors and numbers in the optimizer's state on this rank."""
        found = []
        for name, parameter in self._held.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, torch.Tensor):
                    found.append((name, key, value))
                elif isinstance(value, (int, float)):
                    found.append((name, key + _NUMBER, torch.tensor(value, dtype=_TYPES.get(type(value)))))
                elif value is not None:
                    kind = type(value).__name__
                    raise TypeError(f"[checkpoint] optimizer state {key!r} of {name}: cannot store a {kind}.")
        return found

    def load_states(self, states: list[Any]) -> None:
        """Takes back what `states()` gave, for the parameters that this rank owns now."""
        self.optimizer.state.clear()
        for each in states:
            is_number = each.key.endswith(_NUMBER)
            key = each.key.removesuffix(_NUMBER)
            self.optimizer.state[self._held[each.name]][key] = each.value.item() if is_number else each.value

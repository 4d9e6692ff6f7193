"""What the optimizer classes share: checked numbers, closures, zero_grad, and states that are restored as they were."""

from __future__ import annotations

import json
from typing import Any, Callable

import torch
from torch.optim import Optimizer

from deepspeed import _C
from deepspeed.ops import standalone

_RANGED = ("lr", "eps", "weight_decay", "max_coeff", "min_coeff")


class StandaloneOptimizer(Optimizer):
    """A torch optimizer whose `step` calls `_update` once a parameter. The engine reads its groups instead."""

    _kind = ""  # as in a config
    _moments: tuple[str, ...] = ("exp_avg",)
    _kept: tuple[str, ...] = ("fp32_optimizer_states", "set_grad_none")  # what no group says, for copies and pickles

    def __init__(
        self, params: Any, defaults: dict[str, Any], fp32_states: bool = True, set_grad_none: bool = True
    ) -> None:
        self._check({**defaults})
        defaults.pop("amsgrad", None)
        super().__init__(params, defaults)
        self.fp32_optimizer_states = fp32_states
        self.set_grad_none = set_grad_none

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if isinstance(param_group, dict):  # torch names what is not
            own = {"amsgrad": False, **self.defaults}
            self._check({name: param_group.get(name, value) for name, value in own.items()})
        super().add_param_group(param_group)

    def _check(self, numbers: dict[str, Any]) -> None:
        """Ranges are the engine's own, which checks a config's optimizer by them."""
        if numbers.get("amsgrad"):
            raise ValueError(f"[{type(self).__name__}] amsgrad: got True, expected False: there is no such variant.")
        given: dict[str, Any] = {name: float(numbers[name]) for name in _RANGED if name in numbers}
        if "betas" in numbers:
            given["betas"] = [float(beta) for beta in numbers["betas"]]
        _C.optimizer_numbers(self._kind, json.dumps(given))

    def __getstate__(self) -> dict[str, Any]:
        """torch's, which copies and pickles groups and states only, with what the constructor was told besides."""
        return {**super().__getstate__(), **{name: getattr(self, name) for name in self._kept}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, but moments keep the dtype that they are stepped in: torch would round them to the parameter's."""
        super().load_state_dict(state_dict)
        saved_groups = zip(self.param_groups, state_dict["param_groups"], strict=True)
        for group, saved in saved_groups:
            for parameter, number in zip(group["params"], saved["params"], strict=True):
                dtype = standalone.state_dtype(parameter, self.fp32_optimizer_states)
                for name, value in state_dict["state"].get(number, {}).items():
                    if name in self._moments:
                        self.state[parameter][name] = value.to(device=parameter.device, dtype=dtype)

    def _flags(self) -> dict[str, float]:
        """What the kernel must know that no group says."""
        return {}

    def _update(self) -> standalone.Update:
        raise NotImplementedError

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step from the parameters' `.grad`; returns what `closure` returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        standalone.step(
            self, self._kind, self._moments, self.fp32_optimizer_states, self._flags(), self._update()
        )
        return loss

    def zero_grad(self, set_to_none: bool | None = None) -> None:
        """Drops the gradients, or fills them with zeros where `set_grad_none` was False."""
        super().zero_grad(self.set_grad_none if set_to_none is None else set_to_none)

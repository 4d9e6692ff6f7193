"""What the optimizer classes share: closures, zero_grad, and the refusal of amsgrad."""

from __future__ import annotations

from typing import Any, Callable

import torch
from torch.optim import Optimizer

from deepspeed.ops import standalone


class StandaloneOptimizer(Optimizer):
    """A torch optimizer whose `step` calls `_update` once a parameter. The engine reads its groups instead."""

    _kind = ""  # as in a config
    _moments: tuple[str, ...] = ("exp_avg",)

    def __init__(
        self, params: Any, defaults: dict[str, Any], fp32_states: bool = True, set_grad_none: bool = True
    ) -> None:
        if defaults.pop("amsgrad", False):
            raise ValueError(f"[{type(self).__name__}] amsgrad: got True, expected False: there is no such variant.")
        super().__init__(params, defaults)
        self.fp32_optimizer_states = fp32_states
        self.set_grad_none = set_grad_none

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

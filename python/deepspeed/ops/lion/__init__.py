"""Lion: `FusedLion` and `DeepSpeedCPULion`."""

from __future__ import annotations

from typing import Any

from deepspeed.ops import standalone
from deepspeed.ops._base import StandaloneOptimizer

__all__ = ["DeepSpeedCPULion", "FusedLion"]


class _Lion(StandaloneOptimizer):
    _kind = "lion"

    def _update(self) -> standalone.Update:
        return standalone.lion


class FusedLion(_Lion):
    """Lion with decoupled decay."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        set_grad_none: bool = True,
    ) -> None:
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay), set_grad_none=set_grad_none)


class DeepSpeedCPULion(_Lion):
    """Lion with decoupled decay. State is fp32 unless `fp32_optimizer_states` is False."""

    def __init__(
        self,
        model_params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0,
        fp32_optimizer_states: bool = True,
    ) -> None:
        defaults = dict(lr=lr, betas=betas, weight_decay=weight_decay)
        super().__init__(model_params, defaults, fp32_states=fp32_optimizer_states)

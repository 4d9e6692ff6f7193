"""Adagrad: `DeepSpeedCPUAdagrad`."""

from __future__ import annotations

from typing import Any

from deepspeed.ops import standalone
from deepspeed.ops._base import StandaloneOptimizer

__all__ = ["DeepSpeedCPUAdagrad"]


class DeepSpeedCPUAdagrad(StandaloneOptimizer):
    """Adagrad; the sum of squares is state["exp_avg_sq"]."""

    _kind = "adagrad"
    _moments = ("exp_avg_sq",)

    def __init__(
        self,
        model_params: Any,
        lr: float = 1e-2,
        eps: float = 1e-10,
        weight_decay: float = 0,
        amsgrad: bool = False,
        fp32_optimizer_states: bool = True,
    ) -> None:
        defaults = dict(lr=lr, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)
        super().__init__(model_params, defaults, fp32_states=fp32_optimizer_states)

    def _update(self) -> standalone.Update:
        return standalone.adagrad

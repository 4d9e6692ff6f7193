"""Adam and AdamW: `FusedAdam` and `DeepSpeedCPUAdam` differ in their constructors only."""

from __future__ import annotations

from typing import Any

from deepspeed.ops import standalone
from deepspeed.ops._base import StandaloneOptimizer

__all__ = ["DeepSpeedCPUAdam", "FusedAdam"]


class _Adam(StandaloneOptimizer):
    _kind = "adam"
    _moments = ("exp_avg", "exp_avg_sq")
    _kept = (*StandaloneOptimizer._kept, "adam_w_mode")
    adam_w_mode: bool

    def _flags(self) -> dict[str, float]:
        return {"adam_w_mode": float(self.adam_w_mode)}

    def _update(self) -> standalone.Update:
        return standalone.adam(decoupled=self.adam_w_mode)


class FusedAdam(_Adam):
    """AdamW where `adam_w_mode` (the default), else Adam."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        bias_correction: bool = True,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        adam_w_mode: bool = True,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        set_grad_none: bool = True,
    ) -> None:
        self.adam_w_mode = bool(adam_w_mode)
        defaults = dict(
            lr=lr, bias_correction=bias_correction, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad
        )
        super().__init__(params, defaults, set_grad_none=set_grad_none)


class DeepSpeedCPUAdam(_Adam):
    """AdamW where `adamw_mode` (the default), else Adam. State is fp32 unless `fp32_optimizer_states` is False."""

    def __init__(
        self,
        model_params: Any,
        lr: float = 1e-3,
        bias_correction: bool = True,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        adamw_mode: bool = True,
        fp32_optimizer_states: bool = True,
    ) -> None:
        self.adam_w_mode = bool(adamw_mode)
        defaults = dict(
            lr=lr, bias_correction=bias_correction, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad
        )
        super().__init__(model_params, defaults, fp32_states=fp32_optimizer_states)

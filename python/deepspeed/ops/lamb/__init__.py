"""LAMB: `FusedLamb`."""

from __future__ import annotations

from typing import Any

from deepspeed.ops import standalone
from deepspeed.ops._base import StandaloneOptimizer

__all__ = ["FusedLamb"]


class FusedLamb(StandaloneOptimizer):
    """LAMB with its trust ratio kept in [min_coeff, max_coeff].

    `max_grad_norm` must be 0: the engine clips, by `gradient_clipping` in the config.
    """

    _kind = "lamb"
    _moments = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        bias_correction: bool = True,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        eps_inside_sqrt: bool = False,
        weight_decay: float = 0.0,
        max_grad_norm: float = 0.0,
        max_coeff: float = 10.0,
        min_coeff: float = 0.01,
        amsgrad: bool = False,
    ) -> None:
        if max_grad_norm:
            raise ValueError(
                f"[FusedLamb] max_grad_norm: got {max_grad_norm}, expected 0. Set gradient_clipping in the config."
            )
        defaults = dict(
            lr=lr, bias_correction=bias_correction, betas=betas, eps=eps, eps_inside_sqrt=eps_inside_sqrt,
            weight_decay=weight_decay, max_coeff=max_coeff, min_coeff=min_coeff, amsgrad=amsgrad,
        )  # fmt: skip
        super().__init__(params, defaults)

    def _update(self) -> standalone.Update:
        return standalone.lamb

    def get_lamb_coeffs(self) -> list[float]:
        """The trust ratio of every parameter in the last step."""
        return [state["lamb_coeff"] for state in self.state.values() if "lamb_coeff" in state]

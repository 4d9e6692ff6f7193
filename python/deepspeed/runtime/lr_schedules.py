"""DeepSpeed's five named learning-rate schedules as scheduler objects for any optimizer."""

from __future__ import annotations

import argparse
from typing import Any

from deepspeed.runtime._schedule_values import schedule_values
from deepspeed.utils.log import logger

LR_SCHEDULE = "lr_schedule"
LR_RANGE_TEST = "LRRangeTest"
ONE_CYCLE = "OneCycle"
WARMUP_LR = "WarmupLR"
WARMUP_DECAY_LR = "WarmupDecayLR"
WARMUP_COSINE_LR = "WarmupCosineLR"
VALID_LR_SCHEDULES = [LR_RANGE_TEST, ONE_CYCLE, WARMUP_LR, WARMUP_DECAY_LR, WARMUP_COSINE_LR]


class _Schedule:
    """Sets `lr` (and, for OneCycle, the betas where there are any) of every group of an optimizer at each `step()`.

    `optimizer` is anything with `param_groups`. Construction sets iteration -1's values, the first `step()` 0's.
    """

    def __init__(self, optimizer: Any, params: dict[str, Any], last_batch_iteration: int = -1) -> None:
        self.optimizer = optimizer
        self.last_batch_iteration = last_batch_iteration
        self._params = {name: value for name, value in params.items() if value is not None}
        self._group_lrs = [float(group["lr"]) for group in optimizer.param_groups]
        self._apply()

    def _values(self) -> tuple[list[float], list[tuple[float, float]]]:
        return schedule_values(type(self).__name__, self._params, self._group_lrs, self.last_batch_iteration)

    def _apply(self) -> None:
        lrs, betas = self._values()
        for group, lr in zip(self.optimizer.param_groups, lrs):
            group["lr"] = lr
        for group, pair in zip(self.optimizer.param_groups, betas):
            if "betas" in group:
                group["betas"] = tuple(pair)
        self._last_lr = list(lrs)

    def step(self, last_batch_iteration: int | None = None) -> None:
        """Goes on by one iteration, or to the one given."""
        following = self.last_batch_iteration + 1
        self.last_batch_iteration = following if last_batch_iteration is None else last_batch_iteration
        self._apply()

    def get_lr(self) -> list[float]:
        """The learning rate of each group at the current iteration."""
        return self._values()[0]

    def get_last_lr(self) -> list[float]:
        """The learning rates that were set last."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, int]:
        return {"last_batch_iteration": self.last_batch_iteration}

    def load_state_dict(self, sd: dict[str, int]) -> None:
        """Continues from `sd`; the optimizer's groups get that iteration's values."""
        self.last_batch_iteration = sd["last_batch_iteration"]
        self._apply()


class LRRangeTest(_Schedule):
    """The rate grows without bound, to find the largest one that still trains."""

    def __init__(
        self,
        optimizer: Any,
        lr_range_test_min_lr: float | list[float] = 1e-3,
        lr_range_test_step_size: int = 2000,
        lr_range_test_step_rate: float = 1.0,
        lr_range_test_staircase: bool = False,
        last_batch_iteration: int = -1,
    ) -> None:
        params = dict(
            lr_range_test_min_lr=lr_range_test_min_lr,
            lr_range_test_step_size=lr_range_test_step_size,
            lr_range_test_step_rate=lr_range_test_step_rate,
            lr_range_test_staircase=lr_range_test_staircase,
        )
        super().__init__(optimizer, params, last_batch_iteration)


class OneCycle(_Schedule):
    """Up to cycle_max_lr, down to cycle_min_lr, then a slow decay; Adam's first beta goes the other way."""

    def __init__(
        self,
        optimizer: Any,
        cycle_min_lr: float | list[float],
        cycle_max_lr: float | list[float],
        decay_lr_rate: float = 0.0,
        cycle_first_step_size: int = 2000,
        cycle_second_step_size: int | None = None,
        cycle_first_stair_count: int = 0,
        cycle_second_stair_count: int | None = None,
        decay_step_size: int = 0,
        cycle_momentum: bool = True,
        cycle_min_mom: float = 0.8,
        cycle_max_mom: float = 0.9,
        decay_mom_rate: float = 0.0,
        last_batch_iteration: int = -1,
    ) -> None:
        params = dict(
            cycle_min_lr=cycle_min_lr, cycle_max_lr=cycle_max_lr, decay_lr_rate=decay_lr_rate,
            cycle_first_step_size=cycle_first_step_size, cycle_second_step_size=cycle_second_step_size,
            cycle_first_stair_count=cycle_first_stair_count, cycle_second_stair_count=cycle_second_stair_count,
            decay_step_size=decay_step_size, cycle_momentum=cycle_momentum, cycle_min_mom=cycle_min_mom,
            cycle_max_mom=cycle_max_mom, decay_mom_rate=decay_mom_rate,
        )  # fmt: skip
        super().__init__(optimizer, params, last_batch_iteration)
        if cycle_momentum and not all("betas" in group for group in optimizer.param_groups):
            logger.warning(
                f"[OneCycle] cycle_momentum: {type(optimizer).__name__} has no betas, so only its rate cycles. "
                "Set cycle_momentum to false to say so."
            )

    def get_mom(self) -> list[tuple[float, float]] | None:
        """The betas of each group at the current iteration, None where the momentum does not cycle."""
        return self._values()[1] or None


class WarmupLR(_Schedule):
    """Rises from warmup_min_lr to warmup_max_lr (None: the optimizer's own rate), then stays."""

    def __init__(
        self,
        optimizer: Any,
        warmup_min_lr: float | list[float] = 0.0,
        warmup_max_lr: float | list[float] | None = None,
        warmup_num_steps: int = 1000,
        warmup_type: str = "log",
        last_batch_iteration: int = -1,
    ) -> None:
        params = dict(
            warmup_min_lr=warmup_min_lr,
            warmup_max_lr=warmup_max_lr,
            warmup_num_steps=warmup_num_steps,
            warmup_type=warmup_type,
        )
        super().__init__(optimizer, params, last_batch_iteration)


class WarmupDecayLR(_Schedule):
    """As WarmupLR, then falls linearly to 0 at total_num_steps."""

    def __init__(
        self,
        optimizer: Any,
        total_num_steps: int,
        warmup_min_lr: float | list[float] = 0.0,
        warmup_max_lr: float | list[float] = 0.001,
        warmup_num_steps: int = 1000,
        warmup_type: str = "log",
        last_batch_iteration: int = -1,
    ) -> None:
        params = dict(
            total_num_steps=total_num_steps,
            warmup_min_lr=warmup_min_lr,
            warmup_max_lr=warmup_max_lr,
            warmup_num_steps=warmup_num_steps,
            warmup_type=warmup_type,
        )
        super().__init__(optimizer, params, last_batch_iteration)


class WarmupCosineLR(_Schedule):
    """Rises to the optimizer's own rate, then falls along a cosine to cos_min_ratio of it."""

    def __init__(
        self,
        optimizer: Any,
        total_num_steps: int,
        warmup_min_ratio: float = 0.0,
        warmup_num_steps: int = 1000,
        cos_min_ratio: float = 0.0001,
        warmup_type: str = "log",
        last_batch_iteration: int = -1,
    ) -> None:
        params = dict(
            total_num_steps=total_num_steps,
            warmup_min_ratio=warmup_min_ratio,
            warmup_num_steps=warmup_num_steps,
            cos_min_ratio=cos_min_ratio,
            warmup_type=warmup_type,
        )
        super().__init__(optimizer, params, last_batch_iteration)


# Command-line flag -> (type, default, help).
_FLAGS: dict[str, tuple[type, Any, str]] = {
    "lr_range_test_min_lr": (float, 0.001, "rate at which the range test starts"),
    "lr_range_test_step_rate": (float, 1.0, "growth of the rate per step size"),
    "lr_range_test_step_size": (int, 1000, "steps per growth"),
    "lr_range_test_staircase": (bool, False, "grow in stairs"),
    "cycle_first_step_size": (int, 1000, "steps of the cycle's rising half"),
    "cycle_first_stair_count": (int, -1, "stairs of the rising half"),
    "cycle_second_step_size": (int, -1, "steps of the falling half"),
    "cycle_second_stair_count": (int, -1, "stairs of the falling half"),
    "decay_step_size": (int, 1000, "steps per decay after the cycle"),
    "cycle_min_lr": (float, 0.01, "lowest rate of the cycle"),
    "cycle_max_lr": (float, 0.1, "highest rate of the cycle"),
    "decay_lr_rate": (float, 0.0, "decay of the rate after the cycle"),
    "cycle_momentum": (bool, False, "let the momentum cycle too"),
    "cycle_min_mom": (float, 0.8, "lowest momentum"),
    "cycle_max_mom": (float, 0.9, "highest momentum"),
    "decay_mom_rate": (float, 0.0, "decay of the momentum after the cycle"),
    "warmup_min_lr": (float, 0.0, "rate at which the warmup starts"),
    "warmup_max_lr": (float, 0.001, "rate after the warmup"),
    "warmup_num_steps": (int, 1000, "steps of the warmup"),
    "warmup_type": (str, "log", "log or linear"),
}


def add_tuning_arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds --lr_schedule and a flag for every parameter of a schedule to `parser`, which it returns."""
    group = parser.add_argument_group("Convergence Tuning", "Convergence tuning configurations")
    group.add_argument("--lr_schedule", type=str, default=None, help=f"one of {', '.join(VALID_LR_SCHEDULES)}")
    for name, (kind, default, text) in _FLAGS.items():
        if kind is bool:
            group.add_argument(f"--{name}", action="store_true", default=default, help=text)
        else:
            group.add_argument(f"--{name}", type=kind, default=default, help=text)
    return parser

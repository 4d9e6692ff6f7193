"""The one call behind all learning-rate schedules: the formulas live in C++."""

from __future__ import annotations

import json
from typing import Any, Sequence


def schedule_values(
    schedule: str, params: dict[str, Any], group_lrs: Sequence[float], iteration: int
) -> tuple[list[float], list[tuple[float, float]]]:
    """(a learning rate per group, betas per group or []) of `schedule` at `iteration`; -1 is before the first step.

    Raises ValueError that names an unknown or wrong parameter.
    """
    from deepspeed import _C

    lrs, betas = _C.schedule_values(schedule, json.dumps(params), list(group_lrs), iteration)
    return lrs, [(first, second) for first, second in betas]

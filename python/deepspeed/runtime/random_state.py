"""The random number generators of this process: torch's on the CPU and on the accelerator, Python's and numpy's."""

from __future__ import annotations

import random
from typing import Any

import numpy
import torch

from deepspeed.accelerator import get_accelerator


def capture() -> dict[str, Any]:
    """The state of every generator, in types that a checkpoint holds."""
    version, numbers, gauss = random.getstate()
    kind, keys, *rest = numpy.random.get_state()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": [version, torch.tensor(numbers, dtype=torch.int64), gauss],
        "numpy": [str(kind), keys.astype("int64"), *rest],
    }
    if _has_accelerator():
        state["accelerator"] = get_accelerator().get_rng_state()
    return state


def restore(state: dict[str, Any]) -> None:
    """Sets the generators to what `capture` gave; an accelerator's that it had not stays as it is."""
    torch.set_rng_state(state["torch"])
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    kind, keys, *rest = state["numpy"]
    numpy.random.set_state((kind, keys.astype("uint32"), *rest))
    if "accelerator" in state and _has_accelerator():
        get_accelerator().set_rng_state(state["accelerator"])


def _has_accelerator() -> bool:
    """Whether there are generators beside the CPU's."""
    return not get_accelerator().is_synchronized_device()

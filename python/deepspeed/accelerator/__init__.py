"""The device that this process computes on: `get_accelerator()`, chosen once."""

from __future__ import annotations

import os

from deepspeed.accelerator.cpu import CPU_Accelerator
from deepspeed.accelerator.cuda import CUDA_Accelerator
from deepspeed.accelerator.interface import DeepSpeedAccelerator

__all__ = [
    "CPU_Accelerator",
    "CUDA_Accelerator",
    "DeepSpeedAccelerator",
    "get_accelerator",
    "is_current_accelerator_supported",
    "set_accelerator",
]

_KINDS: dict[str, type[CPU_Accelerator] | type[CUDA_Accelerator]] = {"cpu": CPU_Accelerator, "cuda": CUDA_Accelerator}
_current: DeepSpeedAccelerator | None = None


def get_accelerator() -> DeepSpeedAccelerator:
    """The accelerator that DS_ACCELERATOR names; where it is unset, CUDA if torch sees a GPU, else the CPU.

    Raises ValueError where DS_ACCELERATOR names none of ours.
    """
    global _current
    if _current is None:
        name = os.environ.get("DS_ACCELERATOR", "")
        if name and name not in _KINDS:
            raise ValueError(f"[accelerator] DS_ACCELERATOR: got {name!r}, expected {' or '.join(sorted(_KINDS))}.")
        _current = _KINDS[name or ("cuda" if CUDA_Accelerator.is_present() else "cpu")]()
    return _current


def set_accelerator(accelerator: DeepSpeedAccelerator) -> None:
    """Makes `accelerator` the one that everything created from now on uses."""
    global _current
    if not isinstance(accelerator, DeepSpeedAccelerator):
        raise TypeError(f"[accelerator] got a {type(accelerator).__name__}, expected a DeepSpeedAccelerator.")
    _current = accelerator


def is_current_accelerator_supported() -> bool:
    """Whether `get_accelerator()` is of a kind that this package knows."""
    return get_accelerator().device_name() in _KINDS

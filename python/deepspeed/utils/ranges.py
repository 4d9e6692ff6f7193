"""Marks in the profiler's time line."""

from __future__ import annotations

import functools
from typing import Callable, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


def instrument_w_nvtx(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """`function`, with a range of its name round every call."""

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        from deepspeed.accelerator import get_accelerator

        accelerator = get_accelerator()
        accelerator.range_push(function.__qualname__)
        try:
            return function(*args, **kwargs)
        finally:
            accelerator.range_pop()

    return call

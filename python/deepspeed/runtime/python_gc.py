"""`disable_python_gc`: Python's cyclic garbage collector is off while an engine that asks for it lives."""

from __future__ import annotations

import gc
import weakref
from typing import Any

# The collector is one for the process, so is this count of the engines that hold it off.
_held = 0
_was_enabled = False


def hold_off(engine: Any) -> weakref.finalize[Any, Any]:
    """Turns the collector off until the returned function is called or `engine` is gone."""
    global _held, _was_enabled
    if _held == 0:
        _was_enabled = gc.isenabled()
        gc.disable()
    _held += 1
    return weakref.finalize(engine, _release)


def _release() -> None:
    global _held
    _held -= 1
    if _held == 0 and _was_enabled:
        gc.enable()


def collect_python_gc(engine: Any) -> int:
    """Collects now; returns how many unreachable objects were found."""
    return gc.collect()

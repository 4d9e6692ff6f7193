"""Which engine trains a parameter."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine

_ENGINES: weakref.WeakSet[DeepSpeedEngine] = weakref.WeakSet()


def add(engine: DeepSpeedEngine) -> None:
    """Makes `engine` known for as long as it lives."""
    _ENGINES.add(engine)


def engine_of(parameter: nn.Parameter) -> tuple[DeepSpeedEngine, str] | None:
    """The live engine that trains `parameter`, and its name there."""
    for engine in _ENGINES:
        name = engine.param_names.get(parameter)
        if name is not None and not engine.is_destroyed:
            return engine, name
    return None

"""Which engine trains a parameter."""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine

_ENGINES: weakref.WeakValueDictionary[int, DeepSpeedEngine] = weakref.WeakValueDictionary()
_numbers = itertools.count()


def add(engine: DeepSpeedEngine) -> None:
    """Makes `engine` known for as long as it lives."""
    _ENGINES[next(_numbers)] = engine


def engines_over(module: nn.Module) -> list[DeepSpeedEngine]:
    """The live engines that train any parameter of `module`."""
    parameters = list(module.parameters())
    return [
        engine
        for engine in _ENGINES.values()
        if not engine.is_destroyed and any(parameter in engine.param_names for parameter in parameters)
    ]


def engine_of(parameter: nn.Parameter) -> tuple[DeepSpeedEngine, str] | None:
    """The live engine that trains `parameter`, and its name there; of several the one that took it over last."""
    for engine in reversed(list(_ENGINES.values())):
        name = engine.param_names.get(parameter)
        if name is not None and not engine.is_destroyed:
            return engine, name
    return None

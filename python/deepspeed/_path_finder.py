"""Makes DeepSpeed's old module paths importable, from the table in `_paths`."""

from __future__ import annotations

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from deepspeed._paths import ALIASES, LATER


class _AliasLoader(Loader):
    """Hands out the module that already stands for an alias, and leaves its own spec on it."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._own_spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._target)
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own_spec


class _PathFinder(MetaPathFinder):
    """Knows the paths of `_paths` only; everything else is left to the ordinary import system."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname in ALIASES:
            return ModuleSpec(fullname, _AliasLoader(ALIASES[fullname]))
        message = landing_message(fullname)
        if message:
            # Without name=: `from deepspeed import moe` would drop an error that bears the name of what it imports.
            raise ModuleNotFoundError(message)
        return None


def landing_message(path: str) -> str | None:
    """A sentence about a DeepSpeed module that is not there yet, or None for every other path."""
    for prefix, subject in LATER.items():
        if path == prefix or path.startswith(prefix + "."):
            return f"[{path}] {subject} has not landed in this version of deepspeed (C++ engine)."
    return None


def install() -> None:
    """Adds the finder in front, once."""
    if not any(isinstance(finder, _PathFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PathFinder())

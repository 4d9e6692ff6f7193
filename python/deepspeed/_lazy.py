"""Submodules that become attributes of their package at first use, so that importing it stays cheap."""

from __future__ import annotations

import importlib
from typing import Any, Callable


def submodules(package: str, names: tuple[str, ...]) -> Callable[[str], Any]:
    """A module-level `__getattr__` for `package` that imports these submodules on demand."""

    def getter(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return importlib.import_module(f"{package}.{name}")

    return getter

"""Attributes by dotted path."""

from __future__ import annotations

from functools import reduce
from typing import Any


def recursive_getattr(model: Any, module_name: str) -> Any:
    """`model.a.b.0` for module_name "a.b.0", as torch names submodules."""
    return reduce(getattr, module_name.split("."), model)


def recursive_setattr(model: Any, module_name: str, module: Any) -> None:
    """Sets what `recursive_getattr` gets."""
    *parents, name = module_name.split(".")
    setattr(reduce(getattr, parents, model), name, module)

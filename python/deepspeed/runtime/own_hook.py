"""Hooks of ours on a user's modules."""

from __future__ import annotations

import contextlib
from typing import Any, Callable


class OwnHook:
    """Belongs to one module and its engine: copies and pickles of the module get a hook that does nothing in its place,
    which unpickles without this package."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (contextlib.nullcontext(), "__exit__")  # takes any arguments, returns None

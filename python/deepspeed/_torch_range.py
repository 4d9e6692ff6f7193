"""The versions of torch that this package works with, checked once, before anything of torch is used."""

from __future__ import annotations

import importlib.metadata

OLDEST, NEWEST = (2, 11), (2, 13)


def check_torch_version() -> None:
    """Raises ImportError, in one sentence, where torch is missing or out of range."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        raise ImportError("deepspeed needs torch 2.11 to 2.13 and finds none: pip install torch==2.13.0") from None
    if not OLDEST <= tuple(int(part) for part in version.split(".")[:2]) <= NEWEST:
        raise ImportError(f"deepspeed works with torch 2.11 to 2.13, and this environment has torch {version}.")

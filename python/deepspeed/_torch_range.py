"""The versions of torch that this package works with, checked once, before anything of torch is used."""

from __future__ import annotations

import importlib.metadata

OLDEST, NEWEST = (2, 11), (2, 13)


def built_with() -> str | None:
    """The torch, such as "2.13", that the extension was built with; None in a source tree without one."""
    try:
        from deepspeed import _built_with
    except ImportError:
        return None
    return _built_with.TORCH


def check_torch_version() -> None:
    """Raises ImportError, in one sentence, where torch is missing, out of range or not the one of the build."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        raise ImportError("deepspeed needs torch 2.11 to 2.13 and finds none: pip install torch==2.13.0") from None
    major_minor = tuple(int(part) for part in version.split(".")[:2])
    if not OLDEST <= major_minor <= NEWEST:
        raise ImportError(f"deepspeed works with torch 2.11 to 2.13, and this environment has torch {version}.")
    built = built_with()
    if built is not None and built != ".".join(map(str, major_minor)):
        raise ImportError(
            f"this deepspeed was built with torch {built}, and this environment has torch {version}: "
            f"build it again (`make build` in its folder), or pip install 'torch=={built}.*'."
        )

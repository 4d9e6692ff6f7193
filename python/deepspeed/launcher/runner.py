"""The launcher is a native program; this module finds it and becomes it."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Sequence

DEEPSPEED_ENVIRONMENT_NAME = os.getenv("DS_ENV_FILE", ".deepspeed_env")
"""File with KEY=VALUE lines that the ranks' environment gets, in the home and in the current folder."""


def program(name: str = "deepspeed") -> Path:
    """A native program: beside this interpreter, else in PATH. Raises FileNotFoundError where there is none."""
    beside = Path(sysconfig.get_path("scripts")) / name
    if beside.exists():
        return beside
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(
            f"[deepspeed.launcher] no `{name}` program in {beside.parent} or in PATH. Reinstall deepspeed."
        )
    return Path(found)


def main(args: Sequence[str] | None = None) -> None:
    """Replaces this process by `deepspeed` with `args` (those of this process by default). Does not return."""
    path = program()
    os.execv(path, [str(path), *(sys.argv[1:] if args is None else args)])


if __name__ == "__main__":
    main()

"""`python -m deepspeed.env_report`: what is installed and what this machine can do, as `ds_report` says it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Sequence

from deepspeed.launcher.runner import program


def main(hide_operator_status: bool = False, hide_errors_and_warnings: bool = False) -> None:
    """Prints the report of this machine, and raises CalledProcessError where `ds_report` fails."""
    flags = ["--hide_operator_status"] if hide_operator_status else []
    flags += ["--hide_errors_and_warnings"] if hide_errors_and_warnings else []
    sys.stdout.flush()  # it writes to the same place, past our buffer
    subprocess.run([str(program("ds_report")), *flags], check=True)


def cli_main(args: Sequence[str] | None = None) -> None:
    """Replaces this process by `ds_report` with `args` (those of this process by default). Does not return."""
    path = program("ds_report")
    os.execv(path, [str(path), *(sys.argv[1:] if args is None else args)])


if __name__ == "__main__":
    cli_main()

"""Starts a file of cases on several ranks, once, and says what became of each case."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterable

HERE = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
DEEPSPEED = (str(PROGRAMS / "deepspeed"), "--num_gpus", "2", "--no_local_rank")


def cases_of(files: Iterable[Path]) -> list[tuple[Path, str]]:
    """(file, case) of all cases in `files`, without running them."""
    return [(file, name) for file in files for name in _names(file)]


def assert_case(file: Path, name: str, launch: tuple[str, ...], packages: Path | None = None) -> None:
    """The case ended well on all ranks; `launch` is the command that starts them, `packages` a folder of packages that
    stand before the environment's."""
    for rank, outcome in enumerate(_results_of(file, launch, packages)):
        became = outcome.get(name, "did not run: an earlier case failed")
        assert became == "ok", f"rank {rank}: {became}"


def _names(file: Path) -> list[str]:
    return re.findall(r"^def (case_\w+)", file.read_text(), flags=re.MULTILINE)


@functools.lru_cache(maxsize=None)
def _results_of(file: Path, launch: tuple[str, ...], packages: Path | None = None) -> list[dict[str, str]]:
    """{case: outcome} of each rank; the launch's output in place of outcomes where a rank wrote none."""
    folders = [str(HERE), *([str(packages)] if packages else []), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    with tempfile.TemporaryDirectory(prefix=file.stem) as folder:
        command = [*launch, str(file), folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment)
        except subprocess.TimeoutExpired as late:
            said = [each.decode(errors="replace") for each in (late.output, late.stderr) if isinstance(each, bytes)]
            return _without_results(file, Path(folder), str(late), *said)
        files = sorted(Path(folder).glob("rank*.json"))
        ranks = int(launch[launch.index("--num_gpus") + 1]) if "--num_gpus" in launch else 2
        if len(files) != ranks:
            return _without_results(file, Path(folder), done.stdout, done.stderr)
        return [json.loads(each.read_text()) for each in files]


def _without_results(file: Path, folder: Path, *texts: str) -> list[dict[str, str]]:
    """Some rank wrote no outcomes: for all cases what the launch said, and what failed on ranks that did."""
    parts = [text[-4000:] for text in texts]
    for each in sorted(folder.glob("rank*.json")):
        failed = {name: became for name, became in json.loads(each.read_text()).items() if became != "ok"}
        parts += [f"{each.stem}: {name}: {became}" for name, became in failed.items()]
    return [dict.fromkeys(_names(file), "\n".join(parts))]

"""The files of cases, one test a case; all cases of a file run in one launch of two ranks."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

FILES = [
    Path(__file__).with_name(f"{name}_cases.py")
    for name in ("engine", "engine_checkpoint", "engine_surface", "zero3")
]
DEEPSPEED = Path(sys.executable).parent / "deepspeed"
CASES = [
    (file, name) for file in FILES for name in re.findall(r"^def (case_\w+)", file.read_text(), flags=re.MULTILINE)
]

pytestmark = pytest.mark.native


@functools.lru_cache(maxsize=None)
def results_of(file: Path) -> list[dict[str, str]]:
    """{case: outcome} of both ranks; the launch's output in place of outcomes where a rank wrote none."""
    with tempfile.TemporaryDirectory(prefix=file.stem) as folder:
        command = [str(DEEPSPEED), "--num_gpus", "2", "--no_local_rank", str(file), folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=400)
        except subprocess.TimeoutExpired as late:
            return [dict.fromkeys((name for _, name in CASES), str(late))]
        files = sorted(Path(folder).glob("rank*.json"))
        if len(files) != 2:
            text = f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            return [dict.fromkeys((name for _, name in CASES), text)]
        return [json.loads(each.read_text()) for each in files]


@pytest.mark.parametrize(("file", "name"), CASES, ids=[name for _, name in CASES])
def test_case(file: Path, name: str) -> None:
    for rank, outcome in enumerate(results_of(file)):
        assert outcome.get(name, "did not run: an earlier case failed") == "ok", f"rank {rank}: {outcome.get(name)}"

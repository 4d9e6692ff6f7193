"""engine_cases.py, one test a case; all of them run in one launch of two ranks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("engine_cases.py")
DEEPSPEED = Path(sys.executable).parent / "deepspeed"
NAMES = re.findall(r"^def (case_\w+)", CASES.read_text(), flags=re.MULTILINE)

pytestmark = pytest.mark.native


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    folder = tmp_path_factory.mktemp("engine_cases")
    command = [str(DEEPSPEED), "--num_gpus", "2", "--no_local_rank", str(CASES), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    files = sorted(folder.glob("rank*.json"))
    assert len(files) == 2, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.parametrize("name", NAMES)
def test_case(results: list[dict[str, str]], name: str) -> None:
    for rank, outcome in enumerate(results):
        assert outcome.get(name, "did not run: an earlier case failed") == "ok", f"rank {rank}: {outcome.get(name)}"

"""The guide's own scripts, started with the `deepspeed` command on two ranks.

guide/simple.py is the guide's text to the letter. guide/language_model.py has the two edits that a CPU machine without
the model hub needs: a local folder as model name, and `.to(model_engine.device)`.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parent / "guide"
DEEPSPEED = Path(sys.executable).parent / "deepspeed"

pytestmark = pytest.mark.native


def launch(script: str, config: str, folder: Path) -> None:
    """Runs the command of the guide in `folder`, where it finds ds_config.json."""
    shutil.copy(GUIDE / config, folder / "ds_config.json")
    shutil.copy(GUIDE / script, folder / script)
    command = [str(DEEPSPEED), "--num_gpus=2", script, "--deepspeed", "--deepspeed_config", "ds_config.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_first_script_runs_unmodified(tmp_path: Path) -> None:
    launch("simple.py", "simple_config.json", tmp_path)


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("transformers", "accelerate")),
    reason="transformers and accelerate are not installed: scripts/setup demo",
)
def test_the_second_script_trains_a_local_language_model(tmp_path: Path) -> None:
    make = [sys.executable, str(GUIDE / "make_tiny_llama.py"), str(tmp_path / "tiny_llama")]
    subprocess.run(make, check=True, timeout=120)
    launch("language_model.py", "ds_config.json", tmp_path)

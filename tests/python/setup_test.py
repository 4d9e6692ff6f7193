"""scripts/setup: which torch it uses. The torches here are empty packages with a version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

# The set-up's functions, with a pip that only says what it was asked for.
SCRIPT = """
set -euo pipefail
say() { echo "$*"; }
die() { echo "$*" >&2; exit 1; }
python="$1"
source scripts/setup.d/python.sh
install() { make_environment; pip() { echo "pip $*"; }; install_torch; }
install
"""


def make_interpreter(folder: Path, torch: str | None) -> Path:
    """An active virtual environment of a user, with this version of torch."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    if torch is not None:
        packages = next(folder.glob("lib/python3.*/site-packages"))
        (packages / "torch").mkdir()
        (packages / "torch/__init__.py").write_text(f"__version__ = '{torch}'\n")
        (packages / f"torch-{torch}.dist-info").mkdir()
        (packages / f"torch-{torch}.dist-info/METADATA").write_text(f"Name: torch\nVersion: {torch}\n")
    return folder / "bin/python"


def set_up(folder: Path, torch: str | None) -> subprocess.CompletedProcess[str]:
    """Runs the part of the set-up that makes .venv/ in `folder`, for a user with this torch."""
    (folder / "scripts").symlink_to(ROOT / "scripts")
    python = make_interpreter(folder / "user", torch)
    return subprocess.run(["bash", "-c", SCRIPT, "setup", python], cwd=folder, capture_output=True, text=True)


def torch_of(python: Path) -> str:
    code = "import torch, importlib.metadata as m; print(torch.__version__, m.version('torch'), torch.__file__)"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout


def test_without_a_torch_2_13_is_installed(tmp_path: Path) -> None:
    result = set_up(tmp_path, None)
    assert result.returncode == 0, result.stderr
    assert "pip install torch==2.13.0" in result.stdout


def test_the_torch_of_a_users_environment_is_used_and_a_half_made_environment_is_not(tmp_path: Path) -> None:
    make_interpreter(tmp_path / ".venv", None)  # no pip: its making was interrupted
    result = set_up(tmp_path, "2.12.0")
    assert result.returncode == 0, result.stderr
    assert "pip install" not in result.stdout
    assert torch_of(tmp_path / ".venv/bin/python").startswith(f"2.12.0 2.12.0 {tmp_path}/user/lib")
    assert (tmp_path / ".venv/.torch-pin").read_text() == "torch==2.12.0\n"
    subprocess.run([tmp_path / ".venv/bin/python", "-m", "pip", "--version"], check=True)


@pytest.mark.parametrize("version", ["2.10.2", "2.14.0"])
def test_a_torch_out_of_range_stops_with_one_sentence(tmp_path: Path, version: str) -> None:
    result = set_up(tmp_path, version)
    assert result.returncode != 0
    assert result.stderr.count("\n") == 1
    assert f"has torch {version}, and deepspeed-cpp needs 2.11 to 2.13: set PYTHON" in result.stderr
    assert not (tmp_path / ".venv").exists()

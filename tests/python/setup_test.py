"""scripts/setup: which torch it uses, and what it asks apt for. The torches here are empty packages with a version, and
apt-get is a script that says what it was asked for."""

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


def call(functions: str, folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` after the functions of scripts/setup.d/`functions`, where as_root is anybody."""
    script = f"""
        set -euo pipefail
        say() {{ echo "$*"; }}
        die() {{ echo "$*" >&2; exit 1; }}
        source {ROOT}/scripts/setup.d/{functions}
        as_root() {{ "$@"; }}
        {code}"""
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("python", ["python3", "python3.99"])
def test_all_packages_of_a_missing_interpreter_are_asked_for(tmp_path: Path, python: str) -> None:
    code = f"python={python}; command() {{ return 1; }}; missing_packages"
    assert f"{python} {python}-venv {python}-dev" in call("system.sh", tmp_path, code).stdout.splitlines()


def test_a_wrong_path_of_an_interpreter_is_said(tmp_path: Path) -> None:
    result = call("system.sh", tmp_path, "python=/no/such/python; missing_packages")
    assert "there is no /no/such/python. Set PYTHON" in result.stderr


APT_GET = """
apt-get() {  # the package lists do not know libfmt-dev before an update; libhwy1t64 and libhwy0 are of other releases
  echo "$*" >> "$OLDPWD/asked"
  case "$*" in
    "update -qq") touch updated ;;
    "download libfmt-dev") [ -e "$OLDPWD/updated" ] && touch libfmt-dev_1.deb ;;
    "download libhwy1t64" | "download libhwy0") return 1 ;;
    download*) touch "$2_1.deb" ;;
  esac
}
unpack_debs() {
  mkdir -p .deps/include/{nlohmann,CLI,fmt,spdlog,hwy,gtest,gloo}
  touch .deps/include/{nlohmann/json.hpp,CLI/CLI.hpp,fmt/format.h,spdlog/spdlog.h,hwy/highway.h,gtest/gtest.h}
  touch .deps/include/gloo/context.h
}
OLDPWD="$PWD"
install_third_party
"""


def test_package_lists_that_miss_one_package_are_updated(tmp_path: Path) -> None:
    result = call("third_party.sh", tmp_path, APT_GET)
    assert result.returncode == 0, result.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked.count("update -qq") == 1
    assert asked.count("download libfmt-dev") == 2
    assert (tmp_path / ".deps/.stamp-1").exists()


def test_a_missing_package_that_stays_missing_is_named(tmp_path: Path) -> None:
    result = call("third_party.sh", tmp_path, "apt-get() { return 0; }; install_third_party")
    assert result.returncode == 1
    assert "these packages cannot be downloaded: nlohmann-json3-dev" in result.stderr
    assert not (tmp_path / ".deps/.stamp-1").exists()

"""Shared by all Python tests: `native` tests are skipped, by name, where the extension is not built."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

os.environ.setdefault("DS_ACCELERATOR", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")
if importlib.util.find_spec("deepspeed") is None:
    sys.path.insert(0, str(ROOT / "python"))


def is_native_built() -> bool:
    """Whether the extension and the launcher are there."""
    program = Path(sys.executable).parent / "deepspeed"
    has_program = program.exists() or shutil.which("deepspeed") is not None
    return importlib.util.find_spec("deepspeed._C") is not None and has_program


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if is_native_built():
        return
    skip = pytest.mark.skip(reason="deepspeed._C is not built: pip install .")
    for item in items:
        if item.get_closest_marker("native"):
            item.add_marker(skip)

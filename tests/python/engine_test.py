"""The files of cases, one test a case; all cases of a file run in one launch of two ranks."""

from __future__ import annotations

from pathlib import Path

import pytest
from case_launch import DEEPSPEED, assert_case, cases_of

NAMES = (
    "any_module",
    "collective_count",
    "compile",
    "engine",
    "engine_checkpoint",
    "engine_surface",
    "lifetime",
    "mixture",
    "plan",
    "trace",
    "waiting",
    "zero3",
    "zero_interface",
)
FILES = [Path(__file__).with_name(f"{name}_cases.py") for name in NAMES]
CASES = cases_of(FILES)

pytestmark = pytest.mark.native


@pytest.mark.parametrize(("file", "name"), CASES, ids=[name for _, name in CASES])
def test_case(file: Path, name: str) -> None:
    assert_case(file, name, DEEPSPEED)

"""Hugging Face's libraries, as their index has them, on this engine; all cases of a file run in one launch."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from case_launch import DEEPSPEED, PROGRAMS, assert_case, cases_of

HERE = Path(__file__).parent
MISSING = [name for name in ("transformers", "accelerate", "peft") if importlib.util.find_spec(name) is None]
ACCELERATE = (
    str(PROGRAMS / "accelerate"), "launch", "--use_deepspeed", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "--zero_stage", "3",
    "--gradient_accumulation_steps", "2", "--gradient_clipping", "0.5", "--zero3_save_16bit_model", "true",
)  # fmt: skip
LAUNCH = {
    HERE / "accelerate_cases.py": ACCELERATE,
    HERE / "models_cases.py": DEEPSPEED,
    HERE / "pretrained_cases.py": DEEPSPEED,
    HERE / "trainer_cases.py": DEEPSPEED,
}
CASES = cases_of(LAUNCH)
os.environ["HF_HUB_OFFLINE"] = "1"

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} missing: scripts/setup test"),
]


@pytest.mark.parametrize(("file", "name"), CASES, ids=[f"{file.stem}-{name}" for file, name in CASES])
def test_case(file: Path, name: str) -> None:
    assert_case(file, name, LAUNCH[file])

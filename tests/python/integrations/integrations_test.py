"""Hugging Face's libraries, as their index has them, on this engine; all cases of a file run in one launch.

With DS_TEST_ALL=1 (`make test-all`) also TRL, transformers 4, Accelerate's config file and a real language model.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import NamedTuple

import pytest
from case_launch import DEEPSPEED, PROGRAMS, assert_case, cases_of

HERE = Path(__file__).parent
BESIDE = PROGRAMS.parent / "beside"  # what `scripts/setup test-all` installed there
MISSING = [name for name in ("transformers", "accelerate", "peft") if importlib.util.find_spec(name) is None]
ACCELERATE = (
    str(PROGRAMS / "accelerate"), "launch", "--use_deepspeed", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "--zero_stage", "3",
    "--gradient_accumulation_steps", "2", "--gradient_clipping", "0.5", "--zero3_save_16bit_model", "true",
)  # fmt: skip
ACCELERATE_WITH_A_FILE = (
    str(PROGRAMS / "accelerate"), "launch", "--config_file", str(HERE / "accelerate_config.yaml"),
    "--main_process_port", "0", "--deepspeed_config_file", str(HERE / "accelerate_ds_config.json"),
)  # fmt: skip


class Suite(NamedTuple):
    """A file of cases, the command that starts it, and a folder of packages in front of the environment's."""

    file: str
    launch: tuple[str, ...]
    packages: str = ""


SUITES = {
    "accelerate": Suite("accelerate_cases.py", ACCELERATE),
    "models": Suite("models_cases.py", DEEPSPEED),
    "pretrained": Suite("pretrained_cases.py", DEEPSPEED),
    "trainer": Suite("trainer_cases.py", DEEPSPEED),
}
if os.environ.get("DS_TEST_ALL") == "1":
    SUITES |= {
        "accelerate_with_a_file": Suite("accelerate_cases.py", ACCELERATE_WITH_A_FILE),
        "accelerate_transformers4": Suite("accelerate_cases.py", ACCELERATE, "transformers4"),
        "models_transformers4": Suite("models_cases.py", DEEPSPEED, "transformers4"),
        "trainer_transformers4": Suite("trainer_cases.py", DEEPSPEED, "transformers4"),
        "trl": Suite("trl_cases.py", DEEPSPEED, "trl"),
        "smollm2": Suite("smollm2_cases.py", DEEPSPEED),
    }
CASES = [(name, case) for name, suite in SUITES.items() for _, case in cases_of([HERE / suite.file])]
os.environ["HF_HUB_OFFLINE"] = "1"

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} missing: scripts/setup test"),
]


@pytest.mark.parametrize(("suite", "case"), CASES, ids=[f"{suite}-{case}" for suite, case in CASES])
def test_case(suite: str, case: str) -> None:
    file, launch, packages = SUITES[suite]
    assert not packages or (BESIDE / packages).is_dir(), f"{BESIDE / packages} is missing: scripts/setup test-all"
    assert_case(HERE / file, case, launch, BESIDE / packages if packages else None)

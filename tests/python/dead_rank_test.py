"""A rank that is killed in the middle of a step: the others end at once, and the output says who died first."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

DEEPSPEED = Path(sys.executable).parent / "deepspeed"
SCRIPT = """
import os, signal, torch, deepspeed
model = torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(4)))
config = {
    "train_micro_batch_size_per_gpu": 2,
    "optimizer": {"type": "AdamW"},
    "zero_optimization": {"stage": STAGE, "stage3_param_persistence_threshold": 0},
}
engine, *_ = deepspeed.initialize(model=model, config=config)
for step in range(100):
    hidden = engine(torch.ones(2, 64))
    if step == 2 and deepspeed.comm.get_rank() == 1:  # after some gradients went out, before the others are there
        model[1].weight.register_hook(lambda gradient: os.kill(os.getpid(), signal.SIGKILL))
    engine.backward(hidden.sum())
    engine.step()
print("trained to the end", flush=True)
"""


@pytest.mark.native
@pytest.mark.parametrize("stage", [2, 3])
def test_a_rank_killed_in_backward_ends_all_and_is_named(tmp_path: Path, stage: int) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.replace("STAGE", str(stage)))
    start = time.monotonic()
    done = subprocess.run(
        [str(DEEPSPEED), "--num_gpus", "2", "--no_local_rank", str(script)], capture_output=True, text=True, timeout=120
    )
    output = done.stdout + done.stderr
    assert done.returncode == 128 + 9, output
    assert "deepspeed: rank 1 failed" in output and "SIGKILL" in output, output
    assert "trained to the end" not in output
    assert time.monotonic() - start < 60  # most of it is the start of two interpreters

"""The collectives that ds_plan predicts for a step are those that the engine makes; started by engine_test.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch
from case_support import config, initialize, run_cases

from deepspeed import comm as dist

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from llama import SHAPES, Llama, make_batch  # noqa: E402

SHAPE = SHAPES["10m"]


def predicted() -> dict[int, dict[str, int]]:
    program = Path(sys.executable).parent / "ds_plan"
    command = [str(program), "--model", "llama-10m", "--dtype", "fp32", "--device", "cpu", "--gpus", "2", "--json"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {
        prediction["stage"]: {name: prediction[name] for name in ("gathers", "reductions")}
        for prediction in answer["predictions"]
    }


def counted(stage: int) -> dict[str, int]:
    """Of the third step, when the order of uses is known."""
    torch.manual_seed(1)
    engine = initialize(Llama(SHAPE), config(stage, optimizer={"type": "AdamW", "params": {"lr": 1e-3}}))
    before: dict[str, int] = {}
    for step in range(3):
        before = engine.collectives()
        engine.backward(engine(*make_batch(SHAPE, step, dist.get_rank())))
        engine.step()
    after = engine.collectives()
    engine.destroy()
    return {name: after[name] - before[name] for name in ("gathers", "reductions")}


def case_the_engine_makes_the_collectives_that_ds_plan_predicts() -> None:
    predictions = predicted()
    for stage in range(4):
        ours = counted(stage)
        print(f"stage {stage}: predicted {predictions[stage]}, counted {ours}", flush=True)
        assert ours == predictions[stage], (stage, ours, predictions[stage])


if __name__ == "__main__":
    run_cases(globals())

"""From measured times to the constants of a CPU host as `ds_plan --device FILE` reads them, and its predictions.

All formulas are ds_plan's own: asked with rates of 1, its seconds are operations and bytes.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SMALL, LARGE = 64, 1 << 22  # elements of the reductions that give latency and bandwidth


@dataclass(frozen=True)
class Question:
    """What is trained, as ds_plan's flags say it."""

    program: Path
    model: str
    tokens: int
    dtype: str = "fp32"

    def ask(self, host: dict[str, Any], ranks: int) -> dict[int, dict[str, float]]:
        """Stage -> prediction on one host."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(host, file)
            file.flush()
            command = [str(self.program), "--model", self.model, "--dtype", self.dtype, "--tokens", str(self.tokens)]
            command += ["--device", file.name, "--gpus", str(ranks), "--json"]
            answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return {prediction["stage"]: prediction for prediction in answer["predictions"]}


@dataclass(frozen=True)
class Measured:
    """Medians in seconds. Of two ranks the slower's."""

    one: dict[str, float]  # forward_s, backward_s, optimizer_s of one rank
    two_alone: dict[str, float]  # the same of one of two that never communicate
    two: dict[int, dict[str, float]]  # of two ranks, by stage; with step_s
    reduction: dict[int, float]  # elements -> seconds of a reduction between two ranks


def reduction_seconds(one: dict[str, list[float]], two: dict[str, list[float]]) -> dict[int, float]:
    """What the reducing backward of two ranks takes longer than the one that keeps its gradient; less what adding to a
    kept gradient costs, which one rank shows, and two pay twice from the same memory."""
    adding = {numel: max(0.0, reduced - kept) for numel, (kept, reduced) in one.items()}
    return {int(numel): max(0.0, reduced - kept - 2 * adding[numel]) for numel, (kept, reduced) in two.items()}


def fit(question: Question, measured: Measured, cores: int) -> dict[str, Any]:
    """The host. The step of two ranks decides how much computing and sending disturb each other, and nothing else."""
    ones = question.ask({"flops": 1, "memory_bandwidth": 1, "link_bandwidth": 1}, ranks=1)[0]
    hook_bytes = ones["backward_s"] - 2 * ones["forward_s"]
    operations = 3 * ones["forward_s"]
    memory = mean(
        ones["boundary_s"] / measured.one["optimizer_s"],
        2 * ones["boundary_s"] / measured.two[0]["optimizer_s"],  # at stage 0 the boundary step sends nothing
    )
    compute_one = measured.one["forward_s"] + measured.one["backward_s"] - hook_bytes / memory
    compute_two = measured.two_alone["forward_s"] + measured.two_alone["backward_s"]
    latency_s = measured.reduction[SMALL] / 2  # the reduction and the list of late gradients
    sent_bytes = LARGE * 4 / 2
    host = {
        "flops": mean(operations / compute_one, 2 * operations / compute_two),
        "memory_bandwidth": memory,
        "link_bandwidth": sent_bytes / max(measured.reduction[LARGE] - 2 * latency_s, 1e-9),
        "link_latency_us": latency_s * 1e6,
        "cores": cores,
    }
    measured_steps = {stage: times["step_s"] for stage, times in measured.two.items()}
    return min(
        (host | {"contention": {"compute": share / 20, "transfer": share / 20}} for share in range(0, 19)),
        key=lambda candidate: squared_error(question.ask(candidate, ranks=2), measured_steps),
    )


def fit_recorded(
    question: Question, two_alone: dict[str, float], two: dict[int, dict[str, float]], cores: int
) -> dict[str, Any]:
    """From a run of benchmarks/run.py, which has 2 ranks only and no reductions alone: bandwidth and contention are
    those that come closest to the four steps, so that only the steps' parts say something of the model."""
    ones = question.ask({"flops": 1, "memory_bandwidth": 1, "link_bandwidth": 1}, ranks=1)[0]
    host = {
        "flops": 2 * 3 * ones["forward_s"] / (two_alone["forward_s"] + two_alone["backward_s"]),
        "memory_bandwidth": 2 * ones["boundary_s"] / two[0]["optimizer_s"],
        "cores": cores,
    }
    steps = {stage: times["step_s"] for stage, times in two.items()}
    candidates = (
        host | {"link_bandwidth": 1e8 * 1.25**power, "contention": {"compute": share / 20, "transfer": share / 20}}
        for power in range(24)
        for share in range(19)
    )
    return min(candidates, key=lambda candidate: squared_error(question.ask(candidate, ranks=2), steps))


def squared_error(predictions: dict[int, dict[str, float]], measured: dict[int, float]) -> float:
    return sum((predictions[stage]["step_s"] / step_s - 1) ** 2 for stage, step_s in measured.items())


def mean(*values: float) -> float:
    return sum(values) / len(values)

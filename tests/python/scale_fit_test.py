"""The constants that benchmarks/scale.py fits: from times that a known host would give, that host comes back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import scale_fit  # noqa: E402

HOST = {
    "flops": 80e9,
    "memory_bandwidth": 12e9,
    "link_bandwidth": 1.5e9,
    "link_latency_us": 200,
    "cores": 2,
    "contention": {"compute": 0.35, "transfer": 0.35},
}


def times(prediction: dict[str, float]) -> dict[str, float]:
    named = {name: prediction[name] for name in ("step_s", "forward_s", "backward_s")}
    return {**named, "optimizer_s": prediction["boundary_s"]}


@pytest.mark.native
def test_a_known_host_is_found_again():
    question = scale_fit.Question(Path(sys.executable).parent / "ds_plan", "llama-10m", 256)
    one, two = question.ask(HOST, 1), question.ask(HOST, 2)
    alone = {"forward_s": two[0]["forward_s"], "backward_s": 2 * two[0]["forward_s"]}
    latency_s = HOST["link_latency_us"] * 1e-6
    reduction = {
        scale_fit.SMALL: 2 * latency_s,
        scale_fit.LARGE: 2 * latency_s + scale_fit.LARGE * 2 / HOST["link_bandwidth"],
    }
    measured = scale_fit.Measured(
        one=times(one[0]), two_alone=alone, two={stage: times(two[stage]) for stage in two}, reduction=reduction
    )
    found = scale_fit.fit(question, measured, cores=2)
    for name in ("flops", "memory_bandwidth", "link_bandwidth", "link_latency_us"):
        assert found[name] == pytest.approx(HOST[name], rel=1e-6), name
    assert found["contention"] == pytest.approx(HOST["contention"])
    for stage, prediction in question.ask(found, 8).items():
        assert prediction["step_s"] == pytest.approx(question.ask(HOST, 8)[stage]["step_s"], rel=1e-6)


def test_a_reduction_is_what_the_second_backward_takes_longer():
    one = {"64": [1.0, 1.0], "100": [2.0, 2.5]}
    two = {"64": [1.0, 1.5], "100": [4.0, 9.0]}
    assert scale_fit.reduction_seconds(one, two) == {64: 0.5, 100: 4.0}

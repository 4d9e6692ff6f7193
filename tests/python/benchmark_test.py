"""The benchmark's statistics, tables and verdicts, on records written by hand. Nothing is timed here."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def module(name: str) -> Any:
    return importlib.import_module(name)


def rank(seconds: float, *losses: float, norm: float | None = 1.0) -> dict[str, Any]:
    phases = dict.fromkeys(("step_s", "forward_s", "backward_s", "optimizer_s"), [seconds] * 3)
    return {**phases, "losses": list(losses), "grad_norms": [norm], "parameters": 42e6, "world_size": 2, "memory": None}


def two_ranks(seconds: float, *losses: float, slower: float = 0.0) -> list[dict[str, Any]]:
    return [rank(seconds, *losses), rank(seconds + slower, *losses)]


def training_rounds(**changed: Any) -> list[dict[str, Any]]:
    systems = {
        "alone": [rank(1.0, 9.0, 8.5), rank(1.0, 9.0, 8.1)],
        "ddp": two_ranks(1.2, 9.0, 7.0),
        "ours 0": two_ranks(1.0, 9.0, 7.0, slower=0.1),
        "deepspeed 0": two_ranks(2.2, 9.0, 7.0),
        **changed,
    }
    return [{f"training/fp32/256/{label}": records for label, records in systems.items()}]


def test_a_spread_is_the_median_between_the_extremes() -> None:
    figures = module("figures")
    assert figures.spread([3.0, 1.0, 2.0, 10.0, 1.5]) == "2.00 [1.00..10.00]"
    assert figures.spread([]) == ""


def test_ratios_are_taken_inside_rounds_that_have_both() -> None:
    figures = module("figures")
    rounds = [{"a": 2.0, "b": 1.0}, {"a": 30.0}, {"a": 9.0, "b": 3.0}]
    assert figures.ratios(rounds, "a", "b", float) == [2.0, 3.0]
    assert figures.differences(rounds, "a", "b", float) == [1.0, 6.0]


def test_a_table_has_columns_of_one_width() -> None:
    lines = module("figures").markdown([["a", "long head"], ["wide cell", "x"]])
    assert len({len(line) for line in lines}) == 1
    assert [line.count("|") for line in lines] == [3, 3, 3]


@pytest.mark.parametrize(
    ("values", "bounds", "reached"),
    [
        ([0.9, 1.3, 1.4], {"at_least": 1.3}, "yes"),
        ([0.9, 1.2, 1.4], {"at_least": 1.3}, "no"),
        ([0.1, 0.2, 9.0], {"at_most": 0.2}, "yes"),
        ([0.3], {"at_most": 0.2}, "no"),
        ([], {"at_most": 0.2}, "not measured"),
        ([1.0], {}, ""),
    ],
)
def test_a_bound_is_on_the_median(values: list[float], bounds: dict[str, float], reached: str) -> None:
    assert module("figures").Claim("what", "against", values, **bounds).reached() == reached


def test_a_step_takes_as_long_as_its_slower_rank() -> None:
    training = module("training")
    assert training.step_seconds(two_ranks(1.0, 9.0, slower=0.5)) == 1.5
    rows = {row[0]: row for row in training.step_rows(training.parts(training_rounds())["fp32", 256], 2e-3)}
    assert rows["ours 0"][2] == "1.10 [1.10..1.10]"
    assert rows["deepspeed 0"][3] == "2.00 [2.00..2.00]"


@pytest.mark.parametrize("loss", [7.1, math.nan])
def test_a_system_with_another_loss_is_wrong_and_not_compared(loss: float) -> None:
    training = module("training")
    rounds = training_rounds(**{"ours 0": two_ranks(0.1, 9.0, loss)})
    [problem] = training.problems(rounds)
    assert problem.startswith("ours 0 (fp32, 256 tokens a rank)")
    rows = {row[0]: row for row in training.step_rows(training.parts(rounds)["fp32", 256], 2e-3)}
    assert rows["deepspeed 0"][3] == "WRONG"
    assert not [claim for claim in training.claims(rounds) if claim.values]


def test_alone_may_learn_something_else() -> None:
    assert module("training").problems(training_rounds()) == []


def test_a_backend_that_is_not_there_is_named() -> None:
    collectives = module("collectives")
    times = {"times": {"all-gather": {"4": 1e-4}}, "wrong": [], "memcpy": {}}
    rounds = [{"collectives/gloo": [times, times], "collectives/shm": [{"missing": "no such backend"}] * 2}]
    assert "- NOT THERE: shm: no such backend." in collectives.report(rounds)
    assert {claim.reached() for claim in collectives.claims(rounds)} <= {"not measured", ""}


def test_a_backend_is_compared_by_its_slower_rank_and_checked() -> None:
    collectives = module("collectives")

    def ranks(*seconds: float, wrong: list[str]) -> list[dict[str, Any]]:
        size = str(128 << 20)
        return [{"times": {"all-gather": {size: s}}, "wrong": wrong, "memcpy": {size: 0.01}} for s in seconds]

    gloo, shm = ranks(0.4, 0.6, wrong=[]), ranks(0.02, 0.05, wrong=["all-gather"])
    rounds = [{"collectives/gloo": gloo, "collectives/shm": shm}]
    [claim] = collectives.claims(rounds)
    assert (claim.values, claim.at_least) == ([pytest.approx(12.0)], 10.0)
    assert collectives.problems(rounds) == ["shm delivered wrong values: all-gather"]


def test_an_optimizer_is_compared_with_the_stream_of_its_process_and_with_torch() -> None:
    optimizer = module("optimizer")
    names = ("torch AdamW(fused)", "DeepSpeedCPUAdam", "FusedAdam")

    def record(seconds: float, value: float) -> dict[str, Any]:
        return {
            "numel": 1000,
            "seconds": {"stream": [0.1], **dict.fromkeys(names, [seconds])},
            "samples": {"stream": [5.0], **dict.fromkeys(names, [1.0]), "DeepSpeedCPUAdam": [value]},
        }

    rounds = [{"optimizer/ours": record(0.125, 1.0), "optimizer/peers": record(0.25, 1.0)}]
    claims = optimizer.claims(rounds)
    assert [claim.values for claim in claims] == [[0.8], [2.0], [2.0], [2.0]]
    rounds = [{"optimizer/ours": record(0.125, 1.001), "optimizer/peers": record(0.25, 1.0)}]
    assert optimizer.claims(rounds) == []
    assert len(optimizer.problems(rounds)) == 1


def test_a_boundary_step_is_compared_with_torch_and_the_peer_at_the_same_stage() -> None:
    boundary = module("boundary")
    seconds = {"alone": 0.3, "ours 1": 0.1, "ours 2": 0.2, "deepspeed 1": 0.4, "deepspeed 2": 0.6}
    rounds = [{f"boundary/bf16/{label}": [rank(value, 9.0, 7.0)] for label, value in seconds.items()}]
    values = {(claim.what[-1], claim.against.split()[0]): claim.values for claim in boundary.claims(rounds)}
    assert values == {
        ("1", "torch"): [pytest.approx(3.0)],
        ("1", "deepspeed"): [pytest.approx(4.0)],
        ("2", "torch"): [pytest.approx(1.5)],
        ("2", "deepspeed"): [pytest.approx(3.0)],
    }
    rounds[0]["boundary/bf16/ours 1"] = [rank(0.1, 9.0, 6.0)]
    assert len(boundary.problems(rounds)) == 1
    assert {claim.what[-1] for claim in boundary.claims(rounds)} == {"2"}


def test_counted_bytes_far_from_the_formula_are_a_problem() -> None:
    memory = module("memory")
    rounds = training_rounds()
    held = rounds[0]["training/fp32/256/ours 0"][1]
    held["memory"] = {"total": 101.0 * 2**20, "formula_total": 100.0 * 2**20}
    assert memory.problems(rounds) == []
    held["memory"]["total"] = 97.0 * 2**20
    assert len(memory.problems(rounds)) == 1
    part = module("training").parts(rounds)["fp32", 256]
    assert memory.counted_of(part, "ours 0") == "97.0 (100.0)"


def test_a_shared_trial_runs_once_a_round_and_one_for_memory_alone_once() -> None:
    pytest.importorskip("tqdm")
    rounds, trial = module("rounds"), module("trial")
    steps = [trial.Trial(key, Path("python"), lambda: None) for key in ("a", "b")]
    both = rounds.plan_rounds([(steps, False), (steps, True)], 3)
    assert [[trial.key for trial in part] for part in both] == [["a", "b"]] * 3
    alone = rounds.plan_rounds([(steps, True)], 3)
    assert [len(part) for part in alone] == [2]


def test_the_time_left_counts_each_trial_as_it_took() -> None:
    pytest.importorskip("tqdm")
    rounds = module("rounds")
    assert rounds.seconds_left(["a", "b", "new"], {"a": [1.0, 3.0], "b": [10.0]}) == 2.0 + 10.0 + 6.0
    assert rounds.seconds_left(["a"], {}) is None
    assert (rounds.clock(None), rounds.clock(125.0)) == ("?", "2:05")


def test_a_run_without_the_peers_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("tqdm")
    run, trial = module("run"), module("trial")
    there_not = tmp_path / ".venv-peers/bin/python"
    monkeypatch.setattr(run, "PEERS", there_not)
    with pytest.raises(SystemExit, match=r"\.venv-peers/: got no .* Run: make bench"):
        run.check_environments([trial.Trial("training/fp32/256/ddp", there_not, lambda: None)])


def test_readmes_table_has_the_steps_and_the_machine() -> None:
    results = {
        "date": "2026-11-27T00:00:00+00:00",
        "machine": {"cpu": "some", "cores": "2"},
        "versions": {},
        "options": {"ranks": 2, "device": "cpu"},
        "rounds": training_rounds(),
    }
    text = module("report").readme_table(results, [module("training")])
    assert text.startswith("2026-11-27T00:00:00+00:00; cpu some; cores 2.")
    assert "| ours 0 " in text and "2.00 [2.00..2.00]" in text

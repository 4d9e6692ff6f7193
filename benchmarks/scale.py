"""Checks ds_plan's model of a step on this machine: constants from 1 and 2 ranks, predictions for 4 and 8, the errors.

Rounds are interleaved, medians are compared. Ranks beyond the cores take turns, so that a figure for 8 ranks on 2 cores
checks the model's bytes, schedule and sharing, not a network. See docs/plan.md.
    .venv/bin/python benchmarks/scale.py [--rounds 5]
    .venv/bin/python benchmarks/scale.py --recorded benchmarks/results/2026-11-24.json    2 ranks' steps in parts, no run
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import signal
import statistics
import sys
from pathlib import Path
from typing import Any

import machine
import scale_fit
from launch import RunFailed, run_ranks
from llama import SHAPES
from training import Entry
from trial import OURS

FITTED, PREDICTED = (1, 2), (4, 8)
STAGES = (0, 1, 2, 3)
TIMES = ("forward_s", "backward_s", "optimizer_s")
Samples = dict[str, list[dict[str, Any]]]  # label -> a value a round


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` ends the ranks
    arguments = parse_arguments()
    program = OURS.parent / "ds_plan"
    if not program.exists():
        sys.exit("[scale] there is no .venv/bin/ds_plan yet. Run: make build")
    shape = SHAPES[arguments.model]
    question = scale_fit.Question(program, f"llama-{arguments.model}", shape.batch * shape.sequence)
    if arguments.recorded:
        print(render_recorded(program, json.loads(arguments.recorded.read_text())))
        return 0
    load_before = machine.load_average()
    samples = run_rounds(arguments)
    host = scale_fit.fit(question, summarize(samples), cores=len(os.sched_getaffinity(0)))
    rows = compare(question, host, samples)
    results = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine.describe_machine(),
        "load_average": {"before": load_before, "after": machine.load_average()},
        "model": arguments.model,
        "tokens": question.tokens,
        "rounds": arguments.rounds,
        "steps": arguments.steps,
        "host": host,
        "rows": rows,
        "samples": samples,
    }
    report = render(results)
    print(report)
    if arguments.results:
        arguments.results.mkdir(parents=True, exist_ok=True)
        stem = arguments.results / f"scale-{results['date'][:10]}"
        stem.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
        stem.with_suffix(".md").write_text(report + "\n")
        print(f"[scale] written: {stem}.json and .md")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=3, help="steps of each start that are not counted")
    parser.add_argument("--steps", type=int, default=10, help="steps of each start that are counted")
    parser.add_argument("--model", choices=("10m", "42m"), default="10m")
    parser.add_argument("--recorded", type=Path, help="a result of benchmarks/run.py to compare with, instead of runs")
    parser.add_argument("--results", type=Path, help="folder for scale-DATE.md and .json; absent: only printed")
    return parser.parse_args()


def run_rounds(arguments: argparse.Namespace) -> Samples:
    runs = [(Entry("ours", 0), 1), (Entry("alone", 0), 2)]
    runs += [(Entry("ours", stage), ranks) for ranks in (2, *PREDICTED) for stage in STAGES]
    samples: Samples = {}
    for index in range(arguments.rounds):
        for ranks in FITTED:
            samples.setdefault(f"collective x{ranks}", []).append(run_collective(ranks))
        for entry, ranks in runs:
            value = slowest(run_ours(entry, ranks, arguments))
            samples.setdefault(f"{entry.label} x{ranks}", []).append(value)
            where = f"round {index + 1}/{arguments.rounds}  {entry.label} x{ranks}"
            print(f"[scale] {where}: {value['step_s']:.3f} s a step", flush=True)
    return samples


def run_ours(entry: Entry, ranks: int, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """`alone` too runs in our environment: it needs torch only."""
    options = ["--system", entry.system, "--stage", str(entry.stage), "--model", arguments.model]
    options += ["--warmup", str(arguments.warmup), "--steps", str(arguments.steps)]
    return run_ranks(f"{entry.label} x{ranks}", OURS, "train_step.py", options, ranks)


def run_collective(ranks: int) -> dict[str, list[float]]:
    return run_ranks(f"collective x{ranks}", OURS, "scale_collective.py", [], ranks)[0]


def slowest(records: list[dict[str, Any]]) -> dict[str, float]:
    """Medians over the counted steps of the rank whose step is longest."""
    rank = max(records, key=lambda record: statistics.median(record["step_s"]))
    return {name: statistics.median(rank[name]) for name in ("step_s", *TIMES)}


def summarize(samples: Samples) -> scale_fit.Measured:
    def times(label: str) -> dict[str, float]:
        return {name: statistics.median(value[name] for value in samples[label]) for name in ("step_s", *TIMES)}

    def backwards(ranks: int) -> dict[str, list[float]]:
        rounds = samples[f"collective x{ranks}"]
        return {
            numel: [statistics.median(value[numel][which] for value in rounds) for which in (0, 1)]
            for numel in rounds[0]
        }

    one, two = (backwards(ranks) for ranks in FITTED)
    return scale_fit.Measured(
        one=times("ours 0 x1"),
        two_alone=times("alone x2"),
        two={stage: times(f"ours {stage} x2") for stage in STAGES},
        reduction=scale_fit.reduction_seconds(one, two),
    )


def compare(question: scale_fit.Question, host: dict[str, Any], samples: Samples) -> list[dict[str, Any]]:
    rows = []
    for ranks in (*FITTED, *PREDICTED):
        predictions = question.ask(host, ranks)
        for stage in STAGES:
            if (label := f"ours {stage} x{ranks}") not in samples:
                continue
            steps = [value["step_s"] for value in samples[label]]
            measured = statistics.median(steps)
            predicted = predictions[stage]["step_s"]
            rows.append(
                {
                    "ranks": ranks,
                    "stage": stage,
                    "predicted_s": predicted,
                    "measured_s": measured,
                    "least_s": min(steps),
                    "greatest_s": max(steps),
                    "error": predicted / measured - 1,
                }
            )
    return rows


def render(results: dict[str, Any]) -> str:
    host, load = results["host"], results["load_average"]
    lines = [
        f"# ds_plan's model beside measured steps, {results['date'][:10]}",
        "",
        f"{results['machine']['cpu']}, {results['machine']['cores']} cores; load average {load['before']:.1f} before, "
        f"{load['after']:.1f} after. llama-{results['model']}, fp32, {results['tokens']} tokens a rank; median of "
        f"{results['rounds']} interleaved rounds of {results['steps']} steps, [least, greatest round].",
        "",
        "Fitted to 1 and 2 ranks: "
        f"{host['flops'] / 1e9:.0f} GFLOP/s and {host['memory_bandwidth'] / 1e9:.1f} GB/s of the host, "
        f"{host['link_bandwidth'] / 1e9:.2f} GB/s a core between ranks, {host['link_latency_us']:.0f} us a message, "
        f"contention {host['contention']['compute']:.2f}.",
        "",
        "| ranks | ZeRO | predicted, s | measured, s | error | |",
        "|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        spread = f"[{row['least_s']:.3f}, {row['greatest_s']:.3f}]"
        kind = "fitted" if row["ranks"] in FITTED else "predicted"
        lines.append(
            f"| {row['ranks']} | {row['stage']} | {row['predicted_s']:.3f} | {row['measured_s']:.3f} {spread} "
            f"| {100 * row['error']:+.0f} % | {kind} |"
        )
    return "\n".join(lines)


def recorded_work(results: dict[str, Any]) -> tuple[str, str, int, str]:
    """Model, dtype, tokens a rank, and what the keys of its trials begin with; files of before 2026-11-27 have one work."""
    if "work" in results:
        work = results["work"]
        shape = SHAPES[work["model"]]
        return work["model"], work["dtype"], shape.batch * shape.sequence, ""
    options = results["options"]
    dtype, tokens = options["dtypes"][0], options["tokens"][0]
    if f"training/{dtype}/{tokens}/alone" not in results["rounds"][0]:
        sys.exit("[bench] --recorded: got a result without training steps, expected one of `scripts/bench` or `make bench`.")
    return options["model"], dtype, tokens, f"training/{dtype}/{tokens}/"


def render_recorded(program: Path, results: dict[str, Any]) -> str:
    """Bandwidth and contention are fitted to the steps of 2 ranks; where the steps' time goes is predicted."""
    model, dtype, tokens, prefix = recorded_work(results)
    question = scale_fit.Question(program, f"llama-{model}", tokens, dtype)

    def times(label: str) -> dict[str, float]:
        rounds = [slowest(records[prefix + label]) for records in results["rounds"]]
        return {name: statistics.median(value[name] for value in rounds) for name in ("step_s", *TIMES)}

    two = {stage: times(f"ours {stage}") for stage in STAGES}
    host = scale_fit.fit_recorded(question, times("alone"), two, int(results["machine"]["cores"]))
    lines = [
        f"2 ranks on {results['date'][:10]}: {host['flops'] / 1e9:.0f} GFLOP/s, "
        f"{host['memory_bandwidth'] / 1e9:.1f} GB/s; "
        f"fitted to the steps: {host['link_bandwidth'] / 1e9:.2f} GB/s a core between ranks, "
        f"contention {host['contention']['compute']:.2f}.",
        "",
        "| ZeRO | step: predicted, measured s | forward | backward | boundary |",
        "|---|---|---|---|---|",
    ]
    for stage, prediction in question.ask(host, 2).items():
        cells = []
        for ours, theirs in (("step_s", "step_s"), *zip(("forward_s", "backward_s", "boundary_s"), TIMES)):
            guess, measured = prediction[ours], two[stage][theirs]
            cells.append(f"{guess:.3f}, {measured:.3f} ({100 * (guess / measured - 1):+.0f} %)")
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RunFailed as failure:
        sys.exit(f"[scale] {failure}")

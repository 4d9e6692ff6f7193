"""Compares ours with DeepSpeed, FSDP2, DDP, Gloo and torch on this machine: one run, one report.

See README.md beside this.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Sequence

import boundary
import collectives
import machine
import memory
import optimizer
import startup
import training
from report import complaints, readme_table, render
from rounds import plan_rounds, run_rounds
from trial import HERE, OURS, PEERS, STEPS, Options, Section, Trial

SECTIONS: dict[str, Section] = {
    section.NAME: section for section in (training, memory, boundary, optimizer, collectives, startup)
}
ON_GPU = ("training", "memory")


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` ends the ranks
    arguments = parse_arguments()
    if arguments.readme is not None:
        results = json.loads(arguments.readme.read_text())
        print(readme_table(results, sections_of(results)), end="")
        return 0
    results = measure(arguments)
    if not results["rounds"]:
        sys.exit("[bench] nothing ran: see the failures above.")
    sections = sections_of(results)
    report = render(results, sections)
    print(report, end="")
    folder = arguments.results or (HERE / "results" if is_complete(arguments) else None)
    if folder is not None:
        write(results, report, folder)
    bad = complaints(results, sections)
    for line in bad:
        print(f"[bench] {line}", file=sys.stderr)
    return 1 if bad else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__.splitlines()[0],
        epilog="sections: " + "; ".join(f"{section.NAME} ({section.WHAT})" for section in SECTIONS.values()),
    )
    parser.add_argument("--only", nargs="+", choices=tuple(SECTIONS), help="these sections; all by default")
    parser.add_argument("--quick", action="store_true", help="2 rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", nargs="+", choices=("fp32", "bf16"), help="both by default")
    parser.add_argument("--tokens", nargs="+", type=int, help="a rank and training step; 256")
    systems = sorted({entry.system for entry in training.ENTRIES})
    parser.add_argument("--systems", nargs="+", choices=systems, help="of the section training; all by default")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help=f"cuda: {' and '.join(ON_GPU)} only")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument(
        "--warmup", type=int, help=f"training steps of each start that are not counted; {dtype_steps(0)}"
    )
    parser.add_argument("--steps", type=int, help=f"those that are counted; {dtype_steps(1)}")
    parser.add_argument("--model", choices=("42m", "tiny"), default="42m", help="tiny: to try the program, not to time")
    parser.add_argument("--results", type=Path, help="folder of the dated files; of a complete run benchmarks/results")
    parser.add_argument("--readme", type=Path, metavar="FILE.json", help="prints README's table of that run, and ends")
    return parser.parse_args()


def dtype_steps(which: int) -> str:
    return ", ".join(f"{steps[which]} in {dtype}" for dtype, steps in STEPS.items())


def options_of(arguments: argparse.Namespace) -> Options:
    return Options(
        dtypes=tuple(arguments.dtype or Options.dtypes),
        tokens=tuple(arguments.tokens or Options.tokens),
        device=arguments.device,
        model=arguments.model,
        ranks=arguments.ranks,
        warmup=arguments.warmup,
        steps=arguments.steps,
        systems=tuple(arguments.systems or ()),
    )


def is_complete(arguments: argparse.Namespace) -> bool:
    """Whether the run may stand among the others: everything as it is by default, five rounds or more."""
    partial = arguments.only or arguments.quick or options_of(arguments) != Options() or os.environ.get("BENCH_PEER_ZERO")
    return not partial and arguments.rounds >= 5


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    names = arguments.only or (ON_GPU if arguments.device == "cuda" else tuple(SECTIONS))
    if arguments.device == "cuda" and not set(names) <= set(ON_GPU):
        sys.exit(f"[bench] --only: got {' '.join(names)} with --device cuda, expected {' or '.join(ON_GPU)}.")
    options = options_of(arguments)
    sections = [SECTIONS[name] for name in SECTIONS if name in names]
    plan = plan_rounds(
        [(section.trials(options), section.ONCE) for section in sections], 2 if arguments.quick else arguments.rounds
    )
    check_environments(plan[0])
    for step in dict.fromkeys(step for trial in plan[0] for step in trial.prepare):
        step(options)
    begin, load_before = time.monotonic(), machine.load_average()
    rounds, failures = run_rounds(plan)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine.describe_machine(),
        "commit": machine.commit(),
        "versions": {
            name: machine.versions_of(python, options.device)
            for name, python in (("ours", OURS), ("peers", PEERS))
            if any(trial.python == python for trial in plan[0])
        },
        "load_average": {"before": load_before, "after": machine.load_average()},
        "options": dataclasses.asdict(options),
        "sections": [section.NAME for section in sections],
        "seconds": round(time.monotonic() - begin),
        "rounds": rounds,
        "failures": failures,
    }


def check_environments(trials: Sequence[Trial]) -> None:
    holds = {OURS: "this build", PEERS: "DeepSpeed 0.19.8 and the same torch (requirements/bench.txt)"}
    for python in dict.fromkeys(trial.python for trial in trials):
        if not os.access(python, os.X_OK):
            sys.exit(
                f"[bench.environment] {python.parent.parent.name}/: got no {python}, expected an environment with "
                f"{holds[python]}. Run: make bench"
            )


def sections_of(results: dict[str, Any]) -> list[Section]:
    return [SECTIONS[name] for name in results["sections"]]


def write(results: dict[str, Any], report: str, folder: Path) -> None:
    """A second run of a day gets a number: no figures are lost."""
    folder.mkdir(parents=True, exist_ok=True)
    first = results["date"][:10] + ("" if results["options"]["device"] == "cpu" else "-cuda")
    name, number = folder / first, 1
    while name.with_suffix(".json").exists():
        number += 1
        name = folder / f"{first}-{number}"
    name.with_suffix(".json").write_text(json.dumps(short(results), indent=1) + "\n")
    name.with_suffix(".md").write_text(report)
    print(f"[bench] written: {name}.json and .md", file=sys.stderr)


def short(value: Any) -> Any:
    """The same with floats of seven digits, which no figure here exceeds."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, dict):
        return {key: short(part) for key, part in value.items()}
    return [short(part) for part in value] if isinstance(value, (list, tuple)) else value


if __name__ == "__main__":
    sys.exit(main())

"""Compares ours with DeepSpeed, FSDP2 and DDP on this machine: rounds, checks, one table. See README.md beside this.

Rounds are interleaved (every system once, then again), so that what else the machine does meets all of them, and a
ratio is taken inside a round.
"""

from __future__ import annotations

import argparse
import datetime
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import machine
import table
from launch import HERE, OURS, PEERS, Entry, RunFailed, Work, rank_environment, run_once

ENTRIES = (
    Entry("alone", 0),
    Entry("ddp", 0),
    Entry("ours", 0),
    Entry("deepspeed", 0),
    Entry("ours", 1),
    Entry("deepspeed", 1),
    Entry("ours", 2),
    Entry("deepspeed", 2),
    Entry("fsdp2", 2),
    Entry("ours", 3),
    Entry("deepspeed", 3),
    Entry("fsdp2", 3),
)
# What the peer compiles at its first use, here outside the timing.
_COMPILE_PEER = """
from deepspeed.accelerator import get_accelerator
accelerator = get_accelerator()
for name in {"cpu": ("FusedAdamBuilder", "ShareMemCommBuilder"), "cuda": ("FusedAdamBuilder",)}[accelerator._name]:
    builder = accelerator.create_op_builder(name)
    if builder is not None:
        builder.load(verbose=False)
"""


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` ends the ranks
    arguments = parse_arguments()
    work = Work(
        dtype=arguments.dtype,
        device=arguments.device,
        model=arguments.model,
        ranks=arguments.ranks,
        warmup=arguments.warmup,
        steps=arguments.steps,
    )
    entries = [entry for entry in ENTRIES if not arguments.systems or entry.system in arguments.systems]
    check_environments(entries)
    start = time.monotonic()
    compile_peer(entries, work)
    load_before = machine.load_average()
    rounds, failures = run_rounds(entries, work, 2 if arguments.quick else arguments.rounds)
    if not any(rounds):
        return 1
    results = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine.describe_machine(),
        "versions": {
            name: json.loads(machine.versions_of(python))
            for name, python in (("ours", OURS), ("peers", PEERS))
            if any(entry.python == python for entry in entries)
        },
        "load_average": {"before": load_before, "after": machine.load_average()},
        "work": vars(work),
        "seconds": round(time.monotonic() - start),
        "rounds": rounds,
        "failures": failures,
    }
    report = table.render(results)
    print(report)
    if not (arguments.quick or arguments.systems):
        write(results, report, arguments.results)
    return 1 if failures or table.wrong_systems(results) else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 rounds, nothing written")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2, help="steps of each start that are not counted")
    parser.add_argument("--steps", type=int, default=5, help="steps of each start that are counted")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--model", choices=("42m", "tiny"), default="42m", help="tiny: to try the program, not to time")
    parser.add_argument(
        "--systems", nargs="+", choices=sorted({entry.system for entry in ENTRIES}), help="only these; nothing written"
    )
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder of the dated files")
    return parser.parse_args()


def check_environments(entries: list[Entry]) -> None:
    for python in {entry.python for entry in entries}:
        if not python.exists():
            sys.exit(f"[bench] there is no {python.parent.parent.name}/ yet. Run: make bench")


def compile_peer(entries: list[Entry], work: Work) -> None:
    peer = next((entry for entry in entries if entry.system == "deepspeed"), None)
    if peer is None:
        return
    print("[bench] DeepSpeed's own extensions (a minute, the first time)", flush=True)
    command = [str(peer.python), "-c", _COMPILE_PEER]
    done = subprocess.run(command, env=rank_environment(peer, work), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"[bench] DeepSpeed could not compile its extensions:\n{done.stderr[-2000:]}")


def run_rounds(entries: list[Entry], work: Work, num_rounds: int) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """For each round label -> records of the ranks; label -> what went wrong: such a system is not started again."""
    rounds: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    for index in range(num_rounds):
        records: dict[str, Any] = {}
        for entry in entries:
            if entry.label in failures:
                continue
            start = time.monotonic()
            try:
                records[entry.label] = run_once(entry, work)
            except RunFailed as failure:
                failures[entry.label] = str(failure)
                print(f"[bench] {failure}", file=sys.stderr, flush=True)
                continue
            step_s = table.step_seconds(records[entry.label])
            print(
                f"[bench] round {index + 1}/{num_rounds}  {entry.label:<12} {step_s:7.3f} s a step"
                f"   ({time.monotonic() - start:.0f} s with its start)",
                flush=True,
            )
        rounds.append(records)
    return rounds, failures


def write(results: dict[str, Any], report: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = results["date"][:10] + ("" if results["work"]["dtype"] == "fp32" else f"-{results['work']['dtype']}")
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / f"{name}.md").write_text(report + "\n")
    print(f"[bench] written: {folder / name}.json and .md")


if __name__ == "__main__":
    sys.exit(main())

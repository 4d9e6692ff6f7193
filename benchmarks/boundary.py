"""The whole boundary step of one rank: norm, unscale, clip, update, cast, zero, as `engine.step()` does them.

The training step's program on one rank with all cores and few tokens; the optimizer's phase is what is compared. The
whole step stands beside it, so that work moved from `step()` into backward would show.
"""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path
from typing import Any

import training
from figures import Claim, Round, keys_of, markdown, measured, part_of, ratios, spread
from launch import run_ranks
from prepare import compile_peer_ops
from trial import OURS, PEERS, Options, Trial

NAME = "boundary"
WHAT = "the step after backward on one rank: ours, DeepSpeed's, torch's clip + fused AdamW + zero_grad"
ONCE = False

TORCH = "alone"  # train_step.py's name for the plain torch loop
_TOKENS = 128
_SYSTEMS = ((TORCH, 0), ("ours", 1), ("ours", 2), ("deepspeed", 1), ("deepspeed", 2))
_PEERS_OF = {"ours 1": (TORCH, "deepspeed 1"), "ours 2": (TORCH, "deepspeed 2")}

Records = list[dict[str, Any]]


def trials(options: Options) -> list[Trial]:
    found: list[Trial] = []
    for dtype in options.dtypes:
        for system, stage in _SYSTEMS:
            label = system if system == TORCH else f"{system} {stage}"
            python = OURS if system == "ours" else PEERS
            work = partial(run, label, system, stage, dtype, options)
            prepare = (compile_peer_ops,) if system == "deepspeed" else ()
            found.append(Trial(f"{NAME}/{dtype}/{label}", python, work, prepare))
    return found


def run(label: str, system: str, stage: int, dtype: str, options: Options) -> Records:
    python: Path = OURS if system == "ours" else PEERS
    arguments = ["--system", system, "--stage", str(stage), "--dtype", dtype, "--tokens", str(_TOKENS)]
    arguments += ["--model", options.model, "--warmup", "3", "--steps", str(2 * options.steps_of(dtype)[1])]
    return run_ranks(f"{NAME} {label}", python, "train_step.py", arguments, ranks=1)


def parts(rounds: list[Round]) -> dict[str, list[Round]]:
    """dtype -> its rounds, by label."""
    dtypes = dict.fromkeys(key.split("/")[1] for key in keys_of(rounds) if key.startswith(f"{NAME}/"))
    return {dtype: part_of(rounds, f"{NAME}/{dtype}/") for dtype in dtypes}


def report(rounds: list[Round]) -> list[str]:
    lines: list[str] = []
    for dtype, part in parts(rounds).items():
        off, wrong = deviations(part), wrong_labels(dtype, part)
        rows = [["system", "step(), ms", "ours is faster, x", "forward to step(), ms", "off by"]]
        for label in keys_of(part):
            faster = [
                f"ZeRO {ours[-1]}: {spread(ratios(part, label, ours, boundary_seconds))}"
                for ours, peers in _PEERS_OF.items()
                if label in peers and not {label, ours} & set(wrong)
            ]
            rows.append(
                [
                    "torch" if label == TORCH else label,
                    spread([1e3 * seconds for seconds in measured(part, label, boundary_seconds)], 1),
                    "; ".join(faster),
                    spread([1e3 * seconds for seconds in measured(part, label, whole_seconds)], 0),
                    f"WRONG {off[label]:.0e}" if label in wrong else f"{off[label]:.0e}" if label in off else "?",
                ]
            )
        lines += [f"### {dtype}, one rank, all cores", "", *markdown(rows), ""]
    note = "- off by: the worst relative difference from torch's loop in the first and last loss and the first norm."
    return [*lines, note, ""]


def problems(rounds: list[Round]) -> list[str]:
    return [
        f"{label} on one rank ({dtype}) is off by {deviations(part)[label]:.1e} from torch's loop, "
        f"more than {training.TOLERANCE[dtype]:.0e}"
        for dtype, part in parts(rounds).items()
        for label in wrong_labels(dtype, part)
    ]


def claims(rounds: list[Round]) -> list[Claim]:
    found: list[Claim] = []
    for dtype, part in parts(rounds).items():
        wrong = set(wrong_labels(dtype, part))
        for ours, peers in _PEERS_OF.items():
            for peer in peers:
                if not wrong & {ours, peer}:
                    name = "torch clip + fused AdamW" if peer == TORCH else peer
                    values = ratios(part, peer, ours, boundary_seconds)
                    what = f"boundary step, {dtype}, ZeRO {ours[-1]}"
                    found.append(Claim(what, f"{name}: times faster", values, at_least=1.5))
    return found


def boundary_seconds(records: Records) -> float:
    return statistics.median(records[0]["optimizer_s"])


def whole_seconds(records: Records) -> float:
    return statistics.median(records[0]["step_s"])


def deviations(part: list[Round]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for records in part:
        for label, ranks in records.items():
            if TORCH in records:
                found.setdefault(label, []).append(training.deviation(label, ranks, records[TORCH]))
    return {label: training.worst_of(values) for label, values in found.items()}


def wrong_labels(dtype: str, part: list[Round]) -> list[str]:
    return [label for label, value in deviations(part).items() if not value <= training.TOLERANCE[dtype]]

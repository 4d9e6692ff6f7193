"""The training step: each system trains the same model on the same tokens; a system whose losses differ is WRONG.

Its time is then not compared, and the run fails.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from figures import Claim, Round, keys_of, markdown, measured, part_of, ratios, relative, spread, worst_of
from launch import run_ranks
from prepare import compile_peer_ops
from trial import OURS, PEERS, Options, Trial

NAME = "training"
WHAT = "seconds a step: ours, DeepSpeed, FSDP2, DDP, and the same compute without communication"
ONCE = False

# Relative, against DDP: the losses of the first and the last step (means over the ranks), the first gradient norm.
TOLERANCE = {"fp32": 2e-3, "bf16": 2e-2}
_OURS_FOR = {"ddp": "ours 0", "fsdp2 2": "ours 2", "fsdp2 3": "ours 3"} | {
    f"deepspeed {stage}": f"ours {stage}" for stage in (0, 1, 2, 3)
}
_PHASES = ("forward_s", "backward_s", "optimizer_s")
# The design's bounds, for fp32: a peer's step over ours, and ours over `alone`.
_FASTER = {"ddp": 1.05, "deepspeed 0": 1.3, "deepspeed 1": 1.7, "deepspeed 2": 1.7, "deepspeed 3": 1.9}
_FASTER |= {"fsdp2 2": 1.8, "fsdp2 3": 1.8}
_ALONE = {256: {0: 1.15, 1: 1.15, 2: 1.15, 3: 1.25}, 2048: {0: 1.05, 1: 1.05, 2: 1.05, 3: 1.05}}

Records = list[dict[str, Any]]


@dataclass(frozen=True)
class Entry:
    """One row of the table: a system at a stage."""

    system: str
    stage: int

    @property
    def label(self) -> str:
        return f"{self.system} {self.stage}" if self.system in ("ours", "deepspeed", "fsdp2") else self.system

    @property
    def python(self) -> Path:
        """Ours lives in .venv, all peers in .venv-peers, with the same torch."""
        return OURS if self.system == "ours" else PEERS


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


def trials(options: Options) -> list[Trial]:
    entries = [entry for entry in ENTRIES if not options.systems or entry.system in options.systems]
    return [
        Trial(
            f"{NAME}/{dtype}/{tokens}/{entry.label}",
            entry.python,
            partial(train, entry, dtype, tokens, options),
            (compile_peer_ops,) if entry.system == "deepspeed" else (),
        )
        for dtype in options.dtypes
        for tokens in options.tokens
        for entry in entries
    ]


def train(entry: Entry, dtype: str, tokens: int, options: Options) -> Records:
    arguments = ["--system", entry.system, "--stage", str(entry.stage), "--dtype", dtype, "--tokens", str(tokens)]
    warmup, steps = options.steps_of(dtype)
    arguments += ["--device", options.device, "--model", options.model, "--warmup", str(warmup), "--steps", str(steps)]
    return run_ranks(entry.label, entry.python, "train_step.py", arguments, options.ranks, options.device)


def parts(rounds: list[Round]) -> dict[tuple[str, int], list[Round]]:
    """(dtype, tokens a rank) -> its rounds, by label."""
    names = dict.fromkeys(tuple(key.split("/")[1:3]) for key in keys_of(rounds) if key.startswith(f"{NAME}/"))
    return {(dtype, int(tokens)): part_of(rounds, f"{NAME}/{dtype}/{tokens}/") for dtype, tokens in names}


def report(rounds: list[Round]) -> list[str]:
    lines: list[str] = []
    for (dtype, tokens), part in parts(rounds).items():
        first = next(iter(part[0].values()))[0]
        counted, size = len(first["step_s"]), f"{first['parameters'] / 1e6:.1f} M parameters"
        steps = f"{len(first['losses']) - counted} + {counted} steps a start"
        lines += [
            f"### {dtype}, {size}, {first['world_size']} ranks of {tokens} tokens, {steps}",
            "",
            *markdown(step_rows(part, TOLERANCE[dtype])),
            "",
            "Where the step goes (s, medians):",
            "",
            *markdown(phase_rows(part)),
            "",
            *footnotes(part, TOLERANCE[dtype]),
            "",
        ]
    return lines


def problems(rounds: list[Round]) -> list[str]:
    return [
        f"{label} ({dtype}, {tokens} tokens a rank) is off by {deviations(part)[label]:.1e} from "
        f"{reference_label(part)}, more than {TOLERANCE[dtype]:.0e}"
        for (dtype, tokens), part in parts(rounds).items()
        for label in wrong_labels(part, TOLERANCE[dtype])
    ]


def claims(rounds: list[Round]) -> list[Claim]:
    found: list[Claim] = []
    for (dtype, tokens), part in parts(rounds).items():
        wrong = set(wrong_labels(part, TOLERANCE[dtype]))
        bounds = _FASTER if dtype == "fp32" and tokens == 256 else {}
        for label, ours in _OURS_FOR.items():
            if not wrong & {label, ours}:
                what = f"step, {dtype}, {tokens} tokens, ZeRO {ours[-1]}"
                values = ratios(part, label, ours, step_seconds)
                found.append(Claim(what, f"{label}: times faster", values, at_least=bounds.get(label)))
        for stage in range(4):
            what = f"step, {dtype}, {tokens} tokens, ZeRO {stage}"
            values = ratios(part, f"ours {stage}", "alone", step_seconds)
            bound = _ALONE.get(tokens, {}).get(stage) if dtype == "fp32" else None
            if f"ours {stage}" not in wrong:
                found.append(Claim(what, "alone: its time over", values, at_most=bound))
    return found


def step_seconds(records: Records) -> float:
    """The median over the counted steps of the slowest rank's time."""
    return statistics.median(max(times) for times in zip(*(record["step_s"] for record in records)))


def step_rows(part: list[Round], tolerance: float) -> list[list[str]]:
    wrong, off = set(wrong_labels(part, tolerance)), deviations(part)
    rows = [["system", "step, s", "x alone", "ours is faster, x", "off by"]]
    for label in keys_of(part):
        ours = _OURS_FOR.get(label, "")
        faster = "WRONG" if wrong & {label, ours} else spread(ratios(part, label, ours, step_seconds))
        verdict = f"{off[label]:.0e}" if label in off else "?"
        rows.append(
            [
                label,
                spread(measured(part, label, step_seconds), 3),
                spread(ratios(part, label, "alone", step_seconds)),
                faster,
                f"WRONG {verdict}" if label in wrong else verdict,
            ]
        )
    return rows


def phase_rows(part: list[Round]) -> list[list[str]]:
    rows = [["system", *(name.removesuffix("_s") for name in _PHASES)]]
    for label in keys_of(part):
        ranks = [record for records in part for record in records.get(label, [])]
        medians = [statistics.median(statistics.median(record[phase]) for record in ranks) for phase in _PHASES]
        rows.append([label, *(f"{seconds:.3f}" for seconds in medians)])
    return rows


def footnotes(part: list[Round], tolerance: float) -> list[str]:
    lines = ["- x alone: over the same compute in as many processes at once without communication, in the same round."]
    unreduced = power(part)
    if unreduced is not None:
        lines.append(
            f"- off by: the worst relative difference from {reference_label(part)} in the first and last loss and the "
            f"first gradient norm; above {tolerance:.0e} is WRONG. Without any reduction it would be {unreduced:.0e}."
        )
    return lines


def deviations(part: list[Round]) -> dict[str, float]:
    """Label -> how far the system is from the reference, relative, the worst of all rounds."""
    reference = reference_label(part)
    seen: dict[str, list[float]] = {}
    for records in part:
        for label, ranks in records.items():
            if reference in records:
                seen.setdefault(label, []).append(deviation(label, ranks, records[reference]))
    return {label: worst_of(values) for label, values in seen.items()}


def reference_label(part: list[Round]) -> str:
    """DDP; without it the first system that communicates."""
    together = [label for label in keys_of(part) if label != "alone"]
    return "ddp" if "ddp" in together or not together else together[0]


def deviation(label: str, ranks: Records, reference: Records) -> float:
    losses, expected = mean_losses(ranks), mean_losses(reference)
    if label == "alone" and len(ranks) > 1:  # each of its ranks trains for itself: only the first losses must agree
        return relative(losses[0], expected[0])
    differences = [relative(losses[0], expected[0]), relative(losses[-1], expected[-1])]
    norm, expected_norm = ranks[0]["grad_norms"][0], reference[0]["grad_norms"][0]
    if norm is not None and expected_norm is not None:
        differences.append(relative(norm, expected_norm))
    return worst_of(differences)


def mean_losses(records: Records) -> list[float]:
    return [statistics.fmean(losses) for losses in zip(*(record["losses"] for record in records))]


def wrong_labels(part: list[Round], tolerance: float) -> list[str]:
    return [label for label, value in deviations(part).items() if not value <= tolerance]  # nan is wrong too


def power(part: list[Round]) -> float | None:
    """What the check would say of training without any reduction: it can only fail where this is large."""
    reference = reference_label(part)
    both = [records for records in part if "alone" in records and reference in records]
    if not both or len(both[0]["alone"]) < 2:
        return None
    value = deviation("unreduced", both[0]["alone"], both[0][reference])
    return None if math.isnan(value) else value

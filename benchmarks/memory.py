"""Bytes a rank: what our engine counts and what the process really holds, beside the formula of the contract on memory.

The trials are the training step's: nothing is run twice.
"""

from __future__ import annotations

import statistics
from typing import Any

import training
from figures import Claim, Round, keys_of, markdown, spread
from trial import Options, Trial

NAME = "memory"
WHAT = "bytes a rank: counted, measured and at the peak, beside the formula"
ONCE = True

_MIB = 2**20
Records = list[dict[str, Any]]


def trials(options: Options) -> list[Trial]:
    return training.trials(options)


def report(rounds: list[Round]) -> list[str]:
    lines: list[str] = []
    for (dtype, tokens), part in training.parts(rounds).items():
        rows = [["system", "counted (formula)", "off", "measured", "peak growth", "peak RSS"]]
        rows += [memory_row(label, part) for label in keys_of(part)]
        lines += [f"### {dtype}, {tokens} tokens a rank, MiB of the rank that has most", "", *markdown(rows), ""]
    return [*lines, *_FOOTNOTES, ""]


_FOOTNOTES = (
    "- formula: parameters, gradients, master weights, moments and slots of our engine at that stage. counted: what "
    "the engine has allocated for them.",
    "- measured: on a CPU resident bytes after the last step over those before the model was wrapped, and the fp32 "
    "model; communication buffers and code pages that came meanwhile are in it. On a GPU what torch's allocator "
    "gave out.",
    "- peak growth: the same at the peak; activations and temporaries are in it, as they are for `alone`. peak RSS: "
    "the whole process, with Python and torch.",
)


def problems(rounds: list[Round]) -> list[str]:
    return [
        f"{label} ({dtype}) counts {off:+.1%} bytes beside the formula, more than 2 %"
        for (dtype, _), part in training.parts(rounds).items()
        for label in keys_of(part)
        for off in [worst_off(part, label)]
        if off is not None and not abs(off) <= 0.02
    ]


def claims(rounds: list[Round]) -> list[Claim]:
    return [
        Claim(f"bytes a rank, {dtype}, {tokens} tokens, {label}", "the formula", [1 + off], at_most=1.02)
        for (dtype, tokens), part in training.parts(rounds).items()
        for label in keys_of(part)
        for off in [worst_off(part, label)]
        if off is not None
    ]


def worst_off(part: list[Round], label: str) -> float | None:
    """Counted bytes over the formula's, less one, where it is farthest from 0; None for systems that count nothing."""
    offs = [
        record["memory"]["total"] / record["memory"]["formula_total"] - 1
        for records in part
        for record in records.get(label, [])
        if record["memory"]
    ]
    return max(offs, key=abs) if offs else None


def counted_of(part: list[Round], label: str) -> str:
    """`counted (formula)` in MiB of the rank that has most; nothing for systems that count nothing."""
    memories = [record["memory"] for records in part for record in records.get(label, []) if record["memory"]]
    if not memories:
        return ""
    held = max(memories, key=lambda memory: memory["total"])
    return f"{held['total'] / _MIB:.1f} ({held['formula_total'] / _MIB:.1f})"


def memory_row(label: str, part: list[Round]) -> list[str]:
    def most(key: str) -> list[float]:
        return [max(record[key] for record in records[label]) / _MIB for records in part if label in records]

    off = worst_off(part, label)
    return [
        label,
        counted_of(part, label),
        "" if off is None else f"{off:+.1%}",
        spread(most("held_bytes"), 0),
        spread(most("peak_growth_bytes"), 0),
        f"{statistics.median(most('peak_rss_bytes')):.0f}",
    ]

"""Turns the records of all rounds into the report: checks first, then ratios inside rounds, then one table in Markdown.

A system whose losses or gradient norm differ from the reference's is WRONG: its time is not compared.
"""

from __future__ import annotations

import math
import statistics
from typing import Any

# Relative, against DDP: the loss of the last step (mean over the ranks) and the gradient norm of the first.
TOLERANCE = {"fp32": 2e-3, "bf16": 2e-2}
_OURS_FOR = {"ddp": "ours 0", "fsdp2 2": "ours 2", "fsdp2 3": "ours 3"} | {
    f"deepspeed {stage}": f"ours {stage}" for stage in (0, 1, 2, 3)
}
_TITLES = ("system", "step, s", "x alone", "ours is faster, x", "off by", "peak RSS, MiB", "held, MiB", "formula, MiB")

Records = list[dict[str, Any]]


def step_seconds(records: Records) -> float:
    """The median over the counted steps of the slower rank's time."""
    return statistics.median(max(times) for times in zip(*(record["step_s"] for record in records)))


def mean_losses(records: Records) -> list[float]:
    return [statistics.fmean(losses) for losses in zip(*(record["losses"] for record in records))]


def deviations(results: dict[str, Any]) -> dict[str, float]:
    """Label -> how far the system is from the reference, relative, the worst of all rounds."""
    rounds = results["rounds"]
    reference = reference_label(rounds[0])
    seen: dict[str, list[float]] = {}
    for records in rounds:
        for label, ranks in records.items():
            if reference in records:
                seen.setdefault(label, []).append(deviation(label, ranks, records[reference]))
    return {label: worst_of(values) for label, values in seen.items()}


def worst_of(values: list[float]) -> float:
    """The greatest; nan where one is nan, which `max` would pass over."""
    return math.nan if any(map(math.isnan, values)) else max(values)


def reference_label(records: dict[str, Records]) -> str:
    together = [label for label in records if label != "alone"]
    return "ddp" if "ddp" in records or not together else together[0]


def deviation(label: str, ranks: Records, reference: Records) -> float:
    losses, expected = mean_losses(ranks), mean_losses(reference)
    if label == "alone":  # each of its ranks trains for itself: only the first losses must agree
        return relative(losses[0], expected[0])
    differences = [relative(losses[0], expected[0]), relative(losses[-1], expected[-1])]
    norm, expected_norm = ranks[0]["grad_norms"][0], reference[0]["grad_norms"][0]
    if norm is not None and expected_norm is not None:
        differences.append(relative(norm, expected_norm))
    return worst_of(differences)


def wrong_systems(results: dict[str, Any]) -> list[str]:
    tolerance = TOLERANCE[results["work"]["dtype"]]
    return [label for label, value in deviations(results).items() if not value <= tolerance]  # nan is wrong too


def power(results: dict[str, Any]) -> float | None:
    """What the check would say of training without any reduction: it can only fail where this is large."""
    first = results["rounds"][0]
    reference = reference_label(first)
    if "alone" not in first or reference not in first or reference == "alone":
        return None
    return deviation("unreduced", first["alone"], first[reference])


def relative(value: float, expected: float) -> float:
    return abs(value - expected) / abs(expected)


def render(results: dict[str, Any]) -> str:
    head, work = describe(results), results["work"]
    lines = [
        f"# Training step, {results['date'][:10]}",
        "",
        *(f"- {line}" for line in head),
        "",
        *markdown(summary_rows(results)),
        "",
    ]
    lines += ["Where the step goes (s, medians):", "", *markdown(phase_rows(results)), ""]
    lines += footnotes(results, work)
    return "\n".join(lines)


def describe(results: dict[str, Any]) -> list[str]:
    work, versions, load = results["work"], results["versions"], results["load_average"]
    first = next(iter(results["rounds"][0].values()))[0]
    named = ", ".join(f"{name}: torch {v['torch']}, deepspeed {v['deepspeed']}" for name, v in versions.items())
    return [
        "; ".join(f"{key} {value}" for key, value in results["machine"].items()) + ".",
        f"{named}.",
        f"{first['parameters'] / 1e6:.1f} M parameters, {work['dtype']}, {work['ranks']} {work['device']} ranks, "
        f"{len(results['rounds'])} interleaved rounds of {work['warmup']} + {work['steps']} steps; "
        f"load average {load['before']:.1f} before, {load['after']:.1f} after; {results['seconds']} s altogether.",
    ]


def summary_rows(results: dict[str, Any]) -> list[list[str]]:
    rounds, wrong, off = results["rounds"], set(wrong_systems(results)), deviations(results)
    rows = [list(_TITLES)]
    for label in labels(rounds):
        times = [step_seconds(records[label]) for records in rounds if label in records]
        ours = _OURS_FOR.get(label)
        faster = spread(ratios(rounds, label, ours)) if ours else ""
        last = next(records[label] for records in reversed(rounds) if label in records)
        verdict = f"{off[label]:.0e}" if label in off else "?"
        if label in wrong:
            verdict = f"WRONG {verdict}"
        if wrong & {label, ours}:
            faster = "WRONG"
        rows.append(
            [label, spread(times, 3), spread(ratios(rounds, label, "alone")), faster, verdict, *memory_cells(last)]
        )
    return rows


def labels(rounds: list[dict[str, Records]]) -> list[str]:
    return list(dict.fromkeys(label for records in rounds for label in records))


def ratios(rounds: list[dict[str, Records]], numerator: str, denominator: str) -> list[float]:
    return [
        step_seconds(records[numerator]) / step_seconds(records[denominator])
        for records in rounds
        if numerator in records and denominator in records
    ]


def spread(values: list[float], digits: int = 2) -> str:
    if not values:
        return ""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}..{max(values):.{digits}f}]"


def memory_cells(records: Records) -> list[str]:
    """The rank that holds most: its peak, what the engine counts, what the contract on memory says."""
    peak = f"{max(record['peak_rss_bytes'] for record in records) / 2**20:.0f}"
    memories = [record["memory"] for record in records if record["memory"]]
    if not memories:
        return [peak, "", ""]
    held = max(memories, key=lambda memory: memory["total"])
    percent = 100 * (held["total"] / held["formula_total"] - 1)
    return [peak, f"{held['total'] / 2**20:.1f} ({percent:+.1f} %)", f"{held['formula_total'] / 2**20:.1f}"]


def phase_rows(results: dict[str, Any]) -> list[list[str]]:
    phases = ("forward_s", "backward_s", "optimizer_s")
    rows = [["system", *(name.removesuffix("_s") for name in phases)]]
    for label in labels(results["rounds"]):
        cells = []
        for phase in phases:
            ranks = [record for records in results["rounds"] for record in records.get(label, [])]
            cells.append(f"{statistics.median(statistics.median(record[phase]) for record in ranks):.3f}")
        rows.append([label, *cells])
    return rows


def footnotes(results: dict[str, Any], work: dict[str, Any]) -> list[str]:
    lines = [
        "- x alone: multiples of the same compute in as many processes at once without communication. Ratios are taken "
        "inside a round: median [least..greatest].",
    ]
    unreduced = power(results)
    if unreduced is not None:
        lines.append(
            "- off by: the worst relative difference from DDP in the first and last loss and the first gradient norm; "
            f"above {TOLERANCE[work['dtype']]:.0e} is WRONG. Without any reduction it would be {unreduced:.0e}.",
        )
    for label, text in results["failures"].items():
        lines.append(f"- FAILED: {label}: {text.splitlines()[0]}")
    return lines


def markdown(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]

"""What is made of the numbers of all rounds: medians with their spread, ratios inside a round, tables. Pure functions.

A round is a dictionary: the key of a trial -> what its processes recorded. A trial that failed is in no later round.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Sequence

Round = dict[str, Any]
Measure = Callable[[Any], float]


@dataclass(frozen=True)
class Claim:
    """One line of the summary: a figure of ours against something, and the design's bound on its median."""

    what: str
    against: str
    values: list[float]  # one a round
    unit: str = "x"
    at_least: float | None = None
    at_most: float | None = None

    def target(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g} {self.unit}"
        return "" if self.at_most is None else f"<= {self.at_most:g} {self.unit}"

    def reached(self) -> str:
        """yes, no or not measured; nothing without a bound."""
        if not self.target():
            return ""
        if not self.values:
            return "not measured"
        middle = statistics.median(self.values)
        reached = middle >= self.at_least if self.at_least is not None else middle <= float(self.at_most or 0)
        return "yes" if reached else "no"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """`median [least..greatest]`; nothing where there are no values."""
    if not values:
        return ""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}..{max(values):.{digits}f}]"


def measured(rounds: Iterable[Round], key: str, measure: Measure) -> list[float]:
    """One number for each round that has the trial."""
    return [measure(records[key]) for records in rounds if key in records]


def ratios(rounds: Iterable[Round], numerator: str, denominator: str, measure: Measure) -> list[float]:
    """One ratio for each round that has both trials."""
    return [
        measure(records[numerator]) / measure(records[denominator])
        for records in rounds
        if numerator in records and denominator in records
    ]


def differences(rounds: Iterable[Round], key: str, subtracted: str, measure: Measure) -> list[float]:
    """One difference for each round that has both trials."""
    return [
        measure(records[key]) - measure(records[subtracted])
        for records in rounds
        if key in records and subtracted in records
    ]


def part_of(rounds: Iterable[Round], prefix: str) -> list[Round]:
    """The trials whose keys begin with `prefix`, under what follows it."""
    return [
        {key.removeprefix(prefix): value for key, value in records.items() if key.startswith(prefix)}
        for records in rounds
    ]


def keys_of(rounds: Iterable[Round]) -> list[str]:
    """Every key, in the order of its first appearance."""
    return list(dict.fromkeys(key for records in rounds for key in records))


def relative(value: float, expected: float) -> float:
    """How far `value` is from `expected`, as a part of it."""
    if expected == 0:
        return 0.0 if value == 0 else math.inf
    return abs(value - expected) / abs(expected)


def worst_of(values: Sequence[float]) -> float:
    """The greatest; nan where one is nan, which `max` would pass over."""
    return math.nan if any(map(math.isnan, values)) else max(values)


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """An aligned table; the first row is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def claims_table(claims: Iterable[Claim]) -> list[str]:
    rows = [["ours", "against", "median [least..greatest]", "target", "reached"]]
    rows += [
        [claim.what, claim.against, f"{spread(claim.values)} {claim.unit}", claim.target(), claim.reached()]
        for claim in claims
        if claim.values or claim.target()
    ]
    return markdown(rows)

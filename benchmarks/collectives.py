"""Collectives between the ranks of this host: our shared-memory backend beside Gloo and memcpy."""

from __future__ import annotations

from functools import partial
from typing import Any

from figures import Claim, Measure, Round, keys_of, markdown, measured, part_of, ratios, spread
from launch import run_ranks
from trial import OURS, REPEATS, Options, Trial

NAME = "collectives"
WHAT = "reduce-scatter, all-gather, all-reduce, broadcast, barrier: shared memory beside Gloo and memcpy"
ONCE = False

BACKENDS = ("gloo", "shm")
_PEER, _OURS = BACKENDS
_MOST_BYTES = {"42m": 128 << 20, "tiny": 1 << 20}
_BOUNDS = {("reduce-scatter", 128 << 20): 10.0, ("all-gather", 128 << 20): 10.0}  # times Gloo
_LARGE = 1 << 20  # from here on a figure is a bandwidth, below a latency

Records = list[dict[str, Any]]


def trials(options: Options) -> list[Trial]:
    return [Trial(f"{NAME}/{backend}", OURS, partial(run, backend, options)) for backend in BACKENDS]


def run(backend: str, options: Options) -> Records:
    arguments = ["--backend", backend, "--repeats", str(REPEATS)]
    arguments += ["--most-bytes", str(_MOST_BYTES[options.model])]
    return run_ranks(f"{NAME} {backend}", OURS, "collective_rank.py", arguments, options.ranks)


def there(rounds: list[Round]) -> list[Round]:
    """The backends that ran."""
    part = part_of(rounds, f"{NAME}/")
    return [{key: ranks for key, ranks in records.items() if "missing" not in ranks[0]} for records in part]


def missing(rounds: list[Round]) -> dict[str, str]:
    """Backend -> why it did not run."""
    return {
        key: ranks[0]["missing"]
        for records in part_of(rounds, f"{NAME}/")
        for key, ranks in records.items()
        if "missing" in ranks[0]
    }


def slowest(operation: str, size: str) -> Measure:
    """Seconds a call of the slowest rank."""
    return lambda ranks: max(record["times"][operation][size] for record in ranks)


def copy_seconds(size: str) -> Measure:
    return lambda ranks: max(record["memcpy"][size] for record in ranks)


def over_copy(operation: str, size: str) -> Measure:
    """Bandwidth over memcpy's, of the same process."""
    return lambda ranks: copy_seconds(size)(ranks) / slowest(operation, size)(ranks)


def cases(part: list[Round]) -> list[tuple[str, str]]:
    """(operation, bytes), as they ran."""
    records = [ranks[0] for records in part for ranks in records.values()]
    return [(name, size) for name, sizes in records[0]["times"].items() for size in sizes] if records else []


def report(rounds: list[Round]) -> list[str]:
    part = there(rounds)
    backends = keys_of(part)
    head = ["operation", "bytes", *backends, *(f"{name} over memcpy" for name in backends), "ours is faster, x"]
    rows = [head]
    for operation, size in cases(part):
        large = int(size) >= _LARGE
        copies = [spread(measured(part, name, over_copy(operation, size))) if large else "" for name in backends]
        faster = spread(ratios(part, _PEER, _OURS, slowest(operation, size)))
        cells = (cell(part, name, operation, size) for name in backends)
        rows.append([operation, readable(size), *cells, *copies, faster])
    for size in sizes_copied(part):
        figures = [spread([int(size) / s / 1e9 for s in measured(part, n, copy_seconds(size))]) for n in backends]
        rows.append(["memcpy", readable(size), *(f"{figure} GB/s" for figure in figures), *("" for _ in backends), ""])
    lines = [f"- NOT THERE: {backend}: {reason}." for backend, reason in missing(rounds).items()]
    return [
        *markdown(rows),
        "",
        *lines,
        "- bytes of the whole tensor (at least a float a rank), over the seconds of the slowest rank; memcpy: all "
        "ranks at once, each its own arrays, bytes copied.",
        "",
    ]


def sizes_copied(part: list[Round]) -> list[str]:
    records = [ranks[0] for records in part for ranks in records.values()]
    return list(records[0]["memcpy"]) if records else []


def cell(part: list[Round], backend: str, operation: str, size: str) -> str:
    seconds = measured(part, backend, slowest(operation, size))
    if int(size) >= _LARGE:
        return f"{spread([int(size) / value / 1e9 for value in seconds])} GB/s"
    return f"{spread([1e6 * value for value in seconds], 0)} us"


def readable(size: str) -> str:
    value, unit = int(size), "B"
    for greater in ("KiB", "MiB"):
        if value >= 1024:
            value, unit = value // 1024, greater
    return f"{value} {unit}" if value else ""


def problems(rounds: list[Round]) -> list[str]:
    return list(
        dict.fromkeys(
            f"{backend} delivered wrong values: {text}"
            for records in there(rounds)
            for backend, ranks in records.items()
            for record in ranks
            for text in record["wrong"]
        )
    )


def claims(rounds: list[Round]) -> list[Claim]:
    part, found = there(rounds), []
    for operation, size in cases(part):
        name = f"{operation} {readable(size)}".strip()
        if int(size) < _LARGE:
            microseconds = [1e6 * seconds for seconds in measured(part, _OURS, slowest(operation, size))]
            found.append(Claim(name, "(time of one)", microseconds, "us", at_most=20))
        bound = _BOUNDS.get((operation, int(size)))
        values = ratios(part, _PEER, _OURS, slowest(operation, size))
        found.append(Claim(name, "Gloo: times faster", values, at_least=bound))
    return found

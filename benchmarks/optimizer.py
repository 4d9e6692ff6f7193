"""One Adam step over flat fp32 arrays, beside a stream that reads and writes the same arrays: 28 bytes a parameter."""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path
from typing import Any

from figures import Claim, Measure, Round, keys_of, markdown, measured, part_of, spread, worst_of
from launch import run_ranks
from prepare import STREAM_LIBRARY, compile_peer_ops, compile_stream
from trial import OURS, PEERS, REPEATS, Options, Trial

NAME = "optimizer"
WHAT = "optimizer bandwidth: ours, DeepSpeed's and torch's Adam beside a read-modify-write stream"
ONCE = False

BYTES = 28  # a parameter: four floats read, three written
TOLERANCE = 2e-6  # of a parameter after one step, over the greatest: fp32 rounding
_NUMEL = {"42m": 42_000_000, "tiny": 1_000_000}
_STREAM = "stream"
_REFERENCE = "torch AdamW(fused)"
_OURS = ("DeepSpeedCPUAdam", "FusedAdam")

Record = dict[str, Any]


def trials(options: Options) -> list[Trial]:
    return [
        Trial(f"{NAME}/{name}", python, partial(run, name, python, options), prepare)
        for name, python, prepare in (
            ("ours", OURS, (compile_stream,)),
            ("peers", PEERS, (compile_stream, compile_peer_ops)),
        )
    ]


def run(name: str, python: Path, options: Options) -> Record:
    numel = _NUMEL[options.model]
    arguments = ["--numel", str(numel), "--repeats", str(REPEATS), "--library", str(STREAM_LIBRARY)]
    return run_ranks(f"{NAME} {name}", python, "optimizer_step.py", arguments, ranks=1)[0]


def seconds_of(system: str) -> Measure:
    return lambda record: statistics.median(record["seconds"][system])


def over_stream(system: str) -> Measure:
    """Bandwidth over that of the stream in the same process."""
    return lambda record: seconds_of(_STREAM)(record) / seconds_of(system)(record)


def times_faster(part: list[Round], peer: str, peer_system: str, system: str) -> list[float]:
    """The peer's seconds over those of our `system`, in rounds that have both."""
    return [
        seconds_of(peer_system)(records[peer]) / seconds_of(system)(records["ours"])
        for records in part
        if peer in records and "ours" in records
    ]


def report(rounds: list[Round]) -> list[str]:
    part = part_of(rounds, f"{NAME}/")
    off = deviations(part)
    rows = [["environment", "system", "ms", "GB/s", "x stream", "ours is faster, x", "off by"]]
    for environment in keys_of(part):
        first = next(records[environment] for records in part if environment in records)
        for system in first["seconds"]:
            seconds = measured(part, environment, seconds_of(system))
            rows.append(
                [
                    environment,
                    system,
                    spread([1e3 * value for value in seconds], 1),
                    spread([BYTES * first["numel"] / value / 1e9 for value in seconds], 1),
                    spread(measured(part, environment, over_stream(system))),
                    "" if is_ours(environment, system) or system == _STREAM else faster(part, environment, system, off),
                    verdict(off.get((environment, system))),
                ]
            )
    return [
        *markdown(rows),
        "",
        f"- GB/s at {BYTES} bytes a parameter, all cores. x stream: over the stream of the same process, which moves "
        "the same bytes with hardly any arithmetic: the limit is 1.",
        f"- ours is faster: against our {_OURS[0]}. off by: parameters after one step, against {_REFERENCE}; "
        f"above {TOLERANCE:.0e} is WRONG.",
        "",
    ]


def is_ours(environment: str, system: str) -> bool:
    return environment == "ours" and system in _OURS


def faster(part: list[Round], environment: str, system: str, off: dict[tuple[str, str], float]) -> str:
    if not is_right(off, "ours", _OURS[0]) or not is_right(off, environment, system):
        return "WRONG"
    return spread(times_faster(part, environment, system, _OURS[0]))


def verdict(off: float | None) -> str:
    if off is None:
        return ""
    return f"{off:.0e}" if off <= TOLERANCE else f"WRONG {off:.0e}"


def is_right(off: dict[tuple[str, str], float], environment: str, system: str) -> bool:
    return off.get((environment, system), 0.0) <= TOLERANCE


def deviations(part: list[Round]) -> dict[tuple[str, str], float]:
    """(environment, system) -> the worst distance of a sampled parameter from torch's, over the greatest of them."""
    found: dict[tuple[str, str], list[float]] = {}
    for records in part:
        for environment, record in records.items():
            expected = record["samples"][_REFERENCE]
            scale = max(map(abs, expected))
            for system, values in record["samples"].items():
                if system != _STREAM:
                    distance = worst_of([abs(value - right) for value, right in zip(values, expected)])
                    found.setdefault((environment, system), []).append(distance / scale)
    return {key: worst_of(values) for key, values in found.items()}


def problems(rounds: list[Round]) -> list[str]:
    off = deviations(part_of(rounds, f"{NAME}/"))
    return [
        f"{system} of {environment} is off by {value:.1e} from {_REFERENCE} after one step, more than {TOLERANCE:.0e}"
        for (environment, system), value in off.items()
        if not value <= TOLERANCE
    ]


def claims(rounds: list[Round]) -> list[Claim]:
    part = part_of(rounds, f"{NAME}/")
    off = deviations(part)
    if not is_right(off, "ours", _OURS[0]):
        return []
    name = f"optimizer step, {_OURS[0]}"
    found = [Claim(name, "the stream: bandwidth over", measured(part, "ours", over_stream(_OURS[0])), at_least=0.95)]
    for system in (_OURS[0], _OURS[1], _REFERENCE):
        if is_right(off, "peers", system):
            against = f"{system}: times faster" if system == _REFERENCE else f"deepspeed {system}: times faster"
            found.append(Claim(name, against, times_faster(part, "peers", system, _OURS[0]), at_least=1.0))
    return found

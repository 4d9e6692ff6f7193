"""Runs the trials of all sections, round by round, with a bar that says what runs and how long the rest will take.

Rounds are interleaved (every trial once, then again), so that what else the machine does meets all of them.
"""

from __future__ import annotations

import statistics
import time
from typing import Iterable, Sequence

from figures import Round
from launch import RunFailed
from tqdm import tqdm
from trial import Trial

Plan = list[list[Trial]]  # a list a round


def plan_rounds(trials_of: Iterable[tuple[Sequence[Trial], bool]], num_rounds: int) -> Plan:
    """From (trials, once) of each section: a trial that several want runs once a round, one that only `once` sections
    want in the first round only."""
    every: dict[str, Trial] = {}
    repeated: set[str] = set()
    for trials, once in trials_of:
        for trial in trials:
            every.setdefault(trial.key, trial)
            if not once:
                repeated.add(trial.key)
    first = list(every.values())
    again = [trial for trial in first if trial.key in repeated]
    return [first, *([again] * (num_rounds - 1) if again else [])]


def run_rounds(plan: Plan) -> tuple[list[Round], dict[str, str]]:
    """The rounds, and key -> what went wrong: such a trial is not started again."""
    rounds: list[Round] = []
    failures: dict[str, str] = {}
    seen: dict[str, list[float]] = {}
    left = [trial.key for trials in plan for trial in trials]
    with tqdm(total=len(left), bar_format="[bench] {bar:24} {n_fmt}/{total_fmt}, {elapsed} gone{postfix}") as bar:
        for index, trials in enumerate(plan):
            records: Round = {}
            for trial in trials:
                if trial.key not in failures:
                    rest = clock(seconds_left(left, seen))
                    bar.set_postfix_str(f"about {rest} left; round {index + 1}/{len(plan)}, {trial.key}")
                    begin = time.monotonic()
                    try:
                        records[trial.key] = trial.run()
                    except RunFailed as failure:
                        failures[trial.key] = str(failure)
                        bar.write(f"[bench] FAILED: {failure}")
                    seen.setdefault(trial.key, []).append(time.monotonic() - begin)
                left.pop(0)
                bar.update()
            rounds.append(records)
        bar.set_postfix_str("done")
    return [records for records in rounds if records], failures


def seconds_left(left: Sequence[str], seen: dict[str, list[float]]) -> float | None:
    """A trial takes what it took; one that never ran, what the others take on average. None before the first."""
    if not seen:
        return None
    means = {key: statistics.fmean(values) for key, values in seen.items()}
    ordinary = statistics.fmean(means.values())
    return sum(means.get(key, ordinary) for key in left)


def clock(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds // 60:.0f}:{seconds % 60:02.0f}"

"""What a run does: the options that the user chose, and trials, which a section lists and the rounds interleave."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Protocol

from figures import Claim, Round

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OURS = ROOT / ".venv/bin/python"
PEERS = ROOT / ".venv-peers/bin/python"

# Not counted and counted. The peers' steps still fall in the third one: with fewer warm-ups they would look slower.
STEPS = {"fp32": (4, 5), "bf16": (4, 4)}
REPEATS = 5  # of what is repeated inside the other trials


@dataclass(frozen=True)
class Options:
    """What concerns the trials. The defaults are the complete run."""

    dtypes: tuple[str, ...] = ("fp32", "bf16")
    tokens: tuple[int, ...] = (256,)  # a rank and step
    device: str = "cpu"
    model: str = "42m"
    ranks: int = 2
    warmup: int | None = None  # training steps of a start that are not counted, and that are; None: STEPS
    steps: int | None = None
    systems: tuple[str, ...] = ()  # of the training steps; all where empty

    def steps_of(self, dtype: str) -> tuple[int, int]:
        """(not counted, counted) training steps of one start."""
        warmup, steps = STEPS[dtype]
        return warmup if self.warmup is None else self.warmup, steps if self.steps is None else self.steps


@dataclass(frozen=True)
class Trial:
    """One figure's work in one round. `run` returns what can be written as JSON, and throws RunFailed."""

    key: str  # section/.../label
    python: Path  # the environment that it needs
    run: Callable[[], Any]
    prepare: tuple[Callable[[Options], None], ...] = ()  # once, before all rounds


class Section(Protocol):
    """One subject of the report. The sections are modules, whose names and functions these are."""

    NAME: str
    WHAT: str  # for --help
    ONCE: bool  # a figure that no noise touches: one round does, where no other section wants its trials

    def trials(self, options: Options) -> list[Trial]: ...

    def report(self, rounds: list[Round]) -> list[str]:
        """Lines of Markdown."""
        ...

    def problems(self, rounds: list[Round]) -> list[str]:
        """A sentence for each wrong answer; the run fails where there is one."""
        ...

    def claims(self, rounds: list[Round]) -> list[Claim]:
        """What the design promises, and other ratios worth a line of the summary."""
        ...


def num_cores() -> int:
    return len(os.sched_getaffinity(0))

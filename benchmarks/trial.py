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


@dataclass(frozen=True)
class Options:
    """What concerns the trials. The defaults are the complete run."""

    dtypes: tuple[str, ...] = ("fp32", "bf16")
    tokens: tuple[int, ...] = (256,)  # a rank and step
    device: str = "cpu"
    model: str = "42m"
    ranks: int = 2
    warmup: int = 2
    steps: int = 5
    systems: tuple[str, ...] = ()  # of the training steps; all where empty


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

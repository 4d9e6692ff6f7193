"""Starts the ranks of one system and collects the JSON line of each."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OURS = ROOT / ".venv/bin/python"
PEERS = ROOT / ".venv-peers/bin/python"
TIMEOUT_S = 300


class RunFailed(Exception):
    """A rank ended with an error or took too long; the text holds its last lines."""


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


@dataclass(frozen=True)
class Work:
    """What every system does."""

    dtype: str = "fp32"
    device: str = "cpu"
    model: str = "42m"
    ranks: int = 2
    warmup: int = 2
    steps: int = 5


def run_once(entry: Entry, work: Work) -> list[dict[str, Any]]:
    """One record a rank, in rank order. Throws RunFailed."""
    command = [str(entry.python), str(HERE / "train_step.py"), "--system", entry.system, "--stage", str(entry.stage)]
    for name in ("dtype", "device", "model", "warmup", "steps"):
        command += [f"--{name}", str(getattr(work, name))]
    environment = rank_environment(entry, work)
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / f"rank_{rank}" for rank in range(work.ranks)]
        ranks = [
            start_rank(command, {**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)}, output)
            for rank, output in enumerate(outputs)
        ]
        wait_for(entry, ranks, outputs)
        return [last_record(entry, output) for output in outputs]


def rank_environment(entry: Entry, work: Work) -> dict[str, str]:
    cores = len(os.sched_getaffinity(0))
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "PATH": f"{entry.python.parent}:{os.environ['PATH']}",
        "WORLD_SIZE": str(work.ranks),
        "LOCAL_WORLD_SIZE": str(work.ranks),
        "LOCAL_SIZE": str(work.ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": str(max(1, cores // work.ranks)),
        "DS_ACCELERATOR": work.device,
        "TORCH_EXTENSIONS_DIR": str(ROOT / ".cache/torch_extensions"),  # where the peer compiles its own
    }


def start_rank(command: list[str], environment: dict[str, str], output: Path) -> subprocess.Popen:
    with output.open("w") as stdout, output.with_suffix(".log").open("w") as stderr:
        return subprocess.Popen(command, env=environment, stdout=stdout, stderr=stderr, start_new_session=True)


def wait_for(entry: Entry, ranks: list[subprocess.Popen], outputs: list[Path]) -> None:
    """Returns when all ranks ended well; ends all of them at the first that did not."""
    deadline = time.monotonic() + TIMEOUT_S
    try:
        while any(process.poll() is None for process in ranks):
            if time.monotonic() > deadline:
                raise RunFailed(f"{entry.label}: not done after {TIMEOUT_S} s.\n{tail(outputs)}")
            if any(process.returncode for process in ranks):
                break
            time.sleep(0.05)
    finally:
        codes = [process.poll() for process in ranks]
        for process in ranks:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if any(codes):
        raise RunFailed(f"{entry.label}: the ranks ended with {codes} (None: still at work).\n{tail(outputs)}")


def tail(outputs: list[Path]) -> str:
    texts = [path.with_suffix(".log").read_text() for path in outputs]
    return "\n".join("\n".join(text.splitlines()[-12:]) for text in texts)


def last_record(entry: Entry, output: Path) -> dict[str, Any]:
    """The peer writes log lines to stdout as well: the record is the last line that is JSON."""
    for line in reversed(output.read_text().splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise RunFailed(f"{entry.label}: a rank printed no record.\n{tail([output])}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

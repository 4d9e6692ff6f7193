"""Starts the processes of one trial, all at once, and collects the JSON line of each."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trial import HERE, ROOT, num_cores

TIMEOUT_S = 600


class RunFailed(Exception):
    """A process ended with an error or took too long; the text holds its last lines."""


@dataclass(frozen=True)
class Command:
    arguments: list[str]
    environment: dict[str, str]


def run_ranks(label: str, python: Path, script: str, arguments: list[str], ranks: int, device: str = "cpu") -> Any:
    """One record a rank, in rank order, of a script of this folder. Throws RunFailed."""
    shared = {**rank_environment(python, device, threads=max(1, num_cores() // ranks)), **rendezvous(ranks)}
    command = [str(python), str(HERE / script), *arguments]
    outputs = run_commands(
        label, [Command(command, {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(ranks)]
    )
    return [last_record(label, output) for output in outputs]


def run_commands(label: str, commands: list[Command], timeout_s: float = TIMEOUT_S) -> list[str]:
    """Starts all of them, then waits: what each wrote to stdout. Throws RunFailed, with none of them left."""
    for program in {command.arguments[0] for command in commands}:
        if shutil.which(program) is None:
            raise RunFailed(f"{label}: there is no program {program}.")
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / f"process_{index}" for index in range(len(commands))]
        processes = [start(command, output) for command, output in zip(commands, outputs)]
        wait_for(label, processes, outputs, timeout_s)
        return [output.read_text() for output in outputs]


def rank_environment(python: Path, device: str, threads: int) -> dict[str, str]:
    """The user's own, with the programs of that interpreter first and nothing of another package in the way."""
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": str(threads),
        "DS_ACCELERATOR": device,
        "TORCH_EXTENSIONS_DIR": str(ROOT / ".cache/torch_extensions"),  # where the peer compiles its own
    }


def rendezvous(ranks: int) -> dict[str, str]:
    return {
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "LOCAL_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }


def start(command: Command, output: Path) -> subprocess.Popen[bytes]:
    with output.open("w") as stdout, output.with_suffix(".log").open("w") as stderr:
        return subprocess.Popen(
            command.arguments, env=command.environment, stdout=stdout, stderr=stderr, start_new_session=True
        )


def wait_for(label: str, processes: list[subprocess.Popen[bytes]], outputs: list[Path], timeout_s: float) -> None:
    """Returns when all ended well; ends all of them at the first that did not."""
    deadline = time.monotonic() + timeout_s
    try:
        while any(process.poll() is None for process in processes):
            if time.monotonic() > deadline:
                raise RunFailed(f"{label}: not done after {timeout_s:.0f} s.\n{tail(outputs)}")
            if any(process.returncode for process in processes):
                break
            time.sleep(0.05)
    finally:
        codes = [process.poll() for process in processes]
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if any(codes):
        raise RunFailed(f"{label}: the processes ended with {codes} (None: still at work).\n{tail(outputs)}")


def tail(outputs: list[Path]) -> str:
    texts = [path.with_suffix(".log").read_text() for path in outputs]
    return "\n".join("\n".join(text.splitlines()[-12:]) for text in texts)


def last_record(label: str, output: str) -> dict[str, Any]:
    """The peer writes log lines to stdout as well: the record is the last line that is JSON."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise RunFailed(f"{label}: a process printed no record, but:\n{output[-1000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

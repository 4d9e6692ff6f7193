"""What `import deepspeed` adds to `import torch`, and the `deepspeed` command to starting the ranks by hand.

    .venv/bin/python benchmarks/start_up.py [--rounds 11]

Wall time to the end of the import, and to the first line of the script on the slowest rank, in turns; CPU seconds of
all processes beside it, which hardly depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

RANKS = 2
FIRST_LINE = "import time\nprint(f'first line {time.monotonic()}', flush=True)\n"
COMMAND = Path(sys.executable).with_name("deepspeed")
Cost = tuple[float, float]
"""Seconds of wall time, of CPU time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "first_line.py"
        script.write_text(FIRST_LINE)
        compare("import", {"torch": import_torch, "then deepspeed": import_deepspeed}, rounds, is_added=False)
        ranks = {"by hand": lambda: by_hand(script), "deepspeed": lambda: by_command(script)}
        compare(f"first line of {RANKS} ranks", ranks, rounds)


def compare(what: str, ways: dict[str, Callable[[], Cost]], rounds: int, is_added: bool = True) -> None:
    """`is_added`: the second way does all that the first does, and more."""
    for way in ways.values():
        way()  # files into the page cache
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            costs[name].append(way())
    print(what)
    for name in ways:
        print(f"  {name}: " + ", ".join(spread(kind, part) for kind, part in zip(("wall", "CPU"), zip(*costs[name]))))
    if not is_added:
        return
    base, other = costs.values()
    added = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(base, other, strict=True)]
    print("  added: " + ", ".join(spread(kind, part) for kind, part in zip(("wall", "CPU"), zip(*added))), flush=True)


def spread(kind: str, values: tuple[float, ...]) -> str:
    return f"{kind} {statistics.median(values):.3f} s [{min(values):.3f}, {max(values):.3f}]"


def import_torch() -> Cost:
    return timed_inside("pass", "import torch")


def import_deepspeed() -> Cost:
    return timed_inside("import torch", "import deepspeed")


def timed_inside(before: str, code: str) -> Cost:
    clocks = "(time.monotonic(), time.process_time())"
    program = f"import time\n{before}\na = {clocks}\n{code}\nb = {clocks}\nprint(b[0] - a[0], b[1] - a[1])"
    run = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True)
    wall, cpu = map(float, run.stdout.split())
    return wall, cpu


def by_hand(script: Path) -> Cost:
    environment = {**os.environ, "WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29555"}
    environments = [{**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(RANKS)]
    return until_first_line([([sys.executable, "-u", str(script)], each) for each in environments])


def by_command(script: Path) -> Cost:
    command = [str(COMMAND), "--num_gpus", str(RANKS), "--no_local_rank", str(script)]
    return until_first_line([(command, dict(os.environ))])


def until_first_line(commands: list[tuple[list[str], dict[str, str]]]) -> Cost:
    begin, spent = time.monotonic(), children_cpu_s()
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for command, environment in commands
    ]
    outputs = [process.communicate()[0] for process in processes]
    lines = [float(at) for output in outputs for at in re.findall(r"first line ([0-9.]+)", output)]
    if len(lines) != RANKS or any(process.returncode for process in processes):
        sys.exit(f"expected a line of each of {RANKS} ranks, got: {outputs}")
    return max(lines) - begin, children_cpu_s() - spent


def children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()

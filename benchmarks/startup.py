"""From a launcher's start to the first line of the user's script, beside starting the ranks by hand; and imports."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from figures import Claim, Measure, Round, differences, keys_of, markdown, measured, part_of, ratios, spread
from launch import Command, RunFailed, rank_environment, rendezvous, run_commands, run_ranks
from trial import HERE, OURS, PEERS, Options, Trial, num_cores

NAME = "startup"
WHAT = "the launchers to the first line of user code, beside the ranks by hand; imports beside `import torch`"
ONCE = False

_BY_HAND = "by hand"
_LAUNCHERS = {"ours": OURS, "deepspeed": PEERS, "torchrun": PEERS}
_IMPORTS = {"import ours": OURS, "import deepspeed": PEERS}
_SCRIPT = str(HERE / "startup_script.py")
_BOUND_S = 0.2


def trials(options: Options) -> list[Trial]:
    launchers = {_BY_HAND: OURS, **_LAUNCHERS}
    return [
        *(Trial(f"{NAME}/{key}", python, partial(launch, key, python, options)) for key, python in launchers.items()),
        *(Trial(f"{NAME}/{key}", python, partial(import_seconds, key, python)) for key, python in _IMPORTS.items()),
    ]


def launch(name: str, python: Path, options: Options) -> dict[str, float]:
    """Seconds until the last rank was in its first line."""
    environment = rank_environment(python, "cpu", max(1, num_cores() // options.ranks))
    with tempfile.TemporaryDirectory() as folder:
        commands = [
            Command(arguments, {**environment, **more})
            for arguments, more in launching(name, python, options.ranks, folder)
        ]
        begin = time.monotonic()
        run_commands(f"{NAME} {name}", commands)
        marks = [float(path.read_text()) for path in Path(folder).iterdir()]
        if len(marks) != options.ranks:
            raise RunFailed(f"{NAME} {name}: {len(marks)} ranks ran the script, expected {options.ranks}.")
        return {"seconds": max(marks) - begin}


def launching(name: str, python: Path, ranks: int, folder: str) -> list[tuple[list[str], dict[str, str]]]:
    """The commands that start all ranks, and what each adds to the environment."""
    if name == _BY_HAND:
        shared = rendezvous(ranks)
        return [
            ([str(python), _SCRIPT, folder], {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(ranks)
        ]
    program = str(python.parent / ("torchrun" if name == "torchrun" else "deepspeed"))
    flags = ["--standalone", f"--nproc-per-node={ranks}"] if name == "torchrun" else ["--num_gpus", str(ranks)]
    return [([program, *flags, _SCRIPT, folder], {})]


def import_seconds(name: str, python: Path) -> dict[str, Any]:
    return run_ranks(f"{NAME} {name}", python, "import_time.py", [], ranks=1)[0]


def seconds(record: dict[str, float]) -> float:
    return record["seconds"]


def imported(name: str) -> Measure:
    return lambda record: record[name]


def whole_import(record: Any) -> float:
    return record["deepspeed"] + record["engine"]


def report(rounds: list[Round]) -> list[str]:
    part = part_of(rounds, f"{NAME}/")
    rows = [["launcher", "to the first line, s", "more than by hand, s", "ours is faster, x"]]
    rows += [
        [
            name,
            spread(measured(part, name, seconds)),
            spread(differences(part, name, _BY_HAND, seconds)),
            "" if name in ("ours", _BY_HAND) else spread(ratios(part, name, "ours", seconds)),
        ]
        for name in keys_of(part)
        if name not in _IMPORTS
    ]
    imports = [["environment", "import torch, s", "then import deepspeed, s", "then its engine's class, s"]]
    imports += [
        [name, *(spread(measured(part, name, imported(what))) for what in ("torch", "deepspeed", "engine"))]
        for name in keys_of(part)
        if name in _IMPORTS
    ]
    note = "- by hand: `python script.py` once a rank, all at once, with the ranks' environment set."
    return [*markdown(rows), "", note, "", *markdown(imports), ""]


def problems(rounds: list[Round]) -> list[str]:
    del rounds
    return []


def claims(rounds: list[Round]) -> list[Claim]:
    part = part_of(rounds, f"{NAME}/")
    added = differences(part, "ours", _BY_HAND, seconds)
    found = [Claim("deepspeed command to the first line", "by hand: added", added, "s", at_most=_BOUND_S)]
    for name in ("deepspeed", "torchrun"):
        values = ratios(part, name, "ours", seconds)
        found.append(Claim("deepspeed command to the first line", f"{name}: times faster", values))
    found.append(
        Claim(
            "import deepspeed",
            "import torch: added",
            measured(part, "import ours", imported("deepspeed")),
            "s",
            at_most=_BOUND_S,
        )
    )
    theirs = [  # with the engine's class, which ours imports on first use
        whole_import(records["import deepspeed"]) / whole_import(records["import ours"])
        for records in part
        if "import deepspeed" in records and "import ours" in records
    ]
    found.append(Claim("import deepspeed and its engine after torch", "DeepSpeed's: times faster", theirs))
    return found

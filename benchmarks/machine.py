"""What a figure depends on: the machine and the versions, for the head of a result."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path

_VERSIONS = """
import importlib.metadata, json, sys
found = {name: importlib.metadata.version(name) for name in ("torch", "deepspeed")}
if sys.argv[1] == "cuda":
    import torch
    found["gpu"] = torch.cuda.get_device_name(0)
print(json.dumps(found))
"""


def describe_machine() -> dict[str, str]:
    return {
        "cpu": _proc_field("/proc/cpuinfo", "model name"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "python": platform.python_version(),
    }


def versions_of(python: Path, device: str) -> dict[str, str]:
    """torch's and deepspeed's version, and of a `cuda` device its name, in the environment of that interpreter."""
    command = [str(python), "-c", _VERSIONS, device]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def commit() -> str:
    """Of this checkout, with a + where tracked files differ from it."""
    described = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--exclude=*"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    return described.stdout.strip() or "unknown"


def load_average() -> float:
    return os.getloadavg()[0]


def _proc_field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"

"""What a figure depends on: the machine and the versions, for the head of a result."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

_VERSIONS = """
import importlib.metadata as metadata, json, torch
names = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
print(json.dumps({"torch": torch.__version__, "deepspeed": metadata.version("deepspeed"), "gpu": names}))
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


def versions_of(python: Path) -> str:
    """JSON of torch's and deepspeed's version, and the GPU's name, in the environment of that interpreter."""
    return subprocess.run([str(python), "-c", _VERSIONS], check=True, capture_output=True, text=True).stdout


def load_average() -> float:
    return os.getloadavg()[0]


def _proc_field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"

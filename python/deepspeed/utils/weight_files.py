"""How weights are spread over files of bounded size: names as transformers looks for them. Pure planning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Mapping

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_bytes(size: str | int) -> int:
    """5000000000 of "5GB", 2 ** 30 of "1GiB". Raises ValueError for anything else."""
    if isinstance(size, int):
        return size
    matched = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", size)
    if matched is None or matched[2].upper() not in _UNITS:
        raise ValueError(f"[deepspeed.utils] max_shard_size: got {size!r}, expected bytes, or a size such as 5GB.")
    return int(float(matched[1]) * _UNITS[matched[2].upper()])


@dataclass(frozen=True)
class WeightFiles:
    """Which weight goes into which file."""

    names_of: dict[str, list[str]]  # file -> weights
    index_name: str
    index: dict[str, Any] | None  # None where there is one file

    @staticmethod
    def plan(weights: Mapping[str, tuple[str, int]], max_bytes: str | int | None, is_safetensors: bool) -> WeightFiles:
        """`weights`: name to (the name that it is tied to, or its own; bytes). In order; a file is closed where the
        next tensor would not fit, and one tensor that is too large has a file of its own. Tied names share a file."""
        limit = None if max_bytes is None else parse_bytes(max_bytes)
        shards: list[list[str]] = []
        shard_of: dict[str, int] = {}  # owner -> shard
        filled = total = 0
        for name, (owner, size) in weights.items():
            if owner in shard_of:
                shards[shard_of[owner]].append(name)
                continue
            if not shards or (limit is not None and filled > 0 and filled + size > limit):
                shards.append([])
                filled = 0
            shards[-1].append(name)
            shard_of[owner] = len(shards) - 1
            filled += size
            total += size
        stem, end = ("model", "safetensors") if is_safetensors else ("pytorch_model", "bin")
        files = (
            [f"{stem}.{end}"]
            if len(shards) <= 1
            else [f"{stem}-{each + 1:05d}-of-{len(shards):05d}.{end}" for each in range(len(shards))]
        )
        names_of = dict(zip(files, shards or [[]]))
        index = {
            "metadata": {"total_size": total},
            "weight_map": {name: file for file, names in names_of.items() for name in names},
        }
        return WeightFiles(names_of, f"{stem}.{end}.index.json", index if len(files) > 1 else None)

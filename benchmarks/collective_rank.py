"""One rank: times collectives of one c10d backend and copies in memory, and checks what they delivered.

    python benchmarks/collective_rank.py --backend gloo --repeats 5    (with RANK and so on as torchrun sets them)

Prints one line of JSON: {"times": {operation: {bytes: seconds}}, "wrong": [...], "memcpy": {bytes: seconds}}, or
{"missing": reason} where this torch has no such backend.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import time
from typing import Callable

import deepspeed  # noqa: F401 (registers its backend)
import torch
from torch import distributed as dist

SIZES = (4, 4 << 10, 1 << 20, 128 << 20)  # bytes of the whole tensor, but at least an element a rank
COPY_SIZES = (1 << 20, 128 << 20)
BATCH_BYTES = 32 << 20  # small messages are timed many at a time, up to so many bytes or calls
BATCH_CALLS = 200

Operation = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--most-bytes", type=int, default=SIZES[-1], help="leaves out greater sizes")
    arguments = parser.parse_args()
    if arguments.backend not in dist.Backend.backend_list:
        print(json.dumps({"missing": f"torch {torch.__version__} and this deepspeed register no such backend"}))
        return
    dist.init_process_group(arguments.backend)
    times: dict[str, dict[str, float]] = {}
    wrong: list[str] = []
    for size in (size for size in SIZES if size <= arguments.most_bytes):
        for name, (run, is_right) in operations(size).items():
            times.setdefault(name, {})[str(size)] = seconds_a_call(run, size, arguments.repeats)
            if not is_right():
                wrong.append(f"{name} of {size} bytes on rank {dist.get_rank()}")
    times["barrier"] = {"0": seconds_a_call(dist.barrier, 0, arguments.repeats)}
    copies = {
        str(size): seconds_a_call(copy_of(size), size, arguments.repeats)
        for size in COPY_SIZES
        if size <= arguments.most_bytes
    }
    dist.barrier()
    print(json.dumps({"times": times, "wrong": wrong, "memcpy": copies}), flush=True)
    dist.destroy_process_group()


def operations(size: int) -> dict[str, tuple[Operation, Callable[[], bool]]]:
    """Name -> what is timed, and whether one more call delivers the right values."""
    rank, world = dist.get_rank(), dist.get_world_size()
    each = max(1, size // 4 // world)
    whole, part = torch.ones(each * world), torch.ones(each)  # ordinary numbers: others can cost more to add
    everyone = float(sum(range(1, world + 1)))

    def starting_from(tensor: torch.Tensor, run: Operation, result: torch.Tensor, expected: list[float]) -> bool:
        tensor.fill_(rank + 1)
        run()
        pieces = result.view(len(expected), -1)
        return all(bool((piece == value).all()) for piece, value in zip(pieces, expected))

    def reduce_scatter() -> object:
        return dist.reduce_scatter_tensor(part, whole)

    def all_gather() -> object:
        return dist.all_gather_into_tensor(whole, part)

    def all_reduce() -> object:
        return dist.all_reduce(whole)

    def broadcast() -> object:
        return dist.broadcast(whole, src=0)

    return {
        "reduce-scatter": (reduce_scatter, lambda: starting_from(whole, reduce_scatter, part, [everyone])),
        "all-gather": (all_gather, lambda: starting_from(part, all_gather, whole, [r + 1.0 for r in range(world)])),
        "all-reduce": (all_reduce, lambda: starting_from(whole, all_reduce, whole, [everyone])),
        "broadcast": (broadcast, lambda: starting_from(whole, broadcast, whole, [1.0])),
    }


def seconds_a_call(run: Operation, size: int, repeats: int) -> float:
    """The median of `repeats` batches, of calls until they make up enough; all ranks start a batch together."""
    calls = max(1, min(BATCH_CALLS, BATCH_BYTES // max(size, 1)))
    for _ in range(min(calls, 10)):
        run()
    seconds: list[float] = []
    for _ in range(repeats):
        dist.barrier()
        begin = time.perf_counter()
        for _ in range(calls):
            run()
        seconds.append((time.perf_counter() - begin) / calls)
    return statistics.median(seconds)


def copy_of(size: int) -> Operation:
    """memcpy between two arrays of this process, while the other ranks do the same."""
    source, target = torch.ones(size // 4), torch.zeros(size // 4)
    return lambda: ctypes.memmove(target.data_ptr(), source.data_ptr(), size)


if __name__ == "__main__":
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    main()

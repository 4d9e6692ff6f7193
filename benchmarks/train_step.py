"""One rank of one system: trains a few steps and prints one line of JSON about them.

The environment gives the ranks (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT), as torchrun would:
    python benchmarks/train_step.py --system ddp --stage 0 --dtype fp32 --warmup 2 --steps 5
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist

import systems
from llama import SHAPES, Llama, Shape, make_batch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PHASES = ("forward_s", "backward_s", "optimizer_s")
SUMMARIES = {"median": statistics.median, "min": min, "max": max}


def main() -> None:
    arguments = parse_arguments()
    device = start_ranks(arguments.system, arguments.device)
    torch.manual_seed(1234)
    shape = SHAPES[arguments.model]
    model = Llama(shape).to(device)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    before = resident_bytes()
    system = systems.make_system(
        arguments.system, model, stage=arguments.stage, dtype=DTYPES[arguments.dtype], batch_size=shape.batch
    )
    record: dict[str, Any] = {
        "system": arguments.system,
        "stage": arguments.stage,
        "dtype": arguments.dtype,
        "rank": dist.get_rank(),
        "world_size": dist.get_world_size(),
        "parameters": num_parameters,
        "torch": torch.__version__,
        "deepspeed": getattr(system, "version", None),
    }
    record |= train(system, shape, device, arguments.warmup, arguments.steps)
    record["memory"] = system.memory()
    record["peak_rss_bytes"] = peak_resident_bytes()
    record["peak_rss_growth_bytes"] = peak_resident_bytes() - before
    if device.type == "cuda":
        record["peak_cuda_bytes"] = torch.cuda.max_memory_allocated()
    dist.barrier()
    print(json.dumps(record), flush=True)
    dist.destroy_process_group()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--system", choices=systems.NAMES, required=True)
    parser.add_argument("--stage", type=int, choices=(0, 1, 2, 3), default=0, help="of ours, deepspeed and fsdp2")
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="fp32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--model", choices=tuple(SHAPES), default="42m", help="tiny: to try the program, not to time")
    parser.add_argument("--warmup", type=int, default=2, help="steps that are not counted")
    parser.add_argument("--steps", type=int, default=5, help="steps that are counted")
    return parser.parse_args()


def start_ranks(system: str, device_name: str) -> torch.device:
    """The process group; ours and the peer make their own through `init_distributed`, as users do."""
    device = torch.device(device_name)
    if device_name == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if system in ("ours", "deepspeed"):
        import deepspeed

        deepspeed.init_distributed()
    else:
        dist.init_process_group("nccl" if device_name == "cuda" else "gloo")
    return device


def train(system: Any, shape: Shape, device: torch.device, warmup: int, steps: int) -> dict[str, Any]:
    """Losses and gradient norms of all steps, seconds of the counted ones."""
    losses: list[torch.Tensor] = []
    norms: list[float | None] = []
    times: dict[str, list[float]] = {name: [] for name in ("step_s", *PHASES)}
    batches = [
        tuple(part.to(device) for part in make_batch(shape, step, dist.get_rank())) for step in range(warmup + steps)
    ]
    for step, batch in enumerate(batches):
        if step == warmup:
            dist.barrier()  # the ranks start together, `alone` too, which nothing else would hold together
        marks = [now(device)]
        loss = system.forward(batch)
        marks.append(now(device))
        system.backward(loss)
        marks.append(now(device))
        system.step()
        marks.append(now(device))
        losses.append(loss.detach().float())
        norms.append(system.grad_norm())
        if step >= warmup:
            times["step_s"].append(marks[-1] - marks[0])
            for name, begin, end in zip(PHASES, marks, marks[1:]):
                times[name].append(end - begin)
    summary = {f"{word}_s": function(times["step_s"]) for word, function in SUMMARIES.items()}
    return {**times, **summary, "losses": [loss.item() for loss in losses], "grad_norms": norms}


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_resident_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())

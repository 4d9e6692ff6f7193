"""One rank of one system: trains a few steps and prints one line of JSON about them.

The environment gives the ranks (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT), as torchrun would:
    python benchmarks/train_step.py --system ddp --stage 0 --dtype fp32 --warmup 2 --steps 5
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import systems
import torch
from llama import SHAPES, Llama, Shape, make_batch
from torch import distributed as dist
from torch import nn

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PHASES = ("forward_s", "backward_s", "optimizer_s")


def main() -> None:
    arguments = parse_arguments()
    device = start_ranks(arguments.system, arguments.device)
    touch_code(device)
    torch.manual_seed(1234)
    shape = shape_of(arguments.model, arguments.tokens)
    model = Llama(shape).to(device)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    before = resident_bytes() - 4 * num_parameters  # the fp32 model is part of what is held
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
    if device.type == "cuda":
        record["peak_growth_bytes"] = torch.cuda.max_memory_allocated()
        record["held_bytes"] = torch.cuda.memory_allocated()
    else:
        record["peak_growth_bytes"] = peak_resident_bytes() - before
        record["held_bytes"] = resident_bytes() - before
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
    parser.add_argument("--tokens", type=int, help="a rank and step, a multiple of the model's sequence length")
    parser.add_argument("--warmup", type=int, default=2, help="steps that are not counted")
    parser.add_argument("--steps", type=int, default=5, help="steps that are counted")
    return parser.parse_args()


def shape_of(model: str, tokens: int | None) -> Shape:
    """The named shape, with as many sequences a rank as make up `tokens`."""
    shape = SHAPES[model]
    if tokens is None:
        return shape
    if tokens < shape.sequence or tokens % shape.sequence:
        sys.exit(f"[bench] --tokens: got {tokens}, expected a multiple of {shape.sequence}, the sequence length.")
    return dataclasses.replace(shape, batch=tokens // shape.sequence)


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


def touch_code(device: torch.device) -> None:
    """One step of a small model, so that torch's own pages and buffers do not count as what a system holds."""
    shape = SHAPES["tiny"]
    small = Llama(shape).to(device)
    optimizer = torch.optim.AdamW(small.parameters(), fused=True)
    small(*(part.to(device) for part in make_batch(shape, 0, 0))).backward()
    nn.utils.clip_grad_norm_(small.parameters(), 1.0)
    optimizer.step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


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
    return {**times, "losses": [loss.item() for loss in losses], "grad_norms": norms}


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def resident_bytes() -> int:
    """After the allocator gave back what is free."""
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_resident_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())

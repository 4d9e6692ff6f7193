"""One rank: how long reductions of several sizes take, through the engine and whatever communicator it has.

At stage 1 with two micro-batches a step the first backward keeps its gradient, the second reduces it: the rest of both
is alike. Prints one line of JSON: elements -> seconds of the first and of the second, medians.
"""

from __future__ import annotations

import json
import statistics
import time

import torch
from torch import distributed as dist
from torch import nn

import deepspeed

SIZES = (64, 1 << 20, 1 << 22)
WARMUP = 2


class OneWeight(nn.Module):
    def __init__(self, numel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(numel))

    def forward(self) -> torch.Tensor:
        return self.weight.sum()


def main() -> None:
    deepspeed.init_distributed()
    result = {numel: measure(numel, repetitions=40 if numel < 1 << 16 else 12) for numel in SIZES}
    print(json.dumps(result), flush=True)
    dist.destroy_process_group()


def measure(numel: int, repetitions: int) -> tuple[float, float]:
    engine, *_ = deepspeed.initialize(
        model=OneWeight(numel),
        config={
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 2,
            "optimizer": {"type": "SGD", "params": {"lr": 0.0}},
            "zero_optimization": {"stage": 1},
            "steps_per_print": 1_000_000,
        },
    )
    kept, reduced = [], []
    for repetition in range(WARMUP + repetitions):
        for times in (kept, reduced):
            loss = engine()
            dist.barrier()
            start = time.perf_counter()
            engine.backward(loss)
            if repetition >= WARMUP:
                times.append(time.perf_counter() - start)
            engine.step()
    engine.destroy()
    return statistics.median(kept), statistics.median(reduced)


if __name__ == "__main__":
    main()

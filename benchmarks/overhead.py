"""What the engine adds to a step: CPU time of the training thread, beside the same model in a plain torch loop.

    .venv/bin/python benchmarks/overhead.py                                  # one rank
    .venv/bin/deepspeed --no_local_rank --num_gpus 2 benchmarks/overhead.py --stage 3    # two; rank 0 prints

A module's cost is what a chain of many tiny modules takes more, over their number; the share of a step is that cost for
each module of the 42 M model of `run.py`, over that model's step. CPU time of one thread hardly depends on what else the
machine does, and engine and plain loop take turns. `--profile` shows where the Python part of it goes.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import statistics
import time
from typing import Any, Callable

import torch
from llama import SHAPES, Llama, make_batch
from torch import nn

import deepspeed

WIDTH = 16
WARM_UP = 4


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    if "RANK" in os.environ:
        deepspeed.init_distributed()
    is_first = os.environ.get("RANK", "0") == "0"
    plain_steps, engine_steps, engine = make_pair(tiny(arguments.modules), arguments)
    differences = [[], []]
    for _ in range(arguments.rounds):
        plain, ours = plain_steps(arguments.steps), engine_steps(arguments.steps)
        for part in (0, 1):
            differences[part].append((ours[part] - plain[part]) / arguments.modules * 1e6)
    if is_first:
        print(f"stage {arguments.stage}, {arguments.modules} modules, {engine.world_size} ranks; us a module")
        report("forward and backward", differences[0])
        report("step", differences[1])
    if arguments.profile:
        profile(engine_steps, arguments.steps, is_first)
    engine.destroy()
    if arguments.llama:
        cost_us = statistics.median([sum(both) for both in zip(*differences, strict=True)])
        compare_llama(arguments, cost_us, is_first)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", type=int, default=2)
    parser.add_argument("--modules", type=int, default=200)
    parser.add_argument("--steps", type=int, default=10, help="in a row, of each, a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--llama", action="store_true", help="the share of the 42 M model's step too")
    parser.add_argument("--profile", action="store_true")
    return parser.parse_args()


def tiny(modules: int) -> tuple[Callable[[], nn.Module], tuple[torch.Tensor, ...]]:
    def make() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(*[nn.Linear(WIDTH, WIDTH) for _ in range(modules)])

    return make, (torch.ones(1, WIDTH),)


def make_pair(
    model_and_inputs: tuple[Callable[[], nn.Module], tuple[torch.Tensor, ...]], arguments: argparse.Namespace
) -> tuple[Callable[[int], list[float]], Callable[[int], list[float]], Any]:
    """Two functions that take a number of steps and give [forward and backward, step] in seconds a step, and the
    engine of the second."""
    make, inputs = model_and_inputs
    plain = make()
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-4, fused=True)
    config = {
        "train_micro_batch_size_per_gpu": 1,
        "optimizer": {"type": "AdamW", "params": {"lr": 1e-4}},
        "zero_optimization": {"stage": arguments.stage, "stage3_param_persistence_threshold": 0},
    }
    engine, *_ = deepspeed.initialize(model=make(), config=config)

    def backward_plain() -> None:
        plain(*inputs).sum().backward()

    def step_plain() -> None:
        nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    def backward_engine() -> None:
        engine.backward(engine(*inputs).sum())

    plain_steps, engine_steps = timed(backward_plain, step_plain), timed(backward_engine, engine.step)
    plain_steps(WARM_UP), engine_steps(WARM_UP)
    return plain_steps, engine_steps, engine


def timed(backward: Callable[[], None], step: Callable[[], None]) -> Callable[[int], list[float]]:
    def run(steps: int) -> list[float]:
        spent = [0.0, 0.0]
        for _ in range(steps):
            begin = time.thread_time()
            backward()
            middle = time.thread_time()
            step()
            spent[0] += middle - begin
            spent[1] += time.thread_time() - middle
        return [part / steps for part in spent]

    return run


def report(what: str, values: list[float]) -> None:
    print(f"  {what}: {statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]", flush=True)


def profile(steps: Callable[[int], list[float]], count: int, is_first: bool) -> None:
    profiler = cProfile.Profile()
    profiler.runcall(steps, count)
    if is_first:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(12)


def compare_llama(arguments: argparse.Namespace, cost_us: float, is_first: bool) -> None:
    def make() -> nn.Module:
        torch.manual_seed(1)
        return Llama(SHAPES["42m"])

    plain_steps, engine_steps, engine = make_pair((make, make_batch(SHAPES["42m"], 0, 0)), arguments)
    plain, ours = [], []
    for _ in range(arguments.rounds):
        plain.append(sum(plain_steps(1)))
        ours.append(sum(engine_steps(1)))
    modules = sum(next(module.parameters(recurse=False), None) is not None for module in make().modules())
    if is_first:
        step_s = statistics.median(plain)
        print(f"42 M model, {modules} modules with parameters, plain step {step_s:.3f} s of CPU time")
        print(f"  bookkeeping: {modules * cost_us / step_s / 1e4:.3f} % of a step")
        report("whole step, engine / plain", [a / b for a, b in zip(ours, plain, strict=True)])
    engine.destroy()


if __name__ == "__main__":
    main()

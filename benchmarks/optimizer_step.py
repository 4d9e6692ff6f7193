"""One process: times optimizers on the same four flat arrays, and the stream that moves as many bytes.

    python benchmarks/optimizer_step.py --numel 42000000 --repeats 7 --library .cache/bench/stream.so

Prints one line of JSON: for each system its seconds a pass, and what its first step made of some parameters. Which
`deepspeed` is measured is the interpreter's.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import time
from typing import Any, Callable

import torch

LEARNING_RATE, BETAS, EPSILON, WEIGHT_DECAY = 1e-3, (0.9, 0.999), 1e-8, 0.01
NUM_SAMPLES = 32
PAUSE_S = 0.02  # until another library's idle threads no longer spin

State = dict[str, torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--numel", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--library", required=True, help="stream.cpp, compiled")
    arguments = parser.parse_args()

    parameter = torch.nn.Parameter(torch.empty(arguments.numel))
    parameter.grad = torch.empty(arguments.numel)
    state = {"exp_avg": torch.empty(arguments.numel), "exp_avg_sq": torch.empty(arguments.numel)}
    passes: dict[str, Callable[[], Any]] = {"stream": stream(arguments.library, parameter, state)}
    for name, optimizer in optimizers(parameter).items():
        adopt(optimizer, parameter, state, torch.tensor(0.0) if name == "torch AdamW(fused)" else 0)
        passes[name] = optimizer.step

    samples: dict[str, list[float]] = {}
    for name, run in passes.items():
        fill(parameter, state)
        run()
        samples[name] = parameter.detach()[:: max(1, arguments.numel // NUM_SAMPLES)].tolist()
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(arguments.repeats):  # interleaved, as the rounds are
        for name, run in passes.items():
            time.sleep(PAUSE_S)
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    print(json.dumps({"numel": arguments.numel, "seconds": seconds, "samples": samples}), flush=True)


def optimizers(parameter: torch.nn.Parameter) -> dict[str, Any]:
    """torch's, and both names of the `deepspeed` at hand."""
    from deepspeed.ops.adam import DeepSpeedCPUAdam, FusedAdam

    shared: dict[str, Any] = {"lr": LEARNING_RATE, "betas": BETAS, "eps": EPSILON, "weight_decay": WEIGHT_DECAY}
    return {
        "torch AdamW(fused)": torch.optim.AdamW([parameter], fused=True, **shared),
        "DeepSpeedCPUAdam": DeepSpeedCPUAdam([parameter], adamw_mode=True, **shared),
        "FusedAdam": FusedAdam([parameter], adam_w_mode=True, **shared),
    }


def adopt(optimizer: Any, parameter: torch.nn.Parameter, state: State, step: Any) -> None:
    """Gives the optimizer the common moments, so that all of them work on the same memory."""
    optimizer.state[parameter].update(step=step, **state)
    for group in optimizer.param_groups:
        group["step"] = 0  # where DeepSpeed's FusedAdam counts


def fill(parameter: torch.nn.Parameter, state: State) -> None:
    """The same values before each system's first step; of a run under way, moments of zero would hide the betas."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        parameter.normal_(std=0.02, generator=generator)
        parameter.grad.normal_(std=1e-3, generator=generator)  # type: ignore[union-attr]
        state["exp_avg"].normal_(std=1e-4, generator=generator)
        state["exp_avg_sq"].uniform_(1e-8, 1e-6, generator=generator)


def stream(library: str, parameter: torch.nn.Parameter, state: State) -> Callable[[], None]:
    function = ctypes.CDLL(library).stream
    function.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_int64, ctypes.c_int]
    arrays = (parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"])
    pointers = [array.data_ptr() for array in arrays if array is not None]
    return lambda: function(*pointers, parameter.numel(), torch.get_num_threads())


if __name__ == "__main__":
    main()

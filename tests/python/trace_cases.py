"""What is seen of a step's time, and who may run meanwhile, case by case, on two ranks; started by engine_test.py."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import threading
import time
from typing import Any, Iterator

import torch
from case_support import FOLDER, config, initialize, make_net, run_cases, tokens
from torch import nn

from deepspeed import comm as dist

SGD = {"type": "SGD", "params": {"lr": 0.1}}
NEVER_S = 1000.0  # a switch interval: the interpreter's lock only changes hands where a thread lets it go
DEADLINE_S = 60.0


def settings(stage: int, accumulation: int = 1, **more: Any) -> dict[str, Any]:
    return config(stage, accumulation, optimizer=SGD, **more)


def train(engine: Any, steps: int) -> str:
    """What `steps` steps print."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for step in range(steps):
            for micro in range(engine.gradient_accumulation_steps()):
                engine.backward(engine(tokens(step, micro=micro)))
                engine.step()
    return printed.getvalue()


def case_wall_clock_breakdown_prints_where_the_time_of_a_step_went() -> None:
    engine = initialize(make_net(), settings(2, 2, wall_clock_breakdown=True, steps_per_print=2))
    lines = [line for line in train(engine, 5).splitlines() if "time (ms)" in line]
    number = r"[0-9]+\.[0-9][0-9]"
    names = "".join(rf" \| {name}: {number}" for name in ("fwd", "bwd", "bwd_inner", "bwd_allreduce", "step"))
    shape = rf"\[Rank 0\] time \(ms\){names} \| communication: {number}, [0-9.]+ % hidden"
    assert [bool(re.fullmatch(shape, line)) for line in lines] == ([True, True] if dist.get_rank() == 0 else []), lines
    engine.destroy()


def case_without_the_key_nothing_is_printed_or_noted() -> None:
    engine = initialize(make_net(), settings(2))
    assert "time (ms)" not in train(engine, 2)
    assert not engine.core.wants_forward_end()
    engine.destroy()


def events_of(path: str) -> list[dict[str, Any]]:
    text = (FOLDER / path / f"rank_{dist.get_rank()}.json").read_text()
    return [event for event in json.loads(text)["traceEvents"] if event["ph"] == "X"]


def case_the_trace_has_the_steps_that_were_asked_for() -> None:
    for stage in (0, 1, 2, 3):
        path = f"trace_{stage}"
        trace = {"enabled": True, "path": str(FOLDER / path), "steps": [2, 3]}
        sharded = {"stage": stage, "stage3_param_persistence_threshold": 0}
        engine = initialize(make_net(), {**settings(stage, 2, trace=trace), "zero_optimization": sharded})
        train(engine, 4)
        events = events_of(path)
        assert {event["pid"] for event in events} == {dist.get_rank()}
        assert {event["args"]["step"] for event in events} == {2, 3}
        assert {event["args"]["micro_batch"] for event in events if event["name"] == "forward"} == {0, 1}
        counts = {name: sum(event["name"] == name for event in events) for name in ("forward", "backward", "step")}
        assert counts == {"forward": 4, "backward": 4, "step": 2}, counts
        reductions = {event["name"] for event in events if event["cat"] == "reduce"}
        assert reductions, stage
        gathers = {event["name"] for event in events if event["cat"] == "gather"}
        assert bool(gathers) == (stage > 0), gathers
        engine.destroy()


def case_a_trace_whose_last_step_never_comes_is_written_when_the_engine_goes() -> None:
    trace = {"enabled": True, "path": str(FOLDER / "short"), "steps": [1, 100]}
    engine = initialize(make_net(), settings(1, trace=trace))
    train(engine, 2)
    engine.destroy()
    assert {event["args"]["step"] for event in events_of("short")} == {1, 2}


def deep_model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(*[nn.Linear(256, 256) for _ in range(24)])


@contextlib.contextmanager
def no_forced_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(NEVER_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def case_other_python_threads_run_while_backward_does() -> None:
    engine = initialize(deep_model(), settings(2))
    turns, stopping = [0], threading.Event()

    def count() -> None:
        while not stopping.is_set():
            turns[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=count)
    during_backward = 0
    with no_forced_switches():
        thread.start()
        for _ in range(200):
            loss = engine(torch.ones(512, 256)).sum()
            before = turns[0]
            engine.backward(loss)  # only where it lets the interpreter's lock go can the other thread have a turn
            during_backward += turns[0] - before
            engine.step()
        stopping.set()
        thread.join()
    assert during_backward > 0
    engine.destroy()


class Weight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(64))


class Chain(nn.Module):
    """A product of matrices whose intermediate results Python never sees: torch itself would take the lock to drop those."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Weight() for _ in range(8))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.linalg.multi_dot([inputs, *(block.weight for block in self.blocks)])


def case_reductions_of_a_backward_need_no_interpreter() -> None:
    """All but the last, which the end of the graph sends, go out while another thread keeps the interpreter to itself."""
    engine = initialize(Chain(), settings(2, zero_optimization={"stage": 2, "reduce_bucket_size": 4096}))
    inputs = torch.ones(4, 64)
    loss = engine(inputs).sum()
    engine.backward(loss)
    engine.step()
    one_backward = engine.collectives()["reductions"]
    assert one_backward > 5, "a unit each"
    go, seen = threading.Event(), []

    def hold_the_lock() -> None:
        go.wait()
        deadline = time.monotonic() + DEADLINE_S
        while (count := engine.core.collectives()["reductions"]) < 2 * one_backward and time.monotonic() < deadline:
            pass
        seen.append(count)

    thread = threading.Thread(target=hold_the_lock)
    thread.start()
    loss = engine(inputs).sum()
    with no_forced_switches():
        go.set()
        engine.backward(loss)
        thread.join()
    assert seen[0] >= 2 * one_backward - 1, f"{seen} of {2 * one_backward}"
    engine.step()
    engine.destroy()


run_cases(globals())

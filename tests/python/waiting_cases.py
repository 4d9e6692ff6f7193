"""A rank that waits for ranks which never come, case by case, on two ranks; started by engine_test.py."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator

import torch
from case_support import config, initialize, make_net, message, run, run_cases, tokens
from torch import nn

from deepspeed import comm as dist
from deepspeed.utils import logger


def engine_of(stage: int) -> Any:
    net = make_net()
    settings = config(stage)
    settings["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    return initialize(net, settings, optimizer=torch.optim.SGD(net.parameters(), lr=0.1))


def message_within_5_s(action: Callable[[], Any]) -> str:
    start = time.monotonic()
    text = message(action, RuntimeError)  # torch's operators do not let a CommError's class through
    assert time.monotonic() - start < 5, text
    return text


@contextmanager
def logged() -> Iterator[list[str]]:
    texts: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield texts
    finally:
        logger.removeHandler(handler)


def assert_parts(text: str, *parts: str) -> None:
    for part in parts:
        assert part in text, f"{part!r} is not in {text!r}"


def case_state_dict_on_one_rank_only() -> None:
    engine = engine_of(3)
    run(engine, 1)
    start = time.monotonic()
    with logged() as texts:
        if dist.get_rank() == 0:
            text = message_within_5_s(engine.module.state_dict)
        dist.barrier()
    if dist.get_rank() == 1:
        assert time.monotonic() - start < 6
        (text,) = [each for each in texts if "never comes" in each]
    assert_parts(text, f"rank {dist.get_rank()} of 2 waits in", f"rank {1 - dist.get_rank()} never comes")
    assert_parts(text, "torch.distributed.barrier (", "parameter gather of ", "in step ", "waiting_cases.py:")
    assert_parts(text, "if rank == 0", "embed.weight")


def case_weights_looked_at_on_one_rank_only() -> None:
    engine = engine_of(3)
    run(engine, 1)
    engine.backward(engine(tokens(1)))
    weights = list(engine.module.parameters())
    act = engine.step if dist.get_rank() == 1 else lambda: [weight.norm() for weight in weights]
    text = message_within_5_s(act)
    assert_parts(text, f"rank {dist.get_rank()} of 2 waits in", f"rank {1 - dist.get_rank()} never comes")
    assert_parts(text, "parameter gather of ", ".weight, ", "gradient norm in step 1", "_cases.py:")
    dist.barrier()


def case_a_value_from_a_rank_that_waits_in_ours() -> None:
    engine = engine_of(1)
    run(engine, 1)
    if dist.get_rank() == 0:
        text = message_within_5_s(lambda: run(engine, 1))
        assert_parts(text, "it waits in torch.distributed.broadcast (", "gradient reduction of ")
    dist.broadcast_object_list([0], src=0)


class Experts(nn.Module):
    """Two experts of the same shape between two layers; `chosen` are those that get tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(8, 16)
        self.experts = nn.ModuleList(nn.Linear(16, 16) for _ in range(2))
        self.out = nn.Linear(16, 8)

    def forward(self, x: torch.Tensor, chosen: list[int]) -> torch.Tensor:
        hidden = self.into(x)
        return self.out(hidden + sum(self.experts[each](hidden) for each in chosen)).pow(2).mean()


def case_experts_that_not_all_ranks_give_tokens() -> None:
    """Another expert of the same shape, and none at all. (Once a step has gone by with both, the gathers that go ahead of
    their use are the same ones on all ranks, and both are right.)"""
    for chosen in ([dist.get_rank()], [0] if dist.get_rank() == 0 else []):
        torch.manual_seed(0)
        net = Experts()
        settings = config(3, optimizer={"type": "SGD", "params": {"lr": 0.1}})
        settings["zero_optimization"]["stage3_param_persistence_threshold"] = 0
        engine = initialize(net, settings)

        def step(experts: list[int], engine: Any = engine) -> None:
            engine.backward(engine(torch.ones(2, 8), experts))
            engine.step()

        text = message_within_5_s(lambda: step(chosen))
        assert_parts(text, "rank 0", "rank 1", "parameter gather of experts.0", "in step 0", "experts.0.weight")
        dist.barrier()


def case_a_batch_more_on_one_rank() -> None:
    engine = engine_of(3)
    run(engine, 2)
    if dist.get_rank() == 0:
        text = message_within_5_s(lambda: run(engine, 1, start=2))
        assert_parts(text, "rank 1 never comes", "torch.distributed.barrier", "parameter gather of ", "in step 2")
    dist.barrier()


def case_a_slow_rank_trains_on() -> None:
    for stage in (1, 3):
        engine = engine_of(stage)
        with logged() as texts:
            for step, slow in ((0, 1), (1, 0)):
                if dist.get_rank() == slow:
                    time.sleep(5 if stage == 3 else 2)
                run(engine, 1, start=step)
                if dist.get_rank() != slow:
                    time.sleep(3)
                dist.barrier()
            engine.module.state_dict()
        assert not [text for text in texts if "comes" in text], texts
        engine.destroy()


if __name__ == "__main__":
    run_cases(globals())

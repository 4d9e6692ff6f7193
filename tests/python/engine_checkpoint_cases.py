"""What a resumed run must have back, case by case, on two ranks; started by engine_test.py."""

from __future__ import annotations

import logging
import random
from types import SimpleNamespace
from typing import Any, Iterator

import numpy
import torch
from case_support import FOLDER, OPTIMIZERS, config, initialize, make_net, message, run, run_cases, tokens
from torch import nn

import deepspeed
from deepspeed import comm as dist
from deepspeed.runtime import rank_state
from deepspeed.utils import logger

SGD = {"type": "SGD", "params": {"lr": 0.1}}


def seed_all(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    numpy.random.seed(seed)


def make_dropped() -> Any:
    """An engine whose every step draws random numbers, and an endless loop over its loader."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.5), nn.Linear(16, 1))
    data = [torch.full((6,), float(index)) for index in range(12)]
    engine, _, loader, _ = deepspeed.initialize(
        model=net, config=config(1), optimizer=OPTIMIZERS["adamw"](net.parameters()), training_data=data
    )
    return engine, endless(loader)


def endless(loader: Any) -> Iterator[torch.Tensor]:
    while True:
        yield from loader


def train_dropped(engine: Any, batches: Iterator[torch.Tensor], steps: int) -> None:
    for _ in range(steps):
        noise = random.random() + numpy.random.rand()
        engine.backward((engine(next(batches)) * noise).mean())
        engine.step()


def case_a_resumed_run_draws_the_same_numbers_and_reads_the_same_batches() -> None:
    folder = str(FOLDER / "exact")
    seed_all(10 + dist.get_rank())
    engine, batches = make_dropped()
    train_dropped(engine, batches, 2)
    engine.save_checkpoint(folder)
    train_dropped(engine, batches, 2)  # three batches an epoch: this begins the second
    seed_all(77)
    resumed, batches = make_dropped()
    train_dropped(resumed, batches, 1)
    resumed.load_checkpoint(folder)
    train_dropped(resumed, endless(resumed.training_dataloader), 2)
    for ours, theirs in zip(resumed.module.parameters(), engine.module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def case_random_numbers_stay_where_weights_alone_are_loaded_or_other_ranks_saved() -> None:
    folder = str(FOLDER / "weights_alone")
    engine, _ = make_dropped()
    engine.save_checkpoint(folder)
    for options in ({"load_optimizer_states": False}, {"load_module_only": True}):
        torch.manual_seed(5)
        before = torch.get_rng_state()
        engine.load_checkpoint(folder, **options)
        assert torch.equal(torch.get_rng_state(), before), options
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    other = SimpleNamespace(rank_state=SimpleNamespace(json="", tensors={}), world=4, path="elsewhere")
    rank_state.restore(engine, other)
    logger.removeHandler(handler)
    logger.setLevel(level)
    assert torch.equal(torch.get_rng_state(), before)
    assert "elsewhere was saved by 4 ranks and is loaded by 2" in said[0], said


def case_buffers_that_the_module_replaced_are_saved_and_loaded() -> None:
    folder = str(FOLDER / "buffers")
    engine = initialize(make_net(), config(1, optimizer=SGD))
    engine.module.calls = engine.module.calls + 5
    engine.save_checkpoint(folder)
    other = initialize(make_net(), config(1, optimizer=SGD))
    other.module.calls = other.module.calls + 1
    other.load_checkpoint(folder)
    assert other.module.calls.item() == 5


class WithNothing(nn.Module):
    """Has a parameter without elements, also under a second name."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))
        self.nothing = nn.Parameter(torch.zeros(0, 4))
        self.alias = self.nothing

    def forward(self) -> torch.Tensor:
        return self.weight.pow(2).sum() + self.nothing.sum()


def case_tensors_without_elements_are_saved_and_loaded() -> None:
    folder = str(FOLDER / "nothing_in_it")
    engines = []
    for _ in range(2):
        net = WithNothing()
        engines.append(initialize(net, config(2), optimizer=torch.optim.NAdam(net.parameters(), lr=0.1)))
    first, second = engines
    first.backward(first())
    first.step()
    first.save_checkpoint(folder, client_state={"x": torch.empty(0), "y": numpy.zeros((0, 3))})
    _, state = second.load_checkpoint(folder)
    assert state["x"].shape == (0,) and state["y"].shape == (0, 3)
    for engine in engines:
        engine.backward(engine())
        engine.step()
    assert torch.equal(first.module.weight, second.module.weight)


def case_a_save_that_would_lose_gradients_is_refused() -> None:
    engine = initialize(make_net(), config(1, 2, optimizer=SGD))
    engine.backward(engine(tokens(0)))
    engine.step()
    assert "after step()" in message(lambda: engine.save_checkpoint(str(FOLDER / "lossy")), RuntimeError)
    engine.backward(engine(tokens(0, micro=1)))
    engine.step()
    engine.save_checkpoint(str(FOLDER / "lossy"))
    run(engine, 1, 2, start=1)


if __name__ == "__main__":
    run_cases(globals())

"""What a resumed run must have back, case by case, on two ranks; started by engine_test.py."""

from __future__ import annotations


import numpy
import torch
from case_support import FOLDER, config, initialize, make_net, message, run, run_cases, tokens
from torch import nn


SGD = {"type": "SGD", "params": {"lr": 0.1}}


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

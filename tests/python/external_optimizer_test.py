"""runtime/external_optimizer.py: the state of an optimizer that runs its own step, in and out of tensors."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn

from deepspeed.runtime.external_optimizer import ExternalStep


def test_python_numbers_come_back_as_they_were() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    step = ExternalStep(optimizer, {"weight": parameter})
    numbers = {"product": 0.1 + 0.2, "count": 2**53 + 1, "is_warm": True}
    optimizer.state[parameter].update(numbers)
    saved = [SimpleNamespace(name=name, key=key, value=value.clone()) for name, key, value in step.states()]
    step.load_states(saved)
    assert optimizer.state[parameter] == numbers
    assert optimizer.state[parameter]["is_warm"] is True

"""runtime/optimizer_adapter.py: what of torch's group dicts reaches the engine's kernels, and what a user is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from deepspeed.ops.adam import FusedAdam
from deepspeed.runtime import optimizer_adapter
from deepspeed.runtime.optimizer_adapter import ConfiguredOptimizer, DeepSpeedZeroOptimizer, group_numbers, kernel_of


def weight() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.ones(2))


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(optimizer_adapter.logger, "warning", found.append)
    return found


class Engine:
    """Stands for the engine that an optimizer belongs to."""


@pytest.mark.parametrize("value", [np.float32(0.25), np.float64(0.25), torch.tensor(0.25), 0.25])
def test_any_number_counts(value: Any) -> None:
    optimizer = torch.optim.AdamW([weight()], lr=value)
    assert group_numbers(optimizer.param_groups[0], True)["lr"] == 0.25


def test_what_is_no_number_is_named() -> None:
    optimizer = torch.optim.AdamW([weight()])
    optimizer.param_groups[0]["weight_decay"] = "0.1"
    with pytest.raises(TypeError, match="weight_decay of a parameter group: got '0.1'"):
        group_numbers(optimizer.param_groups[0], True)


def test_weight_decay_is_decoupled_group_by_group() -> None:
    adam = torch.optim.Adam([{"params": [weight()]}, {"params": [weight()], "decoupled_weight_decay": True}])
    name, decoupled = kernel_of(adam)
    assert name == "adam"
    assert [group_numbers(group, decoupled)["adam_w_mode"] for group in adam.param_groups] == [0.0, 1.0]
    adamw = torch.optim.AdamW([weight()])
    assert group_numbers(adamw.param_groups[0], kernel_of(adamw)[1])["adam_w_mode"] == 1.0
    fused = FusedAdam([weight()], adam_w_mode=False)
    assert group_numbers(fused.param_groups[0], kernel_of(fused)[1])["adam_w_mode"] == 0.0


@pytest.mark.parametrize(("kernel", "has_betas"), [("adamw", True), ("lion", True), ("sgd", False), ("adagrad", False)])
def test_a_configured_optimizer_has_its_own_kinds_betas_only(kernel: str, has_betas: bool) -> None:
    optimizer = ConfiguredOptimizer([weight()], kernel, {"lr": 0.1})
    assert ("betas" in optimizer.param_groups[0]) == has_betas
    assert group_numbers(optimizer.param_groups[0], None)["lr"] == 0.1


def test_state_from_before_is_not_lost_without_a_word(warnings: list[str]) -> None:
    parameter = weight()
    optimizer = torch.optim.AdamW([parameter])
    DeepSpeedZeroOptimizer(optimizer, Engine())  # type: ignore[arg-type]
    assert not warnings
    parameter.grad = torch.ones(2)
    optimizer.step()
    DeepSpeedZeroOptimizer(optimizer, Engine())  # type: ignore[arg-type]
    assert len(warnings) == 1 and "state of 1 parameters" in warnings[0] and "load_checkpoint" in warnings[0]


def test_step_hooks_are_not_passed_over_without_a_word(warnings: list[str]) -> None:
    optimizer = torch.optim.SGD([weight()], lr=0.1)
    optimizer.register_step_post_hook(lambda *_: None)
    DeepSpeedZeroOptimizer(optimizer, Engine())  # type: ignore[arg-type]
    assert len(warnings) == 1 and "1 step hooks" in warnings[0]


def test_optimizers_that_step_themselves_keep_state_and_hooks(warnings: list[str]) -> None:
    class Mine(torch.optim.SGD):
        pass

    optimizer = Mine([weight()], lr=0.1)
    optimizer.register_step_post_hook(lambda *_: None)
    DeepSpeedZeroOptimizer(optimizer, Engine())  # type: ignore[arg-type]
    assert not warnings


def test_what_the_groups_of_other_optimizers_hold_is_their_own() -> None:
    class Three(torch.optim.Optimizer):
        def __init__(self, parameters: Any) -> None:
            super().__init__(parameters, {"lr": 0.5, "betas": (0.1, 0.2, 0.3), "eps": (1e-30, 1e-3), "momentum": "auto"})

    class Unrated(torch.optim.Optimizer):  # Adafactor with a rate of its own making has lr None
        def __init__(self, parameters: Any) -> None:
            super().__init__(parameters, {"lr": None})

    engine: Any = Engine()
    assert DeepSpeedZeroOptimizer(Three([weight()]), engine).numbers() == [{"lr": 0.5}]
    assert DeepSpeedZeroOptimizer(Unrated([weight()]), engine).numbers() == [{}]

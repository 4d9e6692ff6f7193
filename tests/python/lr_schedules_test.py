"""runtime/lr_schedules.py: scheduler objects over the one function that has the formulas."""

from __future__ import annotations

import argparse
import math
from typing import Any

import pytest
import torch

from deepspeed.runtime import lr_schedules
from deepspeed.runtime.lr_schedules import OneCycle, WarmupCosineLR, WarmupLR


def optimizer_with(*lrs: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Replaces the formulas by 0.1 * (iteration + 2); records what was asked."""
    asked: list[tuple[Any, ...]] = []

    def values(schedule: str, params: dict[str, Any], group_lrs: list[float], iteration: int) -> Any:
        asked.append((schedule, params, group_lrs, iteration))
        betas = [(0.5, 0.75)] * len(group_lrs) if schedule == "OneCycle" else []
        return [0.1 * (iteration + 2)] * len(group_lrs), betas

    monkeypatch.setattr(lr_schedules, "schedule_values", values)
    return asked


def test_construction_sets_the_rates_before_the_first_step(calls: list[tuple[Any, ...]]) -> None:
    optimizer = optimizer_with(1.0, 2.0)
    schedule = WarmupLR(optimizer, warmup_num_steps=5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.1])
    assert schedule.get_last_lr() == pytest.approx([0.1, 0.1])
    params = {"warmup_min_lr": 0.0, "warmup_num_steps": 5, "warmup_type": "log"}
    assert calls == [("WarmupLR", params, [1.0, 2.0], -1)]


def test_a_step_goes_on_by_one_or_to_the_iteration_given(calls: list[tuple[Any, ...]]) -> None:
    optimizer = optimizer_with(1.0)
    schedule = WarmupLR(optimizer)
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2)
    schedule.step(7)
    assert schedule.get_lr() == pytest.approx([0.9])
    assert schedule.state_dict() == {"last_batch_iteration": 7}


def test_loading_continues_from_the_same_iteration_and_initial_rates(calls: list[tuple[Any, ...]]) -> None:
    optimizer = optimizer_with(1.0)
    schedule = WarmupCosineLR(optimizer, total_num_steps=9)
    schedule.load_state_dict({"last_batch_iteration": 3})
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5)
    assert calls[-1][2:] == ([1.0], 3)


def test_one_cycle_moves_the_betas_and_no_other_momentum(
    calls: list[tuple[Any, ...]], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lr_schedules.logger, "propagate", True)
    adam, sgd = optimizer_with(1.0), torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    assert OneCycle(adam, 0.1, 0.2).get_mom() == [(0.5, 0.75)]
    assert not caplog.text
    OneCycle(sgd, 0.1, 0.2)
    assert adam.param_groups[0]["betas"] == (0.5, 0.75)
    assert sgd.param_groups[0]["momentum"] == 0.9  # as DeepSpeed leaves it
    assert "SGD has no betas" in caplog.text


def test_every_valid_name_is_a_class() -> None:
    assert len(lr_schedules.VALID_LR_SCHEDULES) == 5
    assert all(isinstance(getattr(lr_schedules, name), type) for name in lr_schedules.VALID_LR_SCHEDULES)


def test_tuning_arguments_have_a_flag_for_every_parameter() -> None:
    args = lr_schedules.add_tuning_arguments(argparse.ArgumentParser()).parse_args(["--lr_schedule", "WarmupLR"])
    assert args.lr_schedule == "WarmupLR" and args.warmup_num_steps == 1000 and args.cycle_momentum is False


@pytest.mark.native
def test_warmup_rises_with_the_logarithm_then_stays() -> None:
    optimizer = optimizer_with(1.0)
    schedule = WarmupLR(optimizer, warmup_max_lr=0.5, warmup_num_steps=4)
    seen = []
    for _ in range(6):
        schedule.step()
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == pytest.approx([0.5 * math.log(i + 1) / math.log(4) for i in range(4)] + [0.5, 0.5])


@pytest.mark.native
def test_a_wrong_parameter_is_named() -> None:
    with pytest.raises(ValueError, match="warmup_type"):
        WarmupLR(optimizer_with(1.0), warmup_type="sudden")

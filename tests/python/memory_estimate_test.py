"""runtime/zero/stage_1_and_2.py and stage3.py: numbers that a reader can check by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

pytestmark = pytest.mark.native

MILLION = 1_000_000


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(1000, 1000), nn.Linear(1000, 1000)


def test_states_are_divided_by_the_ranks_and_parameters_are_not() -> None:
    from deepspeed.runtime.zero import stage_1_and_2 as estimators

    host, device = estimators.estimate_zero2_model_states_mem_needs(MILLION, 4, 2, cpu_offload=False)
    assert device == 2 * MILLION + 16 * MILLION // 8
    assert host == 4 * MILLION * 4 * 1.5
    host, device = estimators.estimate_zero2_model_states_mem_needs(MILLION, 1, 1, additional_buffer_factor=1)
    assert (host, device) == (16 * MILLION, 2 * MILLION)


def test_a_live_model_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    from deepspeed.runtime.zero import stage_1_and_2 as estimators

    estimators.estimate_zero2_model_states_mem_needs_all_live(nn.Linear(1000, 1999), num_gpus_per_node=2)
    shown = capsys.readouterr().out
    assert "2M parameters" in shown and "2 GPU(s)" in shown and len(shown.splitlines()) == 4
    estimators.estimate_zero2_model_states_mem_needs_all_cold(1000 * 1999 + 1999, num_gpus_per_node=2)
    assert capsys.readouterr().out == shown


def test_at_stage_three_all_is_divided_but_the_slots() -> None:
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs as estimate

    slots = 2 * (2 + 4) * 100_000
    host, device, largest = estimate(MILLION, 100_000, 4, 2, cpu_offload=False, cpu_offload_params=False)
    assert (device, largest) == (18 * MILLION // 8 + slots, slots)
    assert host == 1.5 * 4 * 100_000 * 4
    host, device, _ = estimate(MILLION, 100_000, 4, 2, cpu_offload_params=False, zero_init=False)
    assert (host, device) == (1.5 * 4 * MILLION * 4, 2 * MILLION // 8 + slots)
    host, device, _ = estimate(MILLION, 100_000, 4, 2)
    assert (host, device) == (1.5 * 18 * MILLION / 2, slots)


def test_a_live_model_is_cut_into_units(capsys: pytest.CaptureFixture[str]) -> None:
    from deepspeed.runtime.zero import stage3 as estimators

    with torch.device("meta"):
        model = nn.Sequential(nn.ModuleList(Block() for _ in range(3)), nn.Linear(1000, 1000))
    estimators.estimate_zero3_model_states_mem_needs_all_live(model, num_gpus_per_node=2)
    shown = capsys.readouterr().out
    assert "7M parameters, 2M in the largest unit" in shown and len(shown.splitlines()) == 8
    block, linear = 2 * (1000 * 1000 + 1000), 1000 * 1000 + 1000
    estimators.estimate_zero3_model_states_mem_needs_all_cold(3 * block + linear, block, num_gpus_per_node=2)
    assert capsys.readouterr().out == shown

"""runtime/zero/stage_1_and_2.py: numbers that a reader can check by hand."""

from __future__ import annotations

import pytest
from torch import nn

from deepspeed.runtime.zero import stage_1_and_2 as estimators


def test_states_are_divided_by_the_ranks_and_parameters_are_not() -> None:
    million = 1_000_000
    host, device = estimators.estimate_zero2_model_states_mem_needs(million, 4, 2, cpu_offload=False)
    assert device == 2 * million + 16 * million // 8
    assert host == 4 * million * 4 * 1.5
    host, device = estimators.estimate_zero2_model_states_mem_needs(million, 1, 1, additional_buffer_factor=1)
    assert (host, device) == (16 * million, 2 * million)


def test_a_live_model_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    estimators.estimate_zero2_model_states_mem_needs_all_live(nn.Linear(1000, 1999), num_gpus_per_node=2)
    shown = capsys.readouterr().out
    assert "2M parameters" in shown and "2 GPU(s)" in shown and len(shown.splitlines()) == 4
    estimators.estimate_zero2_model_states_mem_needs_all_cold(1000 * 1999 + 1999, num_gpus_per_node=2)
    assert capsys.readouterr().out == shown

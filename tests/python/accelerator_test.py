"""deepspeed.accelerator on a machine without a GPU."""

from __future__ import annotations

import pytest
import torch

from deepspeed import accelerator
from deepspeed.accelerator import get_accelerator, set_accelerator


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(accelerator, "_current", None)
    return monkeypatch


def test_the_cpu_names_its_backend_and_takes_every_dtype(unset: pytest.MonkeyPatch) -> None:
    unset.setenv("DS_ACCELERATOR", "cpu")
    cpu = get_accelerator()
    assert (cpu.device_name(), cpu.device_name(1), cpu.communication_backend_name()) == ("cpu", "cpu", "gloo")
    assert cpu.is_fp16_supported() and cpu.is_bf16_supported()
    assert cpu.on_accelerator(torch.zeros(1)) and cpu.is_synchronized_device()


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(unset: pytest.MonkeyPatch) -> None:
    unset.setenv("DS_ACCELERATOR", "abacus")
    with pytest.raises(ValueError, match="abacus.*cpu or cuda"):
        get_accelerator()


def test_the_local_rank_is_the_current_device_and_the_local_size_their_number(unset: pytest.MonkeyPatch) -> None:
    unset.setenv("LOCAL_RANK", "3")
    unset.setenv("LOCAL_SIZE", "4")
    cpu = accelerator.CPU_Accelerator()
    assert (cpu.current_device(), cpu.device_count()) == (3, 4)


def test_memory_is_what_the_process_holds() -> None:
    cpu = accelerator.CPU_Accelerator()
    before = cpu.memory_allocated()
    held = torch.ones(2**24)
    assert cpu.memory_allocated() - before > held.nbytes // 2
    assert cpu.total_memory() >= cpu.max_memory_allocated() >= cpu.memory_allocated() // 2


def test_the_gpus_class_has_the_whole_interface() -> None:
    assert accelerator.CUDA_Accelerator.__abstractmethods__ == frozenset()
    assert accelerator.CUDA_Accelerator().device_name(1) == "cuda:1"


def test_a_chosen_accelerator_stays(unset: pytest.MonkeyPatch) -> None:
    mine = accelerator.CPU_Accelerator()
    set_accelerator(mine)
    assert get_accelerator() is mine
    with pytest.raises(TypeError, match="DeepSpeedAccelerator"):
        set_accelerator("cpu")  # type: ignore[arg-type]

"""deepspeed.utils, runtime.utils and checkpoint.utils: the small functions that scripts import."""

from __future__ import annotations

import io
import logging
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from torch import nn

from deepspeed import utils
from deepspeed.checkpoint.utils import clone_tensors_for_torch_save
from deepspeed.launcher import runner
from deepspeed.runtime.utils import (
    get_global_norm,
    has_inf_or_nan,
    move_to_device,
    partition_balanced,
    partition_uniform,
)


class Expert(nn.Linear):
    pass


def model() -> nn.Module:
    return nn.Sequential(nn.Sequential(Expert(1, 1), nn.ReLU()), Expert(1, 1))


def test_the_logger_is_quiet_below_warning_and_writes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert (utils.logger.name, utils.logger.level, utils.logger.propagate) == ("DeepSpeed", logging.WARNING, False)
    utils.logger.info("hidden")
    utils.logger.warning("shown")
    out = capsys.readouterr().out
    assert "hidden" not in out and "[WARNING] [helpers_test.py:" in out and "shown" in out


def test_log_dist_speaks_before_there_are_ranks_and_once_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    utils.log_dist("hello", ranks=[5], level=logging.WARNING)
    utils.log_dist_once("only once", level=logging.WARNING)
    utils.log_dist_once("only once", level=logging.WARNING)
    out = capsys.readouterr().out
    assert "[Rank -1] hello" in out and out.count("only once") == 1


def test_a_level_is_set_by_name() -> None:
    mine = logging.getLogger("DeepSpeed.test")
    utils.set_log_level_from_string("Error", mine)
    assert mine.level == logging.ERROR
    with pytest.raises(ValueError, match="loud"):
        utils.set_log_level_from_string("loud", mine)


@pytest.mark.parametrize("wanted", [Expert, "Expert", f"{Expert.__module__}.Expert"])
def test_leaf_modules_are_marked_by_class_or_name(wanted: type | str) -> None:
    tree = model()
    assert utils.set_z3_leaf_modules(tree, [wanted]) == utils.get_z3_leaf_modules(tree) == [tree[0][0], tree[1]]
    assert tree[1]._z3_leaf is True
    utils.unset_z3_leaf_modules(tree, [wanted])
    assert utils.get_z3_leaf_modules(tree) == []


def test_leaf_modules_are_marked_by_full_name_or_suffix() -> None:
    tree = model()
    assert utils.set_z3_leaf_modules_by_name(tree, ["0.0"]) == [tree[0][0]]
    assert utils.set_z3_leaf_modules_by_suffix(tree, ["1"]) == [tree[0][1], tree[1]]
    with pytest.raises(ValueError, match="Exprt"):
        utils.set_z3_leaf_modules(tree, ["Exprt"])


def test_modules_made_on_a_device_have_its_dtype_and_no_memory() -> None:
    with utils.OnDevice(dtype=torch.bfloat16, device="meta"):
        made = nn.Linear(2, 2)
    assert made.weight.is_meta and made.weight.dtype == torch.bfloat16
    assert torch.get_default_dtype() == torch.float32 and torch.empty(1).device.type == "cpu"


def test_dotted_attributes_are_read_and_written() -> None:
    tree = model()
    utils.recursive_setattr(tree, "0.1", nn.Tanh())
    assert isinstance(utils.recursive_getattr(tree, "0.1"), nn.Tanh)


def test_cloned_views_write_no_more_than_their_own_elements() -> None:
    view = torch.zeros(100_000)[:2]
    clones = clone_tensors_for_torch_save({"a": [view], "b": 1})
    written = io.BytesIO()
    torch.save(clones, written)
    assert written.tell() < 10_000 and clones["b"] == 1 and clones["a"][0].data_ptr() != view.data_ptr()


def test_nested_containers_move_and_keep_their_types() -> None:
    Pair = namedtuple("Pair", "left right")
    moved = move_to_device({"a": Pair(torch.zeros(1), [torch.ones(1)]), "n": 3}, "meta")
    assert moved["a"].left.is_meta and moved["a"].right[0].is_meta and moved["n"] == 3
    kept = move_to_device([torch.zeros(1), torch.zeros(1, dtype=torch.int)], "meta", lambda t: t.is_floating_point())
    assert [each.is_meta for each in kept] == [True, False]


def test_partitions_cover_all_items() -> None:
    assert partition_uniform(10, 3) == [0, 4, 7, 10]
    assert partition_balanced([1, 1, 1, 9, 1, 1], 3) == [0, 3, 4, 6]
    assert partition_balanced([5], 1) == [0, 1]
    bounds = partition_balanced([1, 2], 4)
    assert bounds[0] == 0 and bounds[-1] == 2 and bounds == sorted(bounds) and len(bounds) == 5


def test_norms_and_overflow() -> None:
    assert get_global_norm([3.0, 4.0]) == 5.0
    assert has_inf_or_nan(torch.tensor([1.0, float("inf")])) and not has_inf_or_nan(torch.zeros(2))


def test_the_launcher_module_becomes_the_native_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "deepspeed"
    program.touch()
    monkeypatch.setattr(runner.sysconfig, "get_path", lambda name: str(tmp_path))
    became: list[object] = []
    monkeypatch.setattr(runner.os, "execv", lambda path, argv: became.append((path, argv)))
    runner.main(["--num_gpus", "2", "x.py"])
    assert became == [(program, [str(program), "--num_gpus", "2", "x.py"])]
    monkeypatch.setattr(runner.sysconfig, "get_path", lambda name: str(tmp_path / "none"))
    monkeypatch.setattr(runner.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="Reinstall"):
        runner.main([])


def test_accelerate_finds_the_environment_file_name() -> None:
    assert runner.DEEPSPEED_ENVIRONMENT_NAME == ".deepspeed_env"

"""`import deepspeed`: what it offers, and where DeepSpeed's module paths lead."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import deepspeed
from deepspeed import _paths, _torch_range, env_report


def test_versions_follow_deepspeeds() -> None:
    assert deepspeed.__version__.startswith("0.19.8+cpp.")
    assert (deepspeed.__version_major__, deepspeed.__version_minor__, deepspeed.__version_patch__) == (0, 19, 8)


@pytest.mark.parametrize("name", sorted(_paths.ALIASES))
def test_an_old_path_is_the_same_module_as_ours(name: str) -> None:
    ours = importlib.import_module(_paths.ALIASES[name])
    assert importlib.import_module(name) is ours
    assert ours.__spec__ is not None and ours.__spec__.name == _paths.ALIASES[name]


@pytest.mark.parametrize("name", sorted(_paths.LATER))
def test_a_module_that_comes_later_says_so(name: str) -> None:
    with pytest.raises(ImportError, match="has not landed"):
        importlib.import_module(name)


@pytest.mark.parametrize("name", sorted(name for name in _paths.LATER if name.count(".") == 1))
def test_a_name_that_comes_later_says_so_in_every_form_of_import(name: str) -> None:
    short = name.removeprefix("deepspeed.")
    with pytest.raises(ImportError, match=f"{re.escape(name)}.*has not landed"):
        exec(f"from deepspeed import {short}", {})
    with pytest.raises(AttributeError, match="has not landed"):
        getattr(deepspeed, short)
    assert not hasattr(deepspeed, short)


def test_a_path_that_never_was_stays_unknown() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named"):
        importlib.import_module("deepspeed.no_such_module")
    assert not hasattr(deepspeed, "no_such_name")


def test_submodules_are_attributes_after_a_bare_import() -> None:
    code = (
        "import deepspeed; deepspeed.runtime.lr_schedules; deepspeed.zero.GatheredParameters; deepspeed.comm.get_rank;"
        "deepspeed.ops.adam.FusedAdam; deepspeed.checkpoint.utils; deepspeed.utils.groups; deepspeed.runtime.utils"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})


@pytest.mark.native
def test_the_environment_report_is_ds_reports(capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "deepspeed.env_report", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["python"]["versions"]["deepspeed"] == deepspeed.__version__
    env_report.main()
    assert "CPU kernels used" in capfd.readouterr().out
    env_report.main(hide_operator_status=True)
    assert "CPU kernels used" not in capfd.readouterr().out


def test_config_arguments_are_deepspeeds() -> None:
    parser = deepspeed.add_config_arguments(argparse.ArgumentParser())
    args = parser.parse_args(["--deepspeed", "--deepspeed_config", "c.json"])
    assert (args.deepspeed, args.deepspeed_config) == (True, "c.json")
    assert (args.deepscale, args.deepscale_config) == (False, None)


def test_initialize_refuses_a_missing_and_a_double_config() -> None:
    with pytest.raises(ValueError, match="config: got none"):
        deepspeed._config_of(None, None)
    with pytest.raises(ValueError, match="given twice"):
        deepspeed._config_of(argparse.Namespace(deepspeed_config="a.json"), {})
    assert deepspeed._config_of(argparse.Namespace(deepspeed_config="a.json"), None) == "a.json"


@pytest.mark.parametrize(
    "call", [lambda: deepspeed.init_inference(None), lambda: deepspeed.tp_model_init(None, 2, None)]
)
def test_what_comes_later_raises_not_implemented(call: object) -> None:
    with pytest.raises(NotImplementedError):
        call()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("version", "fits"),
    [("2.10.1", False), ("2.11.0+cu130", True), ("2.13.0+cpu", True), ("2.14.0a0", False)],
)
def test_torch_out_of_range_stops_with_one_sentence(version: str, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_torch_range.importlib.metadata, "version", lambda name: version)
    monkeypatch.setattr(_torch_range, "built_with", lambda: None)
    if fits:
        _torch_range.check_torch_version()
    else:
        with pytest.raises(ImportError, match=f"2.11 to 2.13.*{version[:4]}"):
            _torch_range.check_torch_version()


@pytest.mark.parametrize(("version", "fits"), [("2.12.1", True), ("2.13.0+cpu", False), ("2.11.0", False)])
def test_another_torch_than_that_of_the_build_stops_with_the_remedy(
    version: str, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_torch_range.importlib.metadata, "version", lambda name: version)
    monkeypatch.setattr(_torch_range, "built_with", lambda: "2.12")
    if fits:
        _torch_range.check_torch_version()
    else:
        with pytest.raises(ImportError, match=f"built with torch 2.12.*has torch {version[:4]}.*make build"):
            _torch_range.check_torch_version()


@pytest.mark.native
def test_the_build_leaves_the_version_of_its_torch() -> None:
    import torch

    assert _torch_range.built_with() == ".".join(torch.__version__.split(".")[:2])


def test_a_gathered_context_passes_over_ordinary_parameters() -> None:
    import torch

    parameter = torch.nn.Parameter(torch.zeros(2))
    with deepspeed.zero.GatheredParameters([parameter, None, torch.ones(1)], modifier_rank=0):
        parameter.data.fill_(1)
    assert parameter.sum().item() == 2
    with pytest.raises(NotImplementedError, match="offload"):
        deepspeed.zero.Init(remote_device="nvme")
    deepspeed.zero.Init(remote_device="cpu")  # where shards are anyway


@pytest.mark.native
def test_the_types_of_the_bindings_name_what_is_bound() -> None:
    from deepspeed import _C

    tree = ast.parse(Path(deepspeed.__file__).with_name("_C.pyi").read_text(encoding="utf-8"))

    def named(body: list[ast.stmt]) -> set[str]:
        targets = [node.target for node in body if isinstance(node, ast.AnnAssign)]
        names = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        return {name for name in names | {ast.unparse(target) for target in targets} if not name.startswith("_")}

    def bound(thing: object) -> set[str]:
        return {name for name in dir(thing) if not name.startswith("_")}

    assert named(tree.body) == bound(_C)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            assert named(node.body) == bound(getattr(_C, node.name)), node.name

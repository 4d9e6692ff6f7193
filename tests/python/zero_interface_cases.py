"""What scripts use beside the engine: a rank's own part of what is sharded, leaf modules by config, weights out of a
checkpoint; case by case, on two ranks; started by engine_test.py."""

from __future__ import annotations

import json
import logging
import weakref
from pathlib import Path
from typing import Any, Callable
from unittest import mock

import torch
from case_support import FOLDER, OPTIMIZERS, config, initialize, make_net, message, run, run_cases, tokens
from torch import nn

from deepspeed import comm as dist
from deepspeed import utils
from deepspeed.utils import zero_to_fp32

BF16 = {"bf16": {"enabled": True}}


def settings_of(stage: int, **more: Any) -> dict[str, Any]:
    settings = config(stage, **more)
    settings["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    return settings


def joined(part: torch.Tensor) -> torch.Tensor:
    """All ranks' flat parts, one after the other."""
    parts: list[Any] = [None] * dist.get_world_size()
    torch.distributed.all_gather_object(parts, part)
    return torch.cat(parts)


def trained(stage: int, **more: Any) -> tuple[nn.Module, Any]:
    """Two steps and the backward of a third."""
    net = make_net()
    engine = initialize(net, settings_of(stage, **more), optimizer=OPTIMIZERS["adamw"](net.parameters()))
    run(engine, 2)
    engine.backward(engine(tokens(2)))
    return net, engine


def case_local_parts_are_the_whole_value_cut_over_the_ranks() -> None:
    for stage in (0, 1, 2, 3):
        for more in ({}, BF16):
            net, engine = trained(stage, **more)
            for name, parameter in net.named_parameters():
                whole_and_part = [
                    (utils.safe_get_full_fp32_param(parameter), utils.safe_get_local_fp32_param(parameter)),
                    (utils.safe_get_full_grad(parameter), utils.safe_get_local_grad(parameter)),
                    (
                        utils.safe_get_full_optimizer_state(parameter, "exp_avg"),
                        utils.safe_get_local_optimizer_state(parameter, "exp_avg"),
                    ),
                ]
                begin, end = engine.core.local_range(name)
                for whole, part in whole_and_part:
                    assert part.dtype == torch.float32 and part.shape == (end - begin,), (stage, name)
                    assert torch.equal(part, whole.flatten()[begin:end]), (stage, name)
                    if stage > 0:
                        assert torch.equal(joined(part), whole.flatten()), (stage, name)
                    else:
                        assert part.numel() == parameter.numel()
            owned = sum(end - begin for begin, end in map(engine.core.local_range, dict(net.named_parameters())))
            count = sum(parameter.numel() for parameter in net.parameters())
            assert owned == count if stage == 0 else 0 < owned < count, (stage, owned)


def case_local_writes_reach_weight_master_moment_and_gradient() -> None:
    for stage in (0, 1, 2, 3):
        for more in ({}, BF16):
            net, engine = trained(stage, **more)
            for index, parameter in enumerate(net.parameters()):
                new = utils.safe_get_local_fp32_param(parameter) * 0 + index + 1 / 1024
                utils.safe_set_local_fp32_param(parameter, new)
                utils.safe_set_local_optimizer_state(parameter, new * 2, "exp_avg")
                utils.safe_set_local_grad(parameter, new * 3)
            for index, parameter in enumerate(net.parameters()):
                value = index + 1 / 1024
                everywhere = torch.full(parameter.shape, value)
                assert torch.equal(utils.safe_get_full_fp32_param(parameter), everywhere), (stage, more)
                assert torch.equal(parameter.detach().clone(), everywhere.to(parameter.dtype)), (stage, more)
                assert torch.equal(utils.safe_get_full_optimizer_state(parameter, "exp_avg"), everywhere * 2)
                assert torch.equal(utils.safe_get_full_grad(parameter), everywhere * 3)
            engine.step()  # with the gradient and the moments that were set
            count = torch.tensor([float(p.numel()) for p in net.parameters()])
            values = torch.arange(len(count)) + 1 / 1024
            expected = float((count * (3 * values) ** 2).sum().sqrt())
            assert abs(engine.get_global_grad_norm() / expected - 1) < 1e-6, stage


def case_an_optimizer_that_runs_outside_sees_local_writes() -> None:
    for stage in (1, 3):
        net = make_net()
        optimizer = torch.optim.RMSprop(net.parameters(), lr=0.0)
        engine = initialize(net, settings_of(stage, **BF16), optimizer=optimizer)
        run(engine, 1)
        for parameter in net.parameters():
            utils.safe_set_local_fp32_param(parameter, utils.safe_get_local_fp32_param(parameter) * 0 + 5)
        run(engine, 1, start=1)  # the rate is zero: what the optimizer holds comes back
        assert all(bool((parameter == 5).all()) for parameter in net.parameters()), stage


def case_wrong_shapes_and_frozen_parameters_are_named() -> None:
    for stage in (0, 2, 3):
        net, engine = trained(stage)
        weight = net.norm.weight
        for action in (
            lambda: utils.safe_set_local_fp32_param(weight, torch.ones(99)),
            lambda: utils.safe_set_local_grad(weight, torch.ones(99)),
            lambda: utils.safe_set_local_optimizer_state(weight, torch.ones(99), "exp_avg"),
            lambda: utils.safe_set_full_fp32_param(weight, torch.ones(99)),
        ):
            assert "norm.weight" in message(action, ValueError) and "99" in message(action, ValueError)
        engine.step()
        part = utils.safe_get_local_fp32_param(weight)
        assert utils.safe_get_local_grad(weight) is None, "the step used it"
        assert "not reduced" in message(lambda: utils.safe_set_local_grad(weight, part), ValueError)
        assert utils.safe_get_local_optimizer_state(weight, "nothing") is None
        assert "nothing" in message(lambda: utils.safe_set_local_optimizer_state(weight, part, "nothing"), ValueError)
        other = nn.Parameter(torch.ones(2))
        assert utils.safe_get_local_fp32_param(other) is None and utils.safe_get_local_grad(other) is None


def case_gradients_are_updated_together() -> None:
    for stage in (0, 2, 3):
        net, engine = trained(stage)
        before = {name: utils.safe_get_full_grad(parameter) for name, parameter in net.named_parameters()}
        seen: list[Any] = []

        def double(gradient: torch.Tensor, parameter: nn.Parameter) -> torch.Tensor:
            seen.append(parameter)
            assert gradient.shape == parameter.shape
            return gradient * 2

        parameters = list(net.parameters())
        utils.safe_update_full_grad_vectorized([nn.Parameter(torch.ones(1)), *parameters], double)
        assert {id(each) for each in seen} == {id(each) for each in parameters} and len(seen) == len(parameters)
        for name, parameter in net.named_parameters():
            assert torch.equal(utils.safe_get_full_grad(parameter), before[name] * 2), (stage, name)
            assert torch.equal(utils.get_full_hp_grad(parameter), before[name] * 2)
            assert torch.equal(
                utils.get_full_hp_param(parameter, "exp_avg"), utils.safe_get_full_optimizer_state(parameter, "exp_avg")
            )


# --- leaf modules ----------------------------------------------------------------------------------------------------


class Expert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(self.up(x).tanh())


class Experts(nn.Module):
    """Each call uses the experts that it is told; which ones is another matter on each rank."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 4)
        self.experts = nn.ModuleList(Expert() for _ in range(4))

    def forward(self, x: torch.Tensor, chosen: list[int]) -> torch.Tensor:
        weight = self.gate(x).softmax(-1)
        for each in chosen:
            x = x + self.experts[each](x) * weight[..., each : each + 1]
        return x


class ExpertNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.moe = Experts()
        self.last = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor, chosen: list[int]) -> torch.Tensor:
        return self.last(self.moe(self.first(x).tanh(), chosen)).pow(2).mean()


def expert_net() -> ExpertNet:
    torch.manual_seed(5)
    return ExpertNet()


def chosen_on(step: int, rank: int) -> list[int]:
    return [[0, 1], [2], [3, 0], [1]][(step + 2 * rank) % 4]


def inputs(step: int, rank: int) -> torch.Tensor:
    return torch.randn(2, 8, generator=torch.Generator().manual_seed(10 * step + rank))


def trained_experts_equal_one_process(net: ExpertNet, settings: dict[str, Any]) -> Any:
    expected = expert_net()
    plain = torch.optim.SGD(expected.parameters(), lr=0.1)
    engine = initialize(net, settings, optimizer=torch.optim.SGD(net.parameters(), lr=0.1))
    for step in range(4):
        plain.zero_grad()
        for rank in range(dist.get_world_size()):
            (expected(inputs(step, rank), chosen_on(step, rank)) / dist.get_world_size()).backward()
        for parameter in expected.parameters():  # experts that no rank used
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        nn.utils.clip_grad_norm_(expected.parameters(), 0.5)
        plain.step()
        engine.backward(engine(inputs(step, dist.get_rank()), chosen_on(step, dist.get_rank())))
        engine.step()
    for (name, mine), theirs in zip(net.named_parameters(), expected.parameters()):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6, msg=lambda text: f"{name}: {text}")
    return engine


def case_leaf_modules_of_the_config_are_one_unit_each() -> None:
    path = f"{Experts.__module__}.Experts"
    for rules in ({"classes": [path]}, {"classes": ["Experts"]}, {"names": ["moe"]}, {"name_suffixes": ["moe"]}):
        settings = settings_of(3)
        settings["zero_optimization"]["leaf_module"] = rules
        net = expert_net()
        engine = trained_experts_equal_one_process(net, settings)  # ranks use other experts in every step
        assert "moe" in engine.core.unit_names() and not any("experts" in each for each in engine.core.unit_names())
        assert utils.get_z3_leaf_modules(net) == [net.moe]
        assert utils.z3_leaf_parameter(net.moe.gate.weight) and not utils.z3_leaf_parameter(net.first.weight)
        engine.destroy()
        assert not utils.z3_leaf_parameter(net.moe.gate.weight)


def case_leaf_marks_of_the_script_are_one_unit_each() -> None:
    net = expert_net()
    utils.set_z3_leaf_modules(net, [Experts])
    engine = trained_experts_equal_one_process(net, settings_of(3))
    assert "moe" in engine.core.unit_names()
    plain = initialize(expert_net(), settings_of(3), optimizer=None)
    assert [each for each in plain.core.unit_names() if "experts" in each] == [f"moe.experts.{i}" for i in range(4)]


def case_a_leaf_rule_that_matches_nothing_is_a_warning() -> None:
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    utils.logger.addHandler(handler)
    settings = settings_of(2, optimizer={"type": "SGD", "params": {"lr": 0.1}})
    initialize(make_net(), settings)
    assert not any("leaf_module" in each for each in said), "the usual classes may be absent"
    settings["zero_optimization"]["leaf_module"] = {"names": ["blocks.0", "blokcs.1"]}
    engine = initialize(make_net(), settings)
    utils.logger.removeHandler(handler)
    assert any('"blokcs.1"' in each for each in said) and not any('"blocks.0"' in each for each in said), said
    assert engine.core.leaf_modules() == ["blocks.0"]


# --- weights out of a checkpoint -------------------------------------------------------------------------------------


def on_first_rank(action: Callable[[], None]) -> None:
    if dist.get_rank() == 0:
        action()
    dist.barrier()


def saved(stage: int, frozen: bool = False, **more: Any) -> tuple[str, dict[str, torch.Tensor]]:
    """(folder, whole float32 weights and buffers) of a run of two steps."""
    net = make_net()
    if frozen:
        net.blocks[0].requires_grad_(False)
    engine = initialize(net, settings_of(stage, **more), optimizer=OPTIMIZERS["adamw"](net.parameters()))
    run(engine, 2)
    folder = str(FOLDER / f"weights{stage}{frozen}{len(more)}")
    engine.save_checkpoint(folder)
    expected = {name: utils.safe_get_full_fp32_param(parameter) for name, parameter in net.named_parameters()}
    return folder, {**expected, "head.weight": expected["embed.weight"], "calls": net.calls.clone()}


def case_weights_are_read_lazily_or_at_once() -> None:
    for stage in (1, 3):
        folder, expected = saved(stage, **BF16)

        def check() -> None:
            whole = zero_to_fp32.get_fp32_state_dict_from_zero_checkpoint(folder)
            lazy = zero_to_fp32.get_fp32_state_dict_from_zero_checkpoint(folder, lazy_mode=True)
            assert whole.keys() == lazy.keys() == expected.keys()
            for name, value in expected.items():
                assert torch.equal(whole[name], value) and torch.equal(lazy[name].contiguous(), value), name
                assert lazy[name].shape == value.shape and lazy[name].dtype == value.dtype
            assert whole["head.weight"].data_ptr() == whole["embed.weight"].data_ptr()
            empty = zero_to_fp32.to_torch_tensor(lazy, return_empty_tensor=True)
            assert {name: (value.shape, value.dtype) for name, value in empty.items()} == {
                name: (value.shape, value.dtype) for name, value in expected.items()
            }
            net = zero_to_fp32.load_state_dict_from_zero_checkpoint(make_net(), folder)
            assert all(torch.equal(value, expected[name]) for name, value in net.state_dict().items())

        on_first_rank(check)


def case_weights_are_written_in_files_of_a_bounded_size() -> None:
    folder, expected = saved(2, **BF16)

    def check() -> None:
        for is_safe in (False, True):
            out = Path(folder) / f"out{is_safe}"
            zero_to_fp32.convert_zero_checkpoint_to_state_dict(
                folder, str(out), torch.bfloat16, max_shard_size=600, safe_serialization=is_safe
            )
            index = json.loads(next(out.glob("*.index.json")).read_text())
            found: dict[str, torch.Tensor] = {}
            for file in sorted(set(index["weight_map"].values())):
                found.update(read(out / file))
                assert sum(value.nbytes for value in read(out / file).values()) <= 600 + 176, file  # 176: the tied name
            assert found.keys() == expected.keys() - ({"head.weight"} if is_safe else set())
            for name, value in found.items():
                wanted = expected[name]
                assert torch.equal(value, wanted.bfloat16() if wanted.is_floating_point() else wanted), name

    on_first_rank(check)


def case_a_conversion_holds_one_file_at_a_time() -> None:
    folder, _ = saved(2, **BF16)
    written: list[weakref.ref[torch.Tensor]] = []  # tensors of the files that are through
    read_one, write = zero_to_fp32.GatheredTensor.contiguous, zero_to_fp32._write

    def read_more(tensor: zero_to_fp32.GatheredTensor) -> torch.Tensor:
        assert all(each() is None for each in written), tensor.name
        return read_one(tensor)

    def write_and_note(tensors: dict[str, torch.Tensor], path: str) -> None:
        write(tensors, path)
        written.extend(weakref.ref(each) for each in tensors.values())

    def check() -> None:
        with (
            mock.patch.object(zero_to_fp32.GatheredTensor, "contiguous", read_more),
            mock.patch.object(zero_to_fp32, "_write", write_and_note),
        ):
            zero_to_fp32.convert_zero_checkpoint_to_state_dict(folder, str(Path(folder) / "one"), max_shard_size=600)
        assert len(written) > 4

    on_first_rank(check)


def case_the_command_line_converts() -> None:
    folder, expected = saved(1, frozen=True)

    def check() -> None:
        out = Path(folder) / "out"
        options = ["--exclude_frozen_parameters", "--safe_serialization", "--dtype", "bf16", "-t", "global_step2"]
        zero_to_fp32.main([folder, str(out), *options])
        found = read(out / "model.safetensors")
        assert found.keys() == {name for name in expected if not name.startswith(("blocks.0", "head"))}
        assert torch.equal(found["norm.weight"], expected["norm.weight"].bfloat16())

    on_first_rank(check)


def read(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".bin":
        return torch.load(path, weights_only=True)
    from safetensors.torch import load_file

    return load_file(path)


def case_frozen_parameters_can_be_left_out() -> None:
    folder, expected = saved(3, frozen=True)

    def check() -> None:
        kept = zero_to_fp32.get_fp32_state_dict_from_zero_checkpoint(folder, exclude_frozen_parameters=True)
        assert kept.keys() == {name for name in expected if not name.startswith("blocks.0")}

    on_first_rank(check)
    net = make_net()
    engine = initialize(net, settings_of(0), optimizer=torch.optim.SGD(net.parameters(), lr=0.1))
    run(engine, 1)
    plain = str(FOLDER / "stateless")
    engine.save_checkpoint(plain)

    def refuse() -> None:
        convert = zero_to_fp32.get_fp32_state_dict_from_zero_checkpoint
        said = message(lambda: convert(plain, exclude_frozen_parameters=True), NotImplementedError)
        assert "exclude_frozen_parameters" in said

    on_first_rank(refuse)


if __name__ == "__main__":
    run_cases(globals())

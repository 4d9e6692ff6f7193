"""ZeRO stage 3 through `import deepspeed`, case by case, on two ranks; started by engine_test.py."""

from __future__ import annotations

import copy
import io
from typing import Any

import torch
from case_support import (
    FOLDER,
    OPTIMIZERS,
    assert_same_weights,
    config,
    initialize,
    make_net,
    message,
    reference,
    run,
    run_cases,
    tokens,
)
from torch import nn
from torch.utils.checkpoint import checkpoint

import deepspeed
from deepspeed import _C
from deepspeed import comm as dist


def zero3(**more: Any) -> dict[str, Any]:
    settings = config(3, **more)
    settings["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    return settings


def adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-2)


def case_every_torch_optimizer_equals_one_process() -> None:
    for name, make in OPTIMIZERS.items():
        expected, norms = reference(3, make)
        net = make_net()
        engine = initialize(net, zero3(), optimizer=make(net.parameters()))
        assert torch.allclose(torch.tensor(run(engine, 3)), torch.tensor(norms), rtol=1e-5), name
        engine.destroy()
        for (key, mine), theirs in zip(net.named_parameters(), expected.parameters()):
            assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-6), (name, key)


def case_parameters_keep_their_shape_and_give_whole_values() -> None:
    net = make_net()
    expected = copy.deepcopy(net)
    engine = initialize(net, zero3(), optimizer=adamw(net.parameters()))
    assert all(_C.is_sharded(p) for p in net.parameters())
    for mine, theirs in zip(net.parameters(), expected.parameters()):
        assert mine.shape == theirs.shape and mine.numel() == mine.ds_numel and mine.ds_shape == theirs.shape
        assert torch.equal(mine.detach().clone(), theirs) and mine.norm() == theirs.norm()
    copied = copy.deepcopy(net)
    assert not any(_C.is_sharded(p) for p in copied.parameters())
    assert all(torch.equal(a, b) for a, b in zip(copied.parameters(), expected.parameters()))
    for each in (net.blocks[0][0], net.blocks[1][0], net.norm):  # the two slots go to the last two units
        each.weight.sum()
    assert "blocks.0.0.weight" in message(lambda: net.blocks[0][0].weight.data_ptr(), RuntimeError)


def case_state_dicts_are_whole_and_small() -> None:
    net = make_net()
    expected = {name: value.clone() for name, value in net.state_dict().items()}
    engine = initialize(net, zero3(), optimizer=adamw(net.parameters()))
    state = net.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    assert all(torch.equal(value, expected[name]) for name, value in torch.load(file, weights_only=True).items())
    whole = engine._zero3_consolidated_16bit_state_dict()
    assert (whole is not None) == (dist.get_rank() == 0)
    assert whole is None or all(torch.equal(whole[name], expected[name]) for name in expected)
    assert engine.save_16bit_model(f"{FOLDER}/none") is False


def save_pretrained(module: nn.Module, is_main_process: bool) -> dict[str, Any]:
    """What transformers' asks for."""
    return module.state_dict()


def fail(*_: Any) -> None:
    raise ValueError("in the middle")


def case_a_state_dict_is_left_to_the_first_rank_for_one_model_only() -> None:
    here = dist.get_rank() == 0
    expected = make_net().state_dict()
    first, second = (initialize(net := make_net(), zero3(), optimizer=adamw(net.parameters())) for _ in range(2))
    assert (first._zero3_consolidated_16bit_state_dict() is None) == (not here)
    assert here or save_pretrained(first.module, is_main_process=False) == {}
    dist.barrier()
    found = save_pretrained(second.module, is_main_process=here)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    if not here:
        hook = first.module.head.register_state_dict_pre_hook(fail)
        message(lambda: save_pretrained(first.module, is_main_process=False), ValueError)
        hook.remove()
    found = first.module.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items()), "what was put aside is back"
    first.destroy()
    second.destroy()


def case_weights_written_in_place_are_kept() -> None:
    net = make_net()
    engine = initialize(net, zero3(), optimizer=torch.optim.SGD(net.parameters(), lr=0.0))
    other = {name: torch.full_like(value, 7) for name, value in net.state_dict().items()}
    net.load_state_dict(other)
    run(engine, 1)
    assert all(torch.equal(value, other[name]) for name, value in net.state_dict().items())
    with torch.no_grad():
        for parameter in net.parameters():
            nn.init.constant_(parameter, 0.5)
    run(engine, 1)  # writes into bound units survive the step, whose rate is zero
    assert all(bool((value == 0.5).all()) for name, value in net.state_dict().items() if name != "calls")


def case_gathered_parameters() -> None:
    net = make_net()
    engine = initialize(net, zero3(), optimizer=adamw(net.parameters()))
    first, *others = net.parameters()
    with deepspeed.zero.GatheredParameters([first, None, first, torch.ones(2)], modifier_rank=0):
        assert first.ds_status == deepspeed.zero.ZeroParamStatus.AVAILABLE
        assert first.data_ptr() != 0
        if dist.get_rank() == 0:
            first.data.fill_(3.0)
    assert bool((first == 3.0).all())
    with deepspeed.zero.GatheredParameters(net.parameters()):
        total = sum(p.numpy(force=True).sum() for p in others)
        with deepspeed.zero.GatheredParameters(first):
            assert first.numpy(force=True).min() == 3.0
    assert abs(total - sum(p.sum().item() for p in others)) < 1e-3


class Odd(nn.Module):
    """Functional and tied use, a parameter of the root, a block that is recomputed, a submodule called alone."""

    def __init__(self, reentrant: bool | None) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 16)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 16)) for _ in range(4))
        self.scale = nn.Parameter(torch.full((16,), 0.9))
        self.reentrant = reentrant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)
        for block in self.blocks:
            h = h + (block(h) if self.reentrant is None else checkpoint(block, h, use_reentrant=self.reentrant))
        h = self.blocks[0][0](h * self.scale)
        return nn.functional.cross_entropy(nn.functional.linear(h, self.embed.weight).flatten(0, 1), x.flatten())


def case_odd_uses_and_recomputation_equal_stage_zero() -> None:
    for reentrant in (None, False, True):
        weights, norms = [], []
        for stage in (0, 3):
            torch.manual_seed(3)
            net = Odd(reentrant)
            settings = zero3() if stage == 3 else config(0)
            engine = initialize(net, settings, optimizer=adamw(net.parameters()))
            found = []
            for step in range(3):
                x = torch.randint(11, (2, 5), generator=torch.Generator().manual_seed(10 * step + dist.get_rank()))
                engine.backward(engine(x))
                engine.step()
                found.append(engine.get_global_grad_norm())
            norms.append(found)
            weights.append(net.state_dict())
        assert norms[0] == norms[1], (reentrant, norms)
        assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items()), reentrant


def case_checkpoints_go_between_stages() -> None:
    net = make_net()
    engine = initialize(net, zero3(), optimizer=adamw(net.parameters()))
    run(engine, 2)
    engine.save_checkpoint(f"{FOLDER}/three", client_state={"here": 1})
    run(engine, 1)
    expected = net.state_dict()
    for stage in (0, 3):
        other = make_net()
        settings = zero3() if stage == 3 else config(0)
        second = initialize(other, settings, optimizer=adamw(other.parameters()))
        _, client = second.load_checkpoint(f"{FOLDER}/three")
        assert client["here"] == 1
        for step in (2,):
            second.backward(second(tokens(step, dist.get_rank())))
            second.step()
        found = other.state_dict()
        assert found.keys() == expected.keys()


def case_init_shards_while_building_and_initialize_takes_over() -> None:
    torch.manual_seed(dist.get_rank())  # rank 0's values win
    with deepspeed.zero.Init(config_dict_or_path=zero3()):
        net = nn.Sequential(nn.Linear(32, 32), nn.Sequential(nn.Linear(32, 32), nn.LayerNorm(32)))
        with deepspeed.zero.Init(config_dict_or_path=zero3()):
            last = nn.Linear(32, 32)
    assert nn.Linear.__init__.__qualname__ == "Linear.__init__" and not _C.is_sharded(nn.Linear(2, 2).weight)
    net.append(last)
    assert all(_C.is_sharded(p) and hasattr(p, "ds_id") for p in net.parameters())
    values = [p.detach().clone() for p in net.parameters()]
    torch.manual_seed(0)
    assert torch.equal(values[0], nn.Linear(32, 32).weight)
    with deepspeed.zero.GatheredParameters(list(net.parameters()), modifier_rank=0):
        if dist.get_rank() == 0:
            net[0].bias.data.fill_(2.0)
    values[1] = torch.full((32,), 2.0)
    identities = [id(p) for p in net.parameters()]
    engine = initialize(net, zero3(), optimizer=torch.optim.SGD(net.parameters(), lr=0.1))
    assert [id(p) for p in net.parameters()] == identities
    assert all(torch.equal(p.detach().clone(), v) for p, v in zip(net.parameters(), values))
    loss = engine(torch.ones(2, 32)).pow(2).mean()
    engine.backward(loss)
    engine.step()
    assert engine.get_global_grad_norm() > 0
    engine.destroy()
    assert not any(_C.is_sharded(p) or hasattr(p, "ds_id") for p in net.parameters())
    assert not torch.equal(net[0].weight, values[0])


def case_evaluation_through_the_bare_module() -> None:
    net = make_net()
    expected = copy.deepcopy(net)
    engine = initialize(net, zero3(), optimizer=adamw(net.parameters()))
    with torch.no_grad():
        for step in range(3):
            batch = tokens(step, dist.get_rank())
            assert torch.allclose(net(batch), expected(batch)) and torch.allclose(engine(batch), expected(batch))


def case_no_sync_and_accumulation() -> None:
    expected, norms = reference(2, adamw)
    net = make_net()
    engine = initialize(net, zero3(), optimizer=adamw(net.parameters()))
    assert torch.allclose(torch.tensor(run(engine, 2)), torch.tensor(norms), rtol=1e-5)
    assert_same_weights(engine, expected)


def case_memory_is_the_formula() -> None:
    net = nn.Sequential(*(nn.Linear(256, 256) for _ in range(6)))
    engine = initialize(net, zero3(), optimizer=adamw(net.parameters()))
    for _ in range(3):
        engine.backward(engine(torch.ones(2, 256)).sum())
        engine.step()
    held = engine.memory()
    assert abs(held["total"] / held["formula_total"] - 1) < 0.02, held


run_cases(globals())

"""How the engine trains through `import deepspeed`, case by case, on two ranks; started by engine_test.py."""

from __future__ import annotations

import copy
import gc
import json
import weakref
from typing import Any, Callable

import torch
from case_support import (
    FOLDER,
    OPTIMIZERS,
    Net,
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

import deepspeed
from deepspeed import comm as dist


def case_every_torch_optimizer_equals_one_process() -> None:
    for name, make in OPTIMIZERS.items():
        expected, norms = reference(3, make)
        for stage in (0, 1, 2):
            net = make_net()
            engine = initialize(net, config(stage), optimizer=make(net.parameters()))
            assert torch.allclose(torch.tensor(run(engine, 3)), torch.tensor(norms), rtol=1e-5), (name, stage)
            assert_same_weights(engine, expected)


def case_deepspeeds_own_optimizers_equal_their_standalone_steps() -> None:
    from deepspeed.ops.adagrad import DeepSpeedCPUAdagrad
    from deepspeed.ops.adam import DeepSpeedCPUAdam, FusedAdam
    from deepspeed.ops.lamb import FusedLamb
    from deepspeed.ops.lion import FusedLion

    makers: list[Callable[[Any], Any]] = [
        lambda p: FusedAdam(p, lr=1e-2, weight_decay=0.1),
        lambda p: DeepSpeedCPUAdam(p, lr=1e-2, weight_decay=0.1, adamw_mode=False),
        lambda p: DeepSpeedCPUAdagrad(p, lr=1e-2),
        lambda p: FusedLion(p, lr=1e-3, weight_decay=0.1),
        lambda p: FusedLamb(p, lr=1e-2, weight_decay=0.1),
    ]
    for make in makers:
        expected, _ = reference(3, make)
        for stage in (0, 1, 2):
            net = make_net()
            optimizer = make(net.parameters())
            run(engine := initialize(net, config(stage), optimizer=optimizer), 3)
            assert engine.optimizer.kernel != "external", optimizer
            assert_same_weights(engine, expected, 1e-4)


def case_parameter_groups_and_their_numbers() -> None:
    def make_optimizer(net: Net) -> Any:
        decay = [p for p in net.parameters() if p.ndim > 1]
        rest = [p for p in net.parameters() if p.ndim <= 1]
        return torch.optim.AdamW(
            [{"params": decay, "weight_decay": 0.5}, {"params": rest, "lr": 1e-3}], lr=1e-2, weight_decay=0.0
        )

    expected = make_net()
    plain = make_optimizer(expected)
    net = make_net()
    engine = initialize(net, config(2, gradient_clipping=0), optimizer=make_optimizer(net))
    for step in range(3):
        plain.zero_grad()
        for rank in range(dist.get_world_size()):
            (expected(tokens(step, rank)) / dist.get_world_size()).backward()
        plain.step()
        run(engine, 1, start=step)
        for each in (plain, engine.optimizer):
            each.param_groups[1]["lr"] *= 0.5
    assert_same_weights(engine, expected)


def case_config_optimizers_and_accumulation() -> None:
    expected, _ = reference(2, OPTIMIZERS["adamw"], accumulation=3)
    section = {"type": "AdamW", "params": {"lr": 1e-2, "weight_decay": 0.1}}
    for stage in (0, 1, 2):
        engine = initialize(make_net(), config(stage, 3, optimizer=section))
        run(engine, 2, 3)
        assert engine.global_steps == 2 and engine.micro_steps == 6
        assert_same_weights(engine, expected)


def case_explicit_boundaries_like_accelerate() -> None:
    expected, _ = reference(2, OPTIMIZERS["adamw"], accumulation=2)
    net = make_net()
    engine = initialize(net, config(2, 2), optimizer=OPTIMIZERS["adamw"](net.parameters()))
    for step in range(2):
        for micro in range(2):
            engine.set_gradient_accumulation_boundary(is_boundary=micro == 1)
            engine.backward(engine(tokens(step, micro=micro)) / 2, scale_wrt_gas=False)
            if micro == 1:
                engine.step()
    assert_same_weights(engine, expected)


def case_plain_backward_and_no_sync() -> None:
    expected, _ = reference(2, OPTIMIZERS["sgd"], accumulation=2)
    for stage in (0, 1, 2):
        net = make_net()
        engine = initialize(net, config(stage, 2), optimizer=OPTIMIZERS["sgd"](net.parameters()))
        for step in range(2):
            with engine.no_sync():
                engine(tokens(step, micro=0)).backward()
            engine.step()
            engine(tokens(step, micro=1)).backward()
            engine.step()
        assert_same_weights(engine, expected)


def case_recomputation_both_ways() -> None:
    expected, _ = reference(3, OPTIMIZERS["adamw"])
    for recompute in ("reentrant", "non-reentrant"):
        for stage in (0, 1, 2):
            net = make_net(recompute=recompute)
            engine = initialize(net, config(stage), optimizer=OPTIMIZERS["adamw"](net.parameters()))
            engine.train()
            run(engine, 3)
            assert_same_weights(engine, expected)


def case_schedulers_reach_the_step() -> None:
    section = {"type": "WarmupLR", "params": {"warmup_max_lr": 0.5, "warmup_num_steps": 4, "warmup_type": "linear"}}
    engine = initialize(make_net(), config(1, optimizer={"type": "SGD", "params": {"lr": 0.1}}, scheduler=section))
    assert engine.get_lr() == [0.0]
    before = engine.module.norm.weight.clone()
    run(engine, 1)
    assert torch.equal(before, engine.module.norm.weight), "the first warm-up step has rate 0"
    run(engine, 4, start=1)
    assert engine.get_lr() == [0.5] and not torch.equal(before, engine.module.norm.weight)
    net = make_net()
    optimizer = OPTIMIZERS["sgd"](net.parameters())
    engine, returned, _, scheduler = deepspeed.initialize(
        model=net,
        optimizer=optimizer,
        config=config(1),
        lr_scheduler=lambda o: torch.optim.lr_scheduler.StepLR(o, 1, 0.1),
    )
    run(engine, 1)
    assert abs(optimizer.param_groups[0]["lr"] - 0.01) < 1e-9 and returned.param_groups[0] is optimizer.param_groups[0]


def case_checkpoint_with_client_state_resumes_exactly() -> None:
    for make in (OPTIMIZERS["adamw"], OPTIMIZERS["rmsprop (external)"]):
        folder = str(
            FOLDER / f"ck_{id(make) if dist.get_rank() < 0 else make(nn.Linear(1, 1).parameters()).__class__.__name__}"
        )
        net = make_net()
        engine = initialize(net, config(2), optimizer=make(net.parameters()))
        run(engine, 2)
        state = {"epoch": 3, "pair": (1, 2.5), 7: float("inf"), "rng": torch.arange(4)}
        engine.save_checkpoint(folder, client_state=state)
        run(engine, 2, start=2)
        for stage in (0, 1, 2):
            other = make_net()
            resumed = initialize(other, config(stage), optimizer=make(other.parameters()))
            path, loaded = resumed.load_checkpoint(folder)
            assert path is not None and path.endswith("global_step2") and resumed.global_steps == 2
            assert (
                loaded["pair"] == (1, 2.5) and loaded[7] == float("inf") and torch.equal(loaded["rng"], torch.arange(4))
            )
            run(resumed, 2, start=2)
            for ours, theirs in zip(resumed.module.parameters(), engine.module.parameters(), strict=True):
                assert torch.equal(ours, theirs), stage


def case_client_state_of_a_cpp_program_is_handed_on_as_it_is() -> None:
    engine = initialize(make_net(), config(1, optimizer={"type": "SGD", "params": {"lr": 0.1}}))
    values = ["null", '"epoch 3"', "3", "[1, 2.5, null]", '{"epoch": 3}', '{"user": {"a": 1}}', '{"optimizer": null}']
    for index, text in enumerate(values):
        # What deepspeed::Engine::save_checkpoint does with a program's JSON.
        engine.core.save_checkpoint(str(FOLDER / "cpp"), f"state{index}", text, {}, True, False, [])
        path, loaded = engine.load_checkpoint(str(FOLDER / "cpp"))
        assert path is not None and path.endswith(f"state{index}")
        assert loaded == json.loads(text) and type(loaded) is type(json.loads(text)), text
    engine.core.save_checkpoint(str(FOLDER / "cpp"), "none", "", {}, True, False, [])
    assert engine.load_checkpoint(str(FOLDER / "cpp"))[1] == {}
    engine.save_checkpoint(str(FOLDER / "cpp"))
    assert engine.load_checkpoint(str(FOLDER / "cpp"))[1] == {}


def case_missing_checkpoint_is_a_warning_and_a_wrong_client_state_names_its_path() -> None:
    net = make_net()
    engine = initialize(net, config(1), optimizer=OPTIMIZERS["sgd"](net.parameters()))
    assert engine.load_checkpoint(str(FOLDER / "nothing")) == (None, None)
    try:
        engine.save_checkpoint(str(FOLDER / "bad"), client_state={"a": {"b": object()}})
    except TypeError as error:
        assert "user.a.b" in str(error)
    else:
        raise AssertionError("expected TypeError")


def case_half_precision_on_float32_inputs() -> None:
    for section in ({"fp16": {"enabled": True}}, {"bf16": {"enabled": True}}):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))
        engine = initialize(net, config(2, optimizer={"type": "AdamW", "params": {"lr": 1e-2}}, **section))
        losses = []
        for _ in range(12):
            inputs = torch.ones(2, 8) if "fp16" in section else torch.ones(2, 8, dtype=torch.bfloat16)
            loss = engine(inputs).float().pow(2).mean()
            engine.backward(loss)
            engine.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0], losses
        assert next(net.parameters()).dtype in (torch.float16, torch.bfloat16)


class Echo(nn.Module):
    """Says which types it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, features: torch.Tensor, labels: dict[str, torch.Tensor]) -> list[torch.dtype]:
        return [features.dtype, labels["timesteps"].dtype]


def case_inputs_are_cast_under_fp16_only_and_only_where_it_is_not_forbidden() -> None:
    arguments = torch.ones(2), {"timesteps": torch.ones(2)}
    for section, expected in (
        ({"fp16": {"enabled": True}}, torch.float16),
        ({"fp16": {"enabled": True, "auto_cast": True}}, torch.float16),
        ({"fp16": {"enabled": True, "auto_cast": False}}, torch.float32),
        ({"fp16": {"enabled": True, "auto_cast": "false"}}, torch.float32),
        ({"bf16": {"enabled": True}}, torch.float32),
        ({"bf16": {"enabled": True}, "fp16": {"enabled": False, "auto_cast": True}}, torch.float32),
    ):
        engine = initialize(Echo(), config(1, optimizer={"type": "SGD", "params": {"lr": 0.1}}, **section))
        assert engine(*arguments) == [expected] * 2, section


def case_frozen_and_unfrozen_parameters() -> None:
    def make_optimizer(net: Net) -> Any:
        return torch.optim.SGD(net.parameters(), lr=0.1)

    reference_net = make_net()
    plain = make_optimizer(reference_net)
    net = make_net()
    engine = initialize(net, config(2, gradient_clipping=0), optimizer=make_optimizer(net))
    for step in range(4):
        for each in (net, reference_net):
            each.blocks[0].requires_grad_(step != 1)
            each.norm.requires_grad_(step >= 2)
        plain.zero_grad()
        for rank in range(dist.get_world_size()):
            (reference_net(tokens(step, rank)) / dist.get_world_size()).backward()
        plain.step()
        run(engine, 1, start=step)
    assert_same_weights(engine, reference_net)


def case_full_values_for_users() -> None:
    for stage in (0, 1, 2):
        net = make_net()
        engine = initialize(net, config(stage), optimizer=OPTIMIZERS["adamw"](net.parameters()))
        engine.backward(engine(tokens(0)))
        gradient = deepspeed.utils.safe_get_full_grad(net.norm.weight)
        assert gradient is not None and gradient.shape == net.norm.weight.shape
        engine.step()
        assert torch.equal(deepspeed.utils.safe_get_full_fp32_param(net.norm.weight), net.norm.weight)
        assert deepspeed.utils.safe_get_full_optimizer_state(net.norm.weight, "exp_avg").abs().sum() > 0
        memory = engine.memory()
        assert memory["total"] > 0 and memory["formula_total"] > 0


def case_mistakes_are_named() -> None:
    sgd = {"type": "SGD", "params": {"lr": 0.1}}
    assert "zero_optimization" in message(
        lambda: initialize(make_net(), {**config(), "zero_optimizaton": {}}), ValueError
    )
    later = {**config(optimizer=sgd), "zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}}
    assert "offload" in message(lambda: initialize(make_net(), later), ValueError)
    assert "train_batch_size" in message(
        lambda: initialize(make_net(), {**config(optimizer=sgd), "train_batch_size": 5}), ValueError
    )
    engine = initialize(make_net(), config(1, optimizer=sgd))
    assert "scalar" in message(lambda: engine.backward(torch.ones(2, requires_grad=True)), ValueError)
    assert "LBFGS" in message(
        lambda: initialize(make_net(), config(0), optimizer=torch.optim.LBFGS(make_net().parameters())), ValueError
    )
    assert str(FOLDER / "x") in message(lambda: engine.load_checkpoint(str(FOLDER / "x"), tag="other"), RuntimeError)


def case_several_engines_and_nothing_left_behind() -> None:
    nets = [make_net() for _ in range(3)]
    engines = [
        initialize(net, config(stage), optimizer=OPTIMIZERS["adamw"](net.parameters()))
        for stage, net in enumerate(nets)
    ]
    for step in range(2):
        for engine in engines:
            run(engine, 1, start=step)
    for net in nets[1:]:
        for ours, theirs in zip(net.parameters(), nets[0].parameters(), strict=True):
            assert torch.equal(ours, theirs)
    dead = weakref.ref(engines[0])
    engines[0].destroy()
    net = nets[0]
    loss = net(tokens(0))
    loss.backward()
    assert net.norm.weight.grad is not None, "a destroyed engine leaves an ordinary module"
    assert copy.deepcopy(net).norm.weight.shape == (8,)
    assert not any(module._forward_pre_hooks for module in net.modules())
    del engines[0], engine
    gc.collect()
    assert dead() is None


def case_loader_and_16bit_model() -> None:
    data = [torch.full((6,), index % 11) for index in range(12)]
    net = make_net()
    engine, _, loader, _ = deepspeed.initialize(
        model=net, config=config(1), optimizer=OPTIMIZERS["sgd"](net.parameters()), training_data=data
    )
    assert len(loader) == 3 and all(batch.shape == (2, 6) for batch in loader)
    engine.save_16bit_model(str(FOLDER / "weights"))
    saved = torch.load(FOLDER / "weights" / "pytorch_model.bin", weights_only=True)
    assert torch.equal(saved["norm.weight"], net.norm.weight)


if __name__ == "__main__":
    run_cases(globals())

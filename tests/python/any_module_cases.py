"""ZeRO stage 3 on modules and uses of every kind, case by case, on two ranks; started by engine_test.py."""

from __future__ import annotations

import copy
import io
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import torch
from case_support import config, initialize, message, run_cases
from torch import nn
from torch.nn import functional as F

from deepspeed import comm as dist
from deepspeed.utils.log import logger

Loss = Callable[[Any, torch.Tensor], torch.Tensor]


class Model(nn.Module):
    """A module and what to make of it: the loss of a batch [4, 6, 8]."""

    def __init__(self, body: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.body = body
        self.loss = loss

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.loss(self.body, x)


def square(output: Any) -> torch.Tensor:
    return (output[0] if isinstance(output, tuple) else output).float().pow(2).mean()


def plain(body: Any, x: torch.Tensor) -> torch.Tensor:
    return square(body(x))


def tokens_of(x: torch.Tensor) -> torch.Tensor:
    return (x.abs() * 10).long().clamp(max=19)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8))


def train(make: Callable[[], Model], stage: int, evaluates: bool) -> list[float]:
    torch.manual_seed(0)
    settings = config(stage, optimizer={"type": "AdamW", "params": {"lr": 1e-2}})
    settings["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    engine = initialize(make(), settings)
    numbers = []
    for step in range(3):
        torch.manual_seed(step * 10 + dist.get_rank())
        x = torch.randn(4, 6, 8)
        loss = engine(x)
        engine.backward(loss)
        engine.step()
        numbers += [loss.item(), engine.get_global_grad_norm()]
    engine.eval()
    if evaluates:
        with torch.no_grad():
            numbers.append(engine(x).item())
        with torch.inference_mode():
            numbers.append(engine(x).item())
    engine.destroy()
    return numbers


def assert_same(models: dict[str, Callable[[], Model]], evaluates: bool = True) -> None:
    for name, make in models.items():
        assert train(make, 3, evaluates) == train(make, 2, evaluates), name


def of(body: Callable[[], nn.Module], loss: Loss = plain) -> Callable[[], Model]:
    return lambda: Model(body(), loss)


def case_torchs_own_modules() -> None:
    layer = lambda: nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)  # noqa: E731
    assert_same(
        {
            "lstm": of(lambda: nn.LSTM(8, 16, 2, batch_first=True, bidirectional=True)),
            "gru": of(lambda: nn.GRU(8, 16)),
            "attention": of(lambda: nn.MultiheadAttention(8, 2, batch_first=True), lambda b, x: square(b(x, x, x))),
            "transformer": of(lambda: nn.TransformerEncoder(layer(), 2, enable_nested_tensor=False)),
            "convolution": of(
                lambda: nn.Sequential(nn.Unflatten(0, (-1, 1)), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
            ),
            "embedding bag": of(lambda: nn.EmbeddingBag(20, 8), lambda b, x: square(b(tokens_of(x).flatten(1)))),
            "max norm": of(lambda: nn.Embedding(20, 8, max_norm=0.5), lambda b, x: square(b(tokens_of(x)))),
            "sparse": of(lambda: nn.Embedding(20, 8, sparse=True), lambda b, x: square(b(tokens_of(x)))),
        }
    )


def case_parametrized_weights() -> None:
    of_linear = lambda change: of(lambda: change(nn.Linear(8, 8)))  # noqa: E731
    assert_same(
        {
            "weight norm": of_linear(nn.utils.parametrizations.weight_norm),
            "spectral norm": of_linear(nn.utils.parametrizations.spectral_norm),
            "orthogonal": of_linear(nn.utils.parametrizations.orthogonal),
        }
    )


class Lists(nn.Module):
    """Parameters in containers, and a 0-dim one."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.ParameterList([nn.Parameter(torch.randn(8, 8) * 0.1) for _ in range(3)])
        self.named = nn.ParameterDict({"a": nn.Parameter(torch.randn(8)), "s": nn.Parameter(torch.tensor(0.5))})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for item in self.items:
            x = x @ item.t() + self.named["a"]
        return x * self.named["s"]


def views(body: Any, x: torch.Tensor) -> torch.Tensor:
    first, second = body.weight.chunk(2)
    flat = body.weight.view(-1)[:8]
    return square(x @ body.weight[:4].t().contiguous()) + (flat * x).sum() * 1e-2 + square(x @ first.t()) + second.sum()


def indexed(body: Any, x: torch.Tensor) -> torch.Tensor:
    mask = body.weight > 0
    return (
        square(x @ torch.where(mask, body.weight, -body.weight)) + body.weight[mask].sum() + body.weight[[0, 1]].max()
    )


def clamped(body: Any, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        body.weight.clamp_(-0.2, 0.2)
    return plain(body, x)


def functional(body: Any, x: torch.Tensor) -> torch.Tensor:
    doubled = {name: parameter * 2 for name, parameter in body.named_parameters()}
    return square(torch.func.functional_call(body, doubled, (x,)))


def in_autocast(body: Any, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return plain(body, x)


def in_a_thread(body: Any, x: torch.Tensor) -> torch.Tensor:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(plain, body, x).result()


def case_parameters_used_without_their_module() -> None:
    linear = lambda: nn.Linear(8, 8)  # noqa: E731
    assert_same(
        {
            "containers": of(Lists),
            "views": of(linear, views),
            "indices": of(linear, indexed),
            "written in forward": of(linear, clamped),
            "einsum": of(linear, lambda b, x: square(torch.einsum("bsi,oi->bso", x, b.weight) + b.bias)),
            "functional call": of(linear, functional),
            "autocast": of(mlp, in_autocast),
            "a thread": of(mlp, in_a_thread),
        }
    )


def penalty_of_inputs(body: Any, x: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    output = body(x)
    (gradient,) = torch.autograd.grad(output.sum(), x, create_graph=True)
    return square(output) + gradient.norm()


def penalty_of_parameters(body: Any, x: torch.Tensor) -> torch.Tensor:
    loss = plain(body, x)
    gradients = torch.autograd.grad(loss, list(body.parameters()), create_graph=True)
    return loss + sum(gradient.pow(2).sum() for gradient in gradients)


class Saving(torch.autograd.Function):
    """Keeps the weight itself for backward."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return x @ weight.t()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, weight = ctx.saved_tensors
        return gradients[0] @ weight, torch.einsum("bso,bsi->oi", gradients[0], x)


def on_cpu(body: Any, x: torch.Tensor) -> torch.Tensor:
    with torch.autograd.graph.save_on_cpu():
        return plain(body, x)


def case_derivatives_of_every_kind() -> None:
    assert_same({"of inputs": of(mlp, penalty_of_inputs), "of parameters": of(mlp, penalty_of_parameters)}, False)
    linear = lambda: nn.Linear(8, 8, bias=False)  # noqa: E731
    assert_same(
        {
            "a function of one's own": of(linear, lambda b, x: square(Saving.apply(x, b.weight))),
            "saved elsewhere": of(mlp, on_cpu),
            "per sample": of(linear, lambda b, x: square(torch.vmap(lambda row: F.linear(row, b.weight))(x))),
            "forward mode": of(mlp, lambda b, x: square(torch.func.jvp(b, (x,), (torch.ones_like(x),))[1])),
        }
    )


def case_a_first_touch_inside_a_transform_or_a_trace() -> None:
    """What gathers the weights is no part of the transform."""
    x = torch.randn(4, 8)
    for use in (
        lambda net: torch.func.jvp(net, (x,), (torch.ones_like(x),))[1],
        lambda net: torch.func.grad(lambda x: net(x).sum())(x),
        lambda net: torch.func.hessian(lambda x: net(x).pow(2).sum())(x),
        lambda net: torch.jit.trace(net, x)(x),
    ):
        torch.manual_seed(0)
        net = mlp()
        expected = use(net)
        settings = config(3, optimizer={"type": "AdamW", "params": {"lr": 1e-2}})
        settings["zero_optimization"]["stage3_param_persistence_threshold"] = 0
        engine = initialize(net, settings)
        torch.testing.assert_close(use(net), expected)
        engine.destroy()


def case_models_are_pickled_and_copied_whole() -> None:
    for stage, threshold in ((0, 0), (2, 0), (3, 0), (3, 100_000)):  # whole beyond the threshold
        torch.manual_seed(0)
        net = mlp()
        net[0].bias.no_weight_decay = True
        expected = {name: value.clone() for name, value in net.state_dict().items()}
        settings = config(stage, optimizer={"type": "AdamW", "params": {"lr": 1e-2}})
        settings["zero_optimization"]["stage3_param_persistence_threshold"] = threshold
        engine = initialize(net, settings)
        net[2].weight.requires_grad_(False)
        file = io.BytesIO()
        torch.save(net, file)
        assert b"deepspeed" not in file.getvalue()  # loads where we are not installed
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        assert [vars(each) for each in loaded.parameters()] == [{}, {"no_weight_decay": True}, {}, {}], stage
        for other in (loaded, copy.deepcopy(net)):
            assert all(torch.equal(value, expected[name]) for name, value in other.state_dict().items()), stage
            assert not other[2].weight.requires_grad and other[0].weight.requires_grad
            other(torch.ones(2, 8)).sum().backward()  # tells the engine nothing
            assert other[0].weight.grad is not None
        net[2].weight.requires_grad_(True)
        loss = engine(torch.ones(2, 8)).pow(2).mean()
        copy.deepcopy(net)(torch.ones(2, 8))
        engine.backward(loss)
        engine.step()
        engine.destroy()


def case_parameters_that_come_late_are_named() -> None:
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    for stage in (0, 3):
        messages.clear()
        net = nn.Sequential(mlp(), nn.Linear(8, 8))
        engine = initialize(net, config(stage, optimizer={"type": "AdamW", "params": {"lr": 1e-2}}))
        messages.clear()
        net[1].weight = net[1].weight
        assert not messages
        net[1].bias = nn.Parameter(torch.zeros(8))
        net[0].append(nn.Linear(8, 8))
        assert len(messages) == 2 and "1.bias" in messages[0], messages
        assert "0.3.weight, 0.3.bias" in messages[1], messages
        engine.destroy()
        net[1].bias = nn.Parameter(torch.zeros(8))
        assert len(messages) == 2
    logger.removeHandler(handler)


def case_torchscript_trains_and_stage_three_refuses_it() -> None:
    make = lambda: nn.Sequential(torch.jit.script(mlp()), nn.Linear(8, 8))  # noqa: E731
    engine = initialize(make(), config(2, optimizer={"type": "AdamW", "params": {"lr": 1e-2}}))
    engine.backward(engine(torch.ones(2, 8)).pow(2).mean())
    engine.step()
    engine.destroy()
    settings = config(3, optimizer={"type": "AdamW", "params": {"lr": 1e-2}})
    assert "module 0 is TorchScript" in message(lambda: initialize(make(), settings), ValueError)


run_cases(globals())

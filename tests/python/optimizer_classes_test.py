"""ops/*: the optimizer classes used alone, against torch's."""

from __future__ import annotations

import copy
from typing import Any, Callable

import pytest
import torch

from deepspeed.ops.adagrad import DeepSpeedCPUAdagrad
from deepspeed.ops.adam import DeepSpeedCPUAdam, FusedAdam
from deepspeed.ops.lamb import FusedLamb
from deepspeed.ops.lion import DeepSpeedCPULion, FusedLion


def train(make: Callable[[list[torch.nn.Parameter]], Any], num_steps: int = 4) -> torch.Tensor:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(5, 3))
    optimizer = make([weight])
    for step in range(num_steps):
        weight.grad = torch.sin(weight.detach() * (step + 1))
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [
        (lambda p: FusedAdam(p, lr=0.1, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1)),
        (
            lambda p: FusedAdam(p, lr=0.1, weight_decay=0.1, adam_w_mode=False),
            lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.1),
        ),
        (
            lambda p: DeepSpeedCPUAdam(p, lr=0.1, betas=(0.8, 0.9), adamw_mode=False),
            lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.9)),
        ),
        (
            lambda p: DeepSpeedCPUAdagrad(p, lr=0.1, weight_decay=0.1),
            lambda p: torch.optim.Adagrad(p, lr=0.1, weight_decay=0.1),
        ),
    ],
)
def test_a_step_alone_is_torchs(ours: Callable[..., Any], torchs: Callable[..., Any]) -> None:
    torch.testing.assert_close(train(ours), train(torchs), rtol=1e-5, atol=1e-6)


KINDS: dict[str, Callable[[Any], Any]] = {
    "adamw": lambda p: DeepSpeedCPUAdam(p, lr=0.1, weight_decay=0.1),
    "adam": lambda p: DeepSpeedCPUAdam(p, lr=0.1, weight_decay=0.1, adamw_mode=False),
    "adam without correction": lambda p: FusedAdam(p, lr=0.1, bias_correction=False),
    "adagrad": lambda p: DeepSpeedCPUAdagrad(p, lr=0.1, weight_decay=0.1),
    "lion": lambda p: DeepSpeedCPULion(p, lr=torch.tensor(0.1), betas=(0.8, 0.9), weight_decay=0.1),
    "lamb": lambda p: FusedLamb(p, lr=0.1, weight_decay=0.1, max_coeff=3.0, eps_inside_sqrt=True),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_the_kernel_steps_as_torch_does(kind: str, dtype: torch.dtype) -> None:
    whole = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    dense = torch.nn.Parameter(whole.clone())
    columns = torch.nn.Parameter(whole.repeat_interleave(2, dim=1)[:, ::2])  # not contiguous: no kernel for it
    optimizers = [KINDS[kind]([parameter]) for parameter in (dense, columns)]
    tolerance = 1e-5 if dtype == torch.float32 else 4 * torch.finfo(dtype).eps
    for step in range(4):
        gradient = torch.cos(whole * (step + 1))
        for parameter, optimizer in zip((dense, columns), optimizers, strict=True):
            parameter.grad = gradient.clone() if parameter is dense else gradient.repeat_interleave(2, dim=1)[:, ::2]
            optimizer.step()
            assert optimizer.state[parameter]["step"] == step + 1
    first, second = (optimizer.state[p] for optimizer, p in zip(optimizers, (dense, columns), strict=True))
    torch.testing.assert_close(dense.detach(), columns.detach(), rtol=tolerance, atol=tolerance)
    assert set(first) == set(second)
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=max(tolerance, 1e-5), atol=max(tolerance, 1e-6))
    assert dense.dtype == dtype and all(each.dtype == torch.float32 for each in first.values() if torch.is_tensor(each))


def test_a_step_between_forward_and_backward_is_an_error() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = DeepSpeedCPUAdam([weight], lr=0.1)
    loss = (weight * weight).sum()
    weight.grad = torch.ones(3)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_lion_moves_by_the_sign() -> None:
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = FusedLion([weight], lr=0.1, betas=(0.5, 0.75))
    weight.grad = torch.tensor([4.0, -2.0, 0.0])
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([-0.1, 0.1, 0.0]))
    torch.testing.assert_close(optimizer.state[weight]["exp_avg"], torch.tensor([1.0, -0.5, 0.0]))
    assert torch.equal(train(lambda p: FusedLion(p)), train(lambda p: DeepSpeedCPULion(p)))


def test_lamb_scales_by_the_ratio_of_norms() -> None:
    weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = FusedLamb([weight], lr=0.1, eps=0.0, bias_correction=False, betas=(0.0, 0.0))
    weight.grad = torch.tensor([1.0, -2.0])
    optimizer.step()
    ratio = 5.0 / 2**0.5  # the direction is the gradient's sign
    assert optimizer.get_lamb_coeffs() == pytest.approx([ratio])
    torch.testing.assert_close(weight.detach(), torch.tensor([3.0 - 0.1 * ratio, 4.0 + 0.1 * ratio]))


def test_the_group_dicts_stay_the_callers_own() -> None:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.5}]
    optimizer = DeepSpeedCPUAdam(groups, lr=0.1)
    assert optimizer.param_groups[0] is groups[0]
    assert groups[0]["lr"] == 0.5 and groups[0]["weight_decay"] == 0


def test_moments_are_fp32_unless_asked_otherwise() -> None:
    for fp32, dtype in ((True, torch.float32), (False, torch.bfloat16)):
        weight = torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
        optimizer = DeepSpeedCPUAdam([weight], fp32_optimizer_states=fp32)
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        assert optimizer.state[weight]["exp_avg"].dtype == dtype and optimizer.state[weight]["step"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_optimizer_goes_on_with_the_bits_of_one_that_was_not_stopped(kind: str) -> None:
    def gradient(step: int) -> torch.Tensor:
        return torch.cos(torch.arange(35.0) * (step + 1)).to(torch.bfloat16)

    weight = torch.nn.Parameter(torch.linspace(-1, 1, 35).to(torch.bfloat16))
    optimizer = KINDS[kind]([weight])
    for step in range(2):
        weight.grad = gradient(step)
        optimizer.step()
    resumed = torch.nn.Parameter(weight.detach().clone())
    restored = KINDS[kind]([resumed])
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for step in range(2, 4):
        for parameter, each in ((weight, optimizer), (resumed, restored)):
            parameter.grad = gradient(step)
            each.step()
    assert torch.equal(weight, resumed)
    for name, value in optimizer.state[weight].items():
        assert not torch.is_tensor(value) or torch.equal(value, restored.state[resumed][name]), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("contiguous", [True, False])
def test_zero_gradients_leave_fp16_weights_finite(kind: str, contiguous: bool) -> None:
    whole = torch.ones(6, 4, dtype=torch.float16)
    weight = torch.nn.Parameter(whole if contiguous else whole[:, ::2])
    optimizer = KINDS[kind]([weight])
    for _ in range(2):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    assert weight.isfinite().all()


@pytest.mark.parametrize("decoupled", [True, False])
def test_states_of_the_parameters_own_dtype_step_as_torchs(decoupled: bool) -> None:
    torchs: Any = torch.optim.AdamW if decoupled else torch.optim.Adam
    expected = train(lambda p: torchs(p, lr=0.1, weight_decay=0.5))
    got = train(
        lambda p: DeepSpeedCPUAdam(p, lr=0.1, weight_decay=0.5, adamw_mode=decoupled, fp32_optimizer_states=False)
    )
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_double_parameters_keep_their_digits(kind: str) -> None:
    weight = torch.nn.Parameter(torch.linspace(-1, 1, 9, dtype=torch.float64))
    optimizer = KINDS[kind]([weight])
    weight.grad = torch.full_like(weight, 1 / 3)
    optimizer.step()
    assert all(value.dtype == torch.float64 for value in optimizer.state[weight].values() if torch.is_tensor(value))
    assert weight.isfinite().all()


def test_a_copy_is_of_the_same_mode() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    copied = copy.deepcopy(FusedAdam([weight], adam_w_mode=False, set_grad_none=False))
    assert copied.adam_w_mode is False and copied.set_grad_none is False
    copied.param_groups[0]["params"][0].grad = torch.ones(3)
    copied.step()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda p: FusedAdam(p, betas=(1.0, 0.999)), "betas"),
        (lambda p: FusedLamb(p, min_coeff=2.0, max_coeff=1.0), "min_coeff"),
        (lambda p: DeepSpeedCPUAdagrad(p, lr=-0.1), "lr"),
        (lambda p: DeepSpeedCPUAdam([{"params": p, "amsgrad": True}]), "amsgrad"),
        (lambda p: DeepSpeedCPULion([{"params": p, "weight_decay": -1}]), "weight_decay"),
    ],
)
def test_numbers_that_cannot_be_are_named(make: Callable[..., Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: got"):
        make([torch.nn.Parameter(torch.zeros(1))])


@pytest.mark.parametrize("make", [FusedAdam, DeepSpeedCPUAdam, DeepSpeedCPUAdagrad, FusedLamb])
def test_amsgrad_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="amsgrad"):
        make([torch.nn.Parameter(torch.zeros(1))], amsgrad=True)

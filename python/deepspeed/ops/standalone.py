"""One step of each optimizer on whole tensors, for use outside the engine: by its kernels on the CPU, else by torch.

State is created on first use, of `state_dtype`; `step` is an int.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from deepspeed import _C

Update = Callable[[Tensor, Tensor, dict[str, Any], dict[str, Any]], None]
"""Changes a parameter, given its gradient (of the state's dtype), its state and its group."""


def state_dtype(parameter: Tensor, fp32_states: bool) -> torch.dtype:
    """fp32, or the parameter's own dtype where that is wider or `fp32_states` is False."""
    return torch.promote_types(parameter.dtype, torch.float32) if fp32_states else parameter.dtype


@torch.no_grad()
def step(
    optimizer: Optimizer, kind: str, moments: tuple[str, ...], fp32_states: bool, flags: dict[str, float], update: Update
) -> None:
    """Updates every parameter that has a gradient: by the engine's kernel `kind` with the group's numbers and `flags`
    where it takes these tensors, else by `update`. `moments` are the state tensors to start from zero."""
    for group in optimizer.param_groups:
        numbers = {**_numbers(group), **flags}
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = optimizer.state[parameter]
            dtype = state_dtype(parameter, fp32_states)
            if not state:
                state["step"] = 0
                for name in moments:
                    state[name] = torch.zeros_like(parameter, dtype=dtype, memory_format=torch.preserve_format)
            state["step"] += 1
            states = [state[name] for name in moments]
            if _C.can_step_alone(parameter, parameter.grad, states):
                ratio = _C.step_alone(kind, parameter, parameter.grad, states, numbers, state["step"])
                if kind == "lamb":
                    state["lamb_coeff"] = ratio
            else:
                update(parameter, parameter.grad.to(dtype), state, group)


def _numbers(group: dict[str, Any]) -> dict[str, float]:
    found = {name: float(value) for name, value in group.items() if isinstance(value, Real) or _is_scalar(value)}
    if "betas" in group:
        found["beta1"], found["beta2"] = map(float, group["betas"])
    return found


def _is_scalar(value: Any) -> bool:
    return isinstance(value, Tensor) and value.numel() == 1


def adam(decoupled: bool) -> Update:
    """AdamW where `decoupled`, else Adam with the decay in the gradient."""

    def update(parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        lr, decay = group["lr"], group["weight_decay"]
        if group["bias_correction"] and _is_one_pass(parameter, grad, state):
            return _adam_in_one_pass(decoupled, parameter, grad, state, group)
        if decay and not decoupled:
            grad = grad.add(parameter, alpha=decay)
        if decay and decoupled:
            parameter.mul_(1 - lr * decay)
        state["exp_avg"].lerp_(grad, 1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        correction1, correction2 = _corrections(beta1, beta2, state["step"], group["bias_correction"])
        scale = _wide(state["exp_avg_sq"]).sqrt().div_(math.sqrt(correction2)).add_(group["eps"])
        parameter.add_(state["exp_avg"] / scale, alpha=-lr / correction1)

    return update


def _is_one_pass(parameter: Tensor, grad: Tensor, state: dict[str, Any]) -> bool:
    """Whether torch has a kernel for these that reads and writes each of them once."""
    tensors = (parameter, grad, state["exp_avg"], state["exp_avg_sq"])
    return parameter.is_floating_point() and all(
        tensor.layout == torch.strided and tensor.is_contiguous() and tensor.dtype == parameter.dtype
        for tensor in tensors
    )


def _adam_in_one_pass(
    decoupled: bool, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
) -> None:
    kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
    beta1, beta2 = group["betas"]
    number = torch.tensor(float(state["step"]), device=parameter.device)
    kernel(
        [parameter], [grad], [state["exp_avg"]], [state["exp_avg_sq"]], [], [number], lr=float(group["lr"]), beta1=beta1,
        beta2=beta2, weight_decay=group["weight_decay"], eps=group["eps"], amsgrad=False, maximize=False,
    )  # fmt: skip


def lion(parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """The sign of a mixture of momentum and gradient; the decay is decoupled."""
    beta1, beta2 = group["betas"]
    parameter.mul_(1 - group["lr"] * group["weight_decay"])
    parameter.add_(state["exp_avg"].lerp(grad, 1 - beta1).sign_().to(parameter.dtype), alpha=-group["lr"])
    state["exp_avg"].lerp_(grad, 1 - beta2)


def adagrad(parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """Divides by the root of the sum of all squared gradients."""
    if group["weight_decay"]:
        grad = grad.add(parameter, alpha=group["weight_decay"])
    state["exp_avg_sq"].addcmul_(grad, grad)
    scale = _wide(state["exp_avg_sq"]).sqrt().add_(group["eps"])
    parameter.add_(grad / scale, alpha=-group["lr"])


def lamb(parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """Adam's direction (bias corrected, You et al. 2019) times state["lamb_coeff"]: |parameter| / |direction|, clamped."""
    beta1, beta2 = group["betas"]
    state["exp_avg"].lerp_(grad, 1 - beta1)
    state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    correction1, correction2 = _corrections(beta1, beta2, state["step"], group["bias_correction"])
    corrected = state["exp_avg_sq"] / correction2
    scale = corrected.add(group["eps"]).sqrt_() if group["eps_inside_sqrt"] else corrected.sqrt().add_(group["eps"])
    direction = state["exp_avg"].div(scale).div_(correction1).add_(parameter, alpha=group["weight_decay"])
    weight_norm, direction_norm = parameter.norm().item(), direction.norm().item()
    coefficient = 1.0
    if weight_norm > 0 and direction_norm > 0:
        coefficient = min(max(weight_norm / direction_norm, group["min_coeff"]), group["max_coeff"])
    state["lamb_coeff"] = coefficient
    parameter.add_(direction.to(parameter.dtype), alpha=-group["lr"] * coefficient)


def _wide(tensor: Tensor) -> Tensor:
    """In fp32 at least: an eps of 1e-8 is 0 in fp16, and 0 / 0 would reach the weights."""
    return tensor.to(state_dtype(tensor, fp32_states=True))


def _corrections(beta1: float, beta2: float, num_steps: int, wanted: bool) -> tuple[float, float]:
    return (1 - beta1**num_steps, 1 - beta2**num_steps) if wanted else (1.0, 1.0)

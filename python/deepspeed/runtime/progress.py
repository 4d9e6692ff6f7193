"""How far training is, and with which numbers. The functions are methods of DeepSpeedEngine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine


def get_global_grad_norm(engine: DeepSpeedEngine) -> float | None:
    """The norm of the last step's gradients, before clipping."""
    return engine.core.global_grad_norm()


def train_batch_size(engine: DeepSpeedEngine) -> int:
    return engine.core.train_batch_size()


def train_micro_batch_size_per_gpu(engine: DeepSpeedEngine) -> int:
    return engine.core.train_micro_batch_size_per_gpu()


def gradient_accumulation_steps(engine: DeepSpeedEngine) -> int:
    return engine.core.gradient_accumulation_steps()


def get_batch_info(engine: DeepSpeedEngine) -> tuple[Any, Any, Any]:
    """The three methods themselves, as DeepSpeed has it."""
    return engine.train_batch_size, engine.train_micro_batch_size_per_gpu, engine.gradient_accumulation_steps


def set_train_batch_size(engine: DeepSpeedEngine, train_batch_size: int) -> None:
    """Changes gradient_accumulation_steps to fit; ValueError where it does not divide."""
    per_micro_step = engine.train_micro_batch_size_per_gpu() * engine.dp_world_size
    if train_batch_size % per_micro_step:
        raise ValueError(
            f"[deepspeed.engine] train_batch_size: got {train_batch_size}, expected a multiple of {per_micro_step}."
        )
    engine.core.set_gradient_accumulation_steps(train_batch_size // per_micro_step)


def get_lr(engine: DeepSpeedEngine) -> list[float]:
    return [float(group["lr"]) for group in engine.optimizer.param_groups] if engine.optimizer else []


def get_type(engine: DeepSpeedEngine) -> list[Any]:
    return [group.get("type") for group in engine.optimizer.param_groups] if engine.optimizer else []


def get_mom(engine: DeepSpeedEngine) -> list[Any]:
    """The momentum of SGD, the betas of all others, a group each."""
    momentum = engine.optimizer is not None and engine.optimizer.kernel == "sgd"
    key = "momentum" if momentum else "betas"
    return [group.get(key, 0.0) for group in engine.optimizer.param_groups] if engine.optimizer else []


def get_data_types(engine: DeepSpeedEngine) -> tuple[torch.dtype, torch.dtype]:
    """(what the module computes in, what gradients are accumulated in)."""
    accumulation = engine.config_value("data_types.grad_accum_dtype")
    return engine.compute_dtype or torch.float32, getattr(torch, accumulation) if accumulation else torch.float32


def memory(engine: DeepSpeedEngine) -> dict[str, float]:
    """Bytes that this rank holds by role, beside what the formula says."""
    return engine.core.memory()


def print_effective_config(engine: DeepSpeedEngine) -> None:
    """Prints every config value with its origin."""
    print(engine.core.effective_config())

"""How training goes, and with which numbers. The functions are methods of DeepSpeedEngine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from deepspeed.runtime.config_queries import torch_dtype
from deepspeed.utils.log import log_dist

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine


def global_steps(engine: DeepSpeedEngine) -> int:
    """Boundary steps so far, skipped ones included."""
    return engine.core.progress.global_steps


def global_samples(engine: DeepSpeedEngine) -> int:
    return engine.core.progress.global_samples


def micro_steps(engine: DeepSpeedEngine) -> int:
    return engine.core.progress.micro_steps


def skipped_steps(engine: DeepSpeedEngine) -> int:
    """Boundary steps that an overflow skipped."""
    return engine.core.progress.skipped_steps


def get_global_grad_norm(engine: DeepSpeedEngine) -> float | None:
    """The norm of the last step's gradients, before clipping."""
    return engine.core.global_grad_norm()


def get_lr(engine: DeepSpeedEngine) -> list[float]:
    return [float(group["lr"]) for group in engine.optimizer.param_groups] if engine.basic_optimizer else []


def get_type(engine: DeepSpeedEngine) -> list[Any]:
    return [group.get("type") for group in engine.optimizer.param_groups] if engine.basic_optimizer else []


def get_mom(engine: DeepSpeedEngine) -> list[Any]:
    """A group each: the momentum of SGD and RMSprop, the betas of all others."""
    if engine.basic_optimizer is None:
        return []
    first, second = ("momentum", "betas") if engine.optimizer.kernel == "sgd" else ("betas", "momentum")
    return [group.get(first, group.get(second, 0.0)) for group in engine.optimizer.param_groups]


def get_data_types(engine: DeepSpeedEngine) -> tuple[torch.dtype, torch.dtype]:
    """(what the module computes in, what gradients are accumulated in)."""
    accumulation = torch_dtype(engine.config_value("data_types.grad_accum_dtype"))
    return engine.compute_dtype or torch.float32, accumulation or torch.float32


def get_wall_clock_timers(engine: DeepSpeedEngine) -> dict[str, Any]:
    """The timers by name, as they are now: those that a script has put into `engine.timers`. The engine's own times are
    measured in C++, see `wall_clock_breakdown` and `trace`."""
    return dict(engine.timers.get_timers())


def report_progress(engine: DeepSpeedEngine) -> None:
    """A line every `steps_per_print` steps."""
    every = engine.steps_per_print()
    if every and engine.global_steps % int(every) == 0:
        log_dist(
            f"step={engine.global_steps}, skipped={engine.skipped_steps}, lr={engine.get_lr()}, mom={engine.get_mom()}",
            ranks=[0],
        )


def collectives(engine: DeepSpeedEngine) -> dict[str, int]:
    """How many collectives of whole units there were: `gathers` of parameters, how many of those an operator
    `waited_for`, `reductions` of gradients."""
    return engine.core.collectives()


def memory(engine: DeepSpeedEngine) -> dict[str, float]:
    """Bytes that this rank holds by role, beside what the formula says."""
    return engine.core.memory()


def print_effective_config(engine: DeepSpeedEngine) -> None:
    """Prints every config value with its origin."""
    print(engine.core.effective_config())

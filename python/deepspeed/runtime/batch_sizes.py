"""Batch sizes, and how they change while training. The functions are methods of DeepSpeedEngine.

train batch = micro batch x accumulation steps x ranks. The C++ engine knows the micro batch of the config; a later
one is `engine.micro_batch_size`, which only loaders and the count of samples depend on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine


def train_batch_size(engine: DeepSpeedEngine) -> int:
    """Samples a step, over all ranks."""
    return engine.micro_batch_size * engine.gradient_accumulation_steps() * engine.dp_world_size


def train_micro_batch_size_per_gpu(engine: DeepSpeedEngine) -> int:
    return engine.micro_batch_size


def gradient_accumulation_steps(engine: DeepSpeedEngine) -> int:
    return engine.core.gradient_accumulation_steps()


def get_batch_info(engine: DeepSpeedEngine) -> tuple[Any, Any, Any]:
    """The three methods themselves, as DeepSpeed has it."""
    return engine.train_batch_size, engine.train_micro_batch_size_per_gpu, engine.gradient_accumulation_steps


def set_train_batch_size(engine: DeepSpeedEngine, train_batch_size: int) -> None:
    """Changes gradient_accumulation_steps to fit; ValueError where it does not divide."""
    per_micro_step = engine.micro_batch_size * engine.dp_world_size
    if train_batch_size < 1 or train_batch_size % per_micro_step:
        raise ValueError(
            f"[deepspeed.engine] train_batch_size: got {train_batch_size}, expected a multiple of {per_micro_step}."
        )
    engine.core.set_gradient_accumulation_steps(train_batch_size // per_micro_step)
    engine.tput_timer.batch_size = engine.train_batch_size()


def set_train_micro_batch_size(engine: DeepSpeedEngine, micro_batch_size: int) -> None:
    """Keeps gradient_accumulation_steps, so the train batch changes too. Loaders that exist keep their size."""
    if micro_batch_size < 1:
        raise ValueError(f"[deepspeed.engine] micro_batch_size: got {micro_batch_size}, expected 1 or more.")
    engine.micro_batch_size = micro_batch_size
    engine.tput_timer.batch_size = engine.train_batch_size()


def count_samples(engine: DeepSpeedEngine) -> None:
    """After a boundary step, for which the C++ engine counted the config's train batch."""
    surplus = engine.train_batch_size() - engine.core.train_batch_size()
    if surplus:
        counts = engine.core.progress
        counts.global_samples += surplus
        engine.core.progress = counts

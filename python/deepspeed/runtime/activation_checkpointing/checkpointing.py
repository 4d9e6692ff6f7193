"""`deepspeed.checkpointing` over torch's own recomputation. Splitting and offloading activations come later."""

from __future__ import annotations

from typing import Any, Callable

from torch.utils.checkpoint import checkpoint as _torch_checkpoint

_is_configured = False


def checkpoint(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)`, whose activations are computed again in backward."""
    return _torch_checkpoint(function, *args, use_reentrant=True)


def non_reentrant_checkpoint(function: Callable[..., Any], *args: Any) -> Any:
    """As `checkpoint`, in torch's form that also works where no input needs a gradient."""
    return _torch_checkpoint(function, *args, use_reentrant=False)


def configure(
    mpu_: Any,
    deepspeed_config: Any = None,
    partition_activations: bool | None = None,
    contiguous_checkpointing: bool | None = None,
    num_checkpoints: int | None = None,
    checkpoint_in_cpu: bool | None = None,
    synchronize: bool | None = None,
    profile: bool | None = None,
) -> None:
    """Accepts the plain form. Raises NotImplementedError for options that have not landed."""
    global _is_configured
    wanted = {
        "partition_activations": partition_activations,
        "contiguous_checkpointing": contiguous_checkpointing,
        "checkpoint_in_cpu": checkpoint_in_cpu,
    }
    later = [name for name, value in wanted.items() if value]
    if later:
        raise NotImplementedError(f"[deepspeed.checkpointing.configure] {', '.join(later)}: not in this version yet.")
    _is_configured = True


def is_configured() -> bool:
    """Whether `configure` was called."""
    return _is_configured


def reset() -> None:
    """Nothing is kept between batches."""

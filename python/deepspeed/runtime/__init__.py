"""Training: the engine and what it is configured with."""

from deepspeed._lazy import submodules


class DeepSpeedOptimizer:
    """Base of the optimizers that `deepspeed.initialize` returns."""


class ZeROOptimizer(DeepSpeedOptimizer):
    """Base of those whose state is sharded."""


__getattr__ = submodules(
    __name__,
    ("activation_checkpointing", "client_state", "config", "dataloader", "engine", "lr_schedules", "utils", "zero"),
)

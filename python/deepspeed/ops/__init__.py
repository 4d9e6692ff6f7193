"""Optimizer classes under DeepSpeed's names. The engine runs its own kernels for them."""

from deepspeed._lazy import submodules

__compatible_ops__: dict[str, bool] = {}
"""Name of an optional extension -> whether this build has it; none is separate from the engine here."""

__getattr__ = submodules(__name__, ("adagrad", "adam", "lamb", "lion"))

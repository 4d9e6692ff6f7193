"""`deepspeed.zero`: what scripts use of ZeRO by name. No parameter is sharded before stage 3 lands."""

from __future__ import annotations

import enum
from types import TracebackType
from typing import Any

from torch import Tensor, nn

__all__ = [
    "GatheredParameters",
    "Init",
    "ZeRORuntimeException",
    "ZeroParamStatus",
    "ZeroParamType",
    "is_zero_param",
    "register_external_parameter",
    "unregister_external_parameter",
]


class ZeroParamType(enum.Enum):
    """Who takes care of a parameter."""

    NORMAL = 1
    PARTITIONED = 2
    REMOTE = 3


class ZeroParamStatus(enum.Enum):
    """Whether a sharded parameter's whole value is here."""

    AVAILABLE = 1
    NOT_AVAILABLE = 2
    INFLIGHT = 3


class ZeRORuntimeException(RuntimeError):  # noqa: N818 (DeepSpeed's name)
    """ZeRO was used in a way that cannot work."""


def is_zero_param(parameter: object) -> bool:
    """Whether this is a sharded parameter."""
    return hasattr(parameter, "ds_id")


class Init:
    """Sharded construction, which belongs to stage 3: entering it raises NotImplementedError unless `enabled=False`."""

    def __init__(self, module: nn.Module | None = None, *args: Any, enabled: bool = True, **kwargs: Any) -> None:
        self._enabled = enabled
        if enabled and module is not None:
            self.__enter__()

    def __enter__(self) -> Init:
        if self._enabled:
            raise NotImplementedError(
                "[deepspeed.zero.Init] ZeRO-3 has not landed in this version. Use zero_optimization.stage 0, 1 or 2."
            )
        return self

    def __exit__(self, *_: Any) -> None:
        pass


class GatheredParameters:
    """Whole values of sharded parameters. Ordinary ones are whole already, and None and plain tensors are passed over.

    Raises NotImplementedError for a sharded parameter.
    """

    def __init__(
        self, params: Any, modifier_rank: int | None = None, fwd_module: nn.Module | None = None, enabled: bool = True
    ) -> None:
        listed = [params] if isinstance(params, Tensor) or params is None else list(params)
        if enabled and any(is_zero_param(each) for each in listed):
            raise NotImplementedError("[deepspeed.zero.GatheredParameters] ZeRO-3 has not landed in this version.")

    def __enter__(self) -> GatheredParameters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def register_external_parameter(module: nn.Module, parameter: nn.Parameter) -> None:
    """Says that `module`'s forward uses a parameter that another module owns. Matters to sharded parameters only."""
    if not isinstance(parameter, nn.Parameter):
        raise TypeError(f"[deepspeed.zero] parameter: got a {type(parameter).__name__}, expected a torch.nn.Parameter.")


def unregister_external_parameter(module: nn.Module, parameter: nn.Parameter) -> None:
    """Takes `register_external_parameter` back."""
    register_external_parameter(module, parameter)

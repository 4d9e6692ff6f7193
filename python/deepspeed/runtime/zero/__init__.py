"""`deepspeed.zero`: sharded parameters (ZeRO stage 3) as scripts use them by name."""

from __future__ import annotations

from torch import nn

from deepspeed.runtime.zero.construction_context import Init
from deepspeed.runtime.zero.gathered_parameters import GatheredParameters
from deepspeed.runtime.zero.parameter_attributes import ZeroParamStatus, ZeroParamType, is_zero_param
from deepspeed.runtime.zero.pretrained import load_pretrained

__all__ = [
    "GatheredParameters",
    "Init",
    "ZeRORuntimeException",
    "ZeroParamStatus",
    "ZeroParamType",
    "is_zero_param",
    "load_pretrained",
    "register_external_parameter",
    "unregister_external_parameter",
]


class ZeRORuntimeException(RuntimeError):  # noqa: N818 (DeepSpeed's name)
    """ZeRO was used in a way that cannot work."""


def register_external_parameter(module: nn.Module, parameter: nn.Parameter) -> None:
    """Says that `module`'s forward uses a parameter that another module owns. Nobody needs to be told here: a sharded
    parameter is gathered when an operator touches it, wherever that is."""
    if not isinstance(parameter, nn.Parameter):
        raise TypeError(f"[deepspeed.zero] parameter: got a {type(parameter).__name__}, expected a torch.nn.Parameter.")


def unregister_external_parameter(module: nn.Module, parameter: nn.Parameter) -> None:
    """Takes `register_external_parameter` back."""
    register_external_parameter(module, parameter)

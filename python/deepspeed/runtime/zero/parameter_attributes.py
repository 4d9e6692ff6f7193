"""The `ds_*` attributes that outside code reads on sharded parameters."""

from __future__ import annotations

import enum
import functools
import itertools
import weakref
from collections import OrderedDict
from typing import Any, Iterable

import torch
from torch import nn

_next_id = itertools.count()
_READ = ("ds_id", "ds_shape", "ds_numel", "ds_status", "ds_param_type", "ds_persist", "ds_active_sub_modules")
_OURS = (*_READ, "__reduce_ex__")


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


def is_zero_param(parameter: object) -> bool:
    """Whether this is a sharded parameter."""
    return hasattr(parameter, "ds_id")


def mark_sharded(parameters: Iterable[nn.Parameter]) -> None:
    """Sets the attributes of what has become sharded; an id, once given, stays."""
    for parameter in parameters:
        _mark(parameter, ZeroParamStatus.NOT_AVAILABLE, is_whole=False)


def mark_whole(parameters: Iterable[nn.Parameter]) -> None:
    """The same for what stays whole on every rank at stage 3."""
    for parameter in parameters:
        _mark(parameter, ZeroParamStatus.AVAILABLE, is_whole=True)


def _mark(parameter: nn.Parameter, status: ZeroParamStatus, is_whole: bool) -> None:
    parameter.ds_id = parameter.ds_id if is_zero_param(parameter) else next(_next_id)
    parameter.ds_shape, parameter.ds_numel = parameter.shape, parameter.numel()
    parameter.ds_status, parameter.ds_param_type = status, ZeroParamType.PARTITIONED
    parameter.ds_persist, parameter.ds_active_sub_modules = is_whole, set()
    parameter.__reduce_ex__ = functools.partial(_reduce, weakref.proxy(parameter))  # type: ignore[method-assign]


def _reduce(parameter: nn.Parameter, protocol: int) -> tuple[Any, ...]:
    """Pickles (torch.save of a model) hold the whole value, as an ordinary parameter on the CPU with the attributes that
    others gave it: they load where this package is not installed. Collective."""
    whole = parameter.detach().to("cpu", copy=True)
    ordinary = whole, parameter.requires_grad, OrderedDict[Any, Any]()
    others = {name: value for name, value in vars(parameter).items() if name not in _OURS}
    if not others:
        return torch._utils._rebuild_parameter, ordinary
    return torch._utils._rebuild_parameter_with_state, (*ordinary, others)


def unmark(parameters: Iterable[nn.Parameter]) -> None:
    """Takes the attributes off what is ordinary again."""
    for parameter in parameters:
        for name in _OURS:
            parameter.__dict__.pop(name, None)

"""Whole values of sharded parameters, for as long as a `with` lasts."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from torch import Tensor, nn

from deepspeed.runtime.zero.parameter_attributes import ZeroParamStatus


class GatheredParameters:
    """Inside, the given sharded parameters are ordinary tensors with buffers of their own. On leaving, rank
    `modifier_rank`'s values go to all; without it every rank keeps what it wrote itself. Every rank enters and leaves.

    `params` is a tensor or any iterable, sets included, whose order differs between ranks; None, plain tensors and
    repetitions in it are passed over, and a view of a parameter (what `state_dict()` has) stands for the parameter.
    """

    def __init__(
        self, params: Any, modifier_rank: int | None = None, fwd_module: nn.Module | None = None, enabled: bool = True
    ) -> None:
        from deepspeed import _C

        listed = [params] if isinstance(params, Tensor) or params is None else list(params)
        sharded = [_C.parameter_of(each) for each in listed if isinstance(each, Tensor) and _C.is_sharded(each)]
        distinct: dict[int, Any] = {id(each): each for each in sharded}
        self._parameters = sorted(distinct.values(), key=lambda each: each.ds_id) if enabled else []
        self._gathered: list[Any] = []
        self._root = -1 if modifier_rank is None else modifier_rank

    def __enter__(self) -> GatheredParameters:
        if self._parameters:
            from deepspeed import _C

            _C.hold(self._parameters)
            self._gathered = [each for each in self._parameters if each.ds_status is not ZeroParamStatus.AVAILABLE]
            self._set_status(ZeroParamStatus.AVAILABLE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._parameters:
            from deepspeed import _C

            # After an error there is nothing worth sending, and the other ranks may not come here.
            _C.let_go(self._parameters, self._root if error is None else -1)
            self._set_status(ZeroParamStatus.NOT_AVAILABLE)

    def _set_status(self, status: ZeroParamStatus) -> None:
        for parameter in self._gathered:  # not those of a context around this one
            parameter.ds_status = status

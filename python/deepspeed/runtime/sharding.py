"""What an engine adds to a module at ZeRO stage 3, and takes off again."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import nn

from deepspeed import _C
from deepspeed.runtime.zero import construction_context, sharded_state_dict
from deepspeed.runtime.zero.parameter_attributes import mark_sharded, mark_whole, unmark
from deepspeed.runtime.zero.parameter_offload import DeepSpeedZeRoOffload


def has_sharded(module: nn.Module) -> bool:
    """Whether `module` was built under `zero.Init`, in part at least."""
    return any(_C.is_sharded(parameter) for parameter in module.parameters())


def check(module: nn.Module, stage: int) -> None:
    """Raises ValueError that names a module which cannot be sharded: TorchScript keeps no hooks and fuses kernels that
    take raw pointers."""
    for path, each in module.named_modules() if stage == 3 else ():
        if isinstance(each, torch.jit.ScriptModule) and next(each.parameters(), None) is not None:
            raise ValueError(
                f"[deepspeed.zero] module {path or 'model'} is TorchScript, which stage 3 cannot shard. Use stage 2, or "
                "the module before torch.jit.script."
            )


class Sharding:
    """Attributes of parameters, whole state dicts; made once the C++ engine has the module."""

    def __init__(self, module: nn.Module, stage: int) -> None:
        self._parameters = list(module.parameters())
        unmark(parameter for parameter in self._parameters if not _C.is_sharded(parameter))
        self.parameter_offload = DeepSpeedZeRoOffload(module) if stage == 3 else None
        if stage == 3:
            mark_sharded(parameter for parameter in self._parameters if _C.is_sharded(parameter))
            mark_whole(parameter for parameter in self._parameters if not _C.is_sharded(parameter))
        self._hooks: list[Any] = sharded_state_dict.attach(module)
        self._remove_hooks = weakref.finalize(self, _remove_all, self._hooks)
        construction_context.sweep()

    def detach(self) -> None:
        """The parameters are ordinary again, but those that another engine has taken over."""
        unmark(parameter for parameter in self._parameters if not _C.is_sharded(parameter))
        if self.parameter_offload is not None:
            self.parameter_offload.detach()
        self._remove_hooks()


def _remove_all(hooks: list[Any]) -> None:
    while hooks:
        hooks.pop().remove()

"""What an engine adds to a module whose parameters it sharded (ZeRO stage 3), and takes off again."""

from __future__ import annotations

from typing import Any

from torch import nn

from deepspeed import _C
from deepspeed.runtime.zero import construction_context, sharded_state_dict
from deepspeed.runtime.zero.parameter_attributes import mark_sharded, unmark


def has_sharded(module: nn.Module) -> bool:
    """Whether `module` was built under `zero.Init`, in part at least."""
    return any(_C.is_sharded(parameter) for parameter in module.parameters())


class Sharding:
    """Attributes of sharded parameters, whole state dicts; made once the C++ engine has the module."""

    def __init__(self, module: nn.Module) -> None:
        self._parameters = [parameter for parameter in module.parameters() if _C.is_sharded(parameter)]
        mark_sharded(self._parameters)
        unmark(parameter for parameter in module.parameters() if not _C.is_sharded(parameter))
        self._hooks: list[Any] = sharded_state_dict.attach(module)
        construction_context.sweep()

    def detach(self) -> None:
        """The parameters are ordinary again."""
        unmark(self._parameters)
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

"""Says when a model that an engine trains gets parameters that it does not know."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any

from torch import nn
from torch.nn.modules import module as registration

from deepspeed.utils.log import logger


class StructureWatch:
    """From here on a parameter or module that is put into `model`, in another's place or new, is warned of by name: no
    optimizer has it. Costs nothing in a step; other models are not looked at."""

    def __init__(self, model: nn.Module) -> None:
        self._paths = weakref.WeakKeyDictionary({module: path for path, module in model.named_modules()})
        self._known = {id(parameter): weakref.ref(parameter) for parameter in model.parameters()}
        this = weakref.proxy(self)
        self._hooks = [
            registration.register_module_parameter_registration_hook(lambda *what: _tell(this, *what)),
            registration.register_module_module_registration_hook(lambda *what: _tell(this, *what)),
        ]
        self.detach = weakref.finalize(self, _remove_all, self._hooks)  # looks no more; also when the engine is dropped
        self.detach.atexit = False

    def registered(self, owner: nn.Module, name: str, child: Any) -> None:
        """`child`, a parameter, a module or None, is becoming `owner.name`."""
        if child is None or owner not in self._paths:
            return
        path = ".".join(filter(None, [self._paths[owner], name]))
        inside = dict(child.named_parameters(prefix=path)) if isinstance(child, nn.Module) else {path: child}
        unknown = [each for each, parameter in inside.items() if not self._knows(parameter)]
        if unknown:
            logger.warning(
                "[deepspeed.engine] %s came into the model after deepspeed.initialize: the engine does not train %s. "
                "Change the model first and call initialize after.",
                ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else ""),
                "it" if len(unknown) == 1 else "them",
            )

    def _knows(self, parameter: nn.Parameter) -> bool:
        known = self._known.get(id(parameter))
        return known is not None and known() is parameter


def _remove_all(hooks: list[Any]) -> None:
    for hook in hooks:
        hook.remove()


def _tell(watch: Any, owner: nn.Module, name: str, child: Any) -> None:
    with contextlib.suppress(ReferenceError):  # the engine is going
        watch.registered(owner, name, child)

"""Modules built without memory for their parameters: those are on the meta device, buffers are real."""

from __future__ import annotations

import contextlib
from typing import Iterator

import torch
from torch import nn
from torch.utils.weak import WeakIdKeyDictionary


@contextlib.contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Inside, a parameter that a module registers is replaced by one on meta, so that initializing it costs nothing
    and one at most is in memory. A parameter that is registered twice stays one."""
    register = nn.Module.register_parameter
    made = WeakIdKeyDictionary()

    def register_on_meta(self: nn.Module, name: str, param: nn.Parameter | None) -> None:
        register(self, name, param)
        if param is None or param.is_meta:
            return
        if param not in made:
            made[param] = like(param, param.detach().to("meta"))
        self._parameters[name] = made[param]

    nn.Module.register_parameter = register_on_meta  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


def like(parameter: nn.Parameter, data: torch.Tensor) -> nn.Parameter:
    """A parameter of `data` with what scripts have set on `parameter`."""
    made = nn.Parameter(data, requires_grad=parameter.requires_grad)
    made.__dict__.update(parameter.__dict__)
    return made


def initialize_missing(model: nn.Module, names: set[str], device: torch.device) -> None:
    """Gives the parameters `names`, which are on meta, real values: those that their module's `reset_parameters`
    gives. The module's other parameters keep theirs."""
    for path in {name.rpartition(".")[0] for name in names}:
        module = model.get_submodule(path)
        own = dict(module._parameters)
        wanted = {leaf for leaf in own if (f"{path}.{leaf}" if path else leaf) in names}
        if not hasattr(module, "reset_parameters"):
            raise ValueError(
                f"[deepspeed.zero.load_pretrained] the files lack {sorted(wanted)} of {path or 'the model'}, and "
                f"{type(module).__name__} has no reset_parameters() that would initialize them. Build the model "
                "yourself and pass it in place of its class: what the files lack keeps its values."
            )
        for leaf, parameter in own.items():
            if parameter is not None:  # those that have values already lend their place only
                data = torch.empty(parameter.shape, dtype=parameter.dtype, device=device)
                module._parameters[leaf] = like(parameter, data)
        module.reset_parameters()
        for leaf in own.keys() - wanted:
            module._parameters[leaf] = own[leaf]

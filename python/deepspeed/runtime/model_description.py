"""A torch module as the engine sees it: parameters once each, buffers, and the tree of modules."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def describe(
    model: nn.Module, groups: list[dict[str, Any]], optimizer_type: str, numbers: list[dict[str, float]]
) -> Any:
    """The `_C.ModelDescription` of `model`. `groups` are the optimizer's param groups, `numbers` theirs as floats."""
    from deepspeed import _C

    group_of = {id(parameter): index for index, group in enumerate(groups) for parameter in group["params"]}
    names: dict[int, str] = {}
    aliases: dict[str, str] = {}
    parameters: list[tuple[str, torch.Tensor, int]] = []
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owner = names.setdefault(id(parameter), name)
        if owner != name:
            aliases[name] = owner
            continue
        parameters.append((name, parameter, group_of.get(id(parameter), -1)))
    return _C.ModelDescription(
        parameters=parameters,
        buffers=persistent_buffers(model),
        modules=[
            (path, type(module).__name__, _is_list(module), f"{type(module).__module__}.{type(module).__qualname__}")
            for path, module in model.named_modules()
        ],
        aliases=aliases,
        leaf_modules=[path for path, module in model.named_modules() if getattr(module, "_z3_leaf", False)],
        no_split_classes=sorted(getattr(model, "_no_split_modules", None) or ()),
        optimizer_type=optimizer_type,
        groups=numbers,
    )


def _is_list(module: nn.Module) -> bool:
    return isinstance(module, (nn.ModuleList, nn.Sequential))


def persistent_buffers(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """What the module has now: it may replace buffers (`self.count = self.count + 1`) at any time."""
    found: list[tuple[str, torch.Tensor]] = []
    seen: set[int] = set()
    for path, module in model.named_modules():
        for name, buffer in module._buffers.items():
            if buffer is None or name in module._non_persistent_buffers_set or id(buffer) in seen:
                continue
            seen.add(id(buffer))
            found.append((f"{path}.{name}" if path else name, buffer))
    return found

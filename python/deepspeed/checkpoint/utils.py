"""Copies of state dicts that are safe to write with torch.save."""

from __future__ import annotations

from typing import Any

import torch


def clone_tensors_for_torch_save(item: Any, device: torch.device | str = "cpu") -> Any:
    """`item` with every tensor replaced by a copy on `device` that owns no more storage than its own elements.

    Dicts, lists and tuples keep their type; anything else is handed on. A view of a large buffer would make torch.save
    write the whole buffer.
    """
    if isinstance(item, torch.Tensor):
        return item.detach().clone().to(device)
    if isinstance(item, (list, tuple)):
        copies = [clone_tensors_for_torch_save(each, device) for each in item]
        return type(item)(*copies) if hasattr(item, "_fields") else type(item)(copies)
    if isinstance(item, dict):
        return type(item)({key: clone_tensors_for_torch_save(value, device) for key, value in item.items()})
    return item

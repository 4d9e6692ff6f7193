"""The module's weights by name, in and out of a running engine. The functions are methods of DeepSpeedEngine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine


def module_state_dict(
    engine: DeepSpeedEngine,
    destination: Any = None,
    prefix: str = "",
    keep_vars: bool = False,
    exclude_frozen_parameters: bool = False,
) -> dict[str, torch.Tensor]:
    """The module's state dict; frozen parameters can be left out."""
    state = engine.module.state_dict(destination=destination, prefix=prefix, keep_vars=keep_vars)
    if exclude_frozen_parameters:
        for name, parameter in engine.module.named_parameters():
            if not parameter.requires_grad:
                state.pop(prefix + name, None)
    return state


def load_module_state_dict(
    engine: DeepSpeedEngine, checkpoint: dict[str, Any], strict: bool = True, **kwargs: Any
) -> None:
    """Loads weights into the module; master weights follow at once."""
    engine.module.load_state_dict(checkpoint.get("module", checkpoint), strict=strict)
    for name, parameter in engine.module.named_parameters():
        if name in engine.param_names.values():
            engine.core.set_full_fp32_parameter(name, parameter.detach().float())


def consolidated_16bit_state_dict(
    engine: DeepSpeedEngine, exclude_frozen_parameters: bool = False
) -> dict[str, torch.Tensor] | None:
    """The whole state dict on rank 0, None on the others."""
    if engine.global_rank != 0:
        return None
    return engine.module_state_dict(exclude_frozen_parameters=exclude_frozen_parameters)


def save_16bit_model(
    engine: DeepSpeedEngine,
    save_dir: str,
    save_filename: str = "pytorch_model.bin",
    exclude_frozen_parameters: bool = False,
) -> bool:
    """Rank 0 writes the module's state dict with torch.save, tensors only."""
    state = engine._consolidated_16bit_state_dict(exclude_frozen_parameters)
    if state is not None:
        os.makedirs(save_dir, exist_ok=True)
        torch.save(state, os.path.join(save_dir, save_filename))
    engine.core.barrier()
    return True

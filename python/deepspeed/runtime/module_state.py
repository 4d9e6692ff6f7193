"""The module's weights by name, in and out of a running engine. The functions are methods of DeepSpeedEngine."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Callable, Iterable

import torch

from deepspeed.runtime.zero.sharded_state_dict import kept_on, leave_to_first_rank
from deepspeed.utils.log import logger

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
    engine: DeepSpeedEngine,
    checkpoint: dict[str, Any],
    strict: bool = True,
    custom_load_fn: Callable[..., Any] | None = None,
    fetch_z3_params: bool = False,
    z3_params_to_fetch: Any = None,
    allowed_missing_keys: Iterable[str] | None = None,
) -> None:
    """Loads weights (`checkpoint["module"]`, or `checkpoint` itself) into the module; master weights follow at once.
    `custom_load_fn(src=, dst=)` does it in another way; `allowed_missing_keys` may lack under `strict`. Parameters are
    whole here, so that the arguments about ZeRO-3 change nothing. Every rank calls it."""
    state = checkpoint.get("module", checkpoint)
    if custom_load_fn is not None:
        custom_load_fn(src=state, dst=engine.module)
    else:
        missing, unexpected = engine.module.load_state_dict(state, strict=strict and allowed_missing_keys is None)
        missing = sorted(set(missing).difference(allowed_missing_keys or ()))
        if strict and (missing or unexpected):
            raise RuntimeError(
                f"[deepspeed.engine] load_module_state_dict: the state lacks {missing}, the module {unexpected}."
            )
    for parameter, name in engine.param_names.items():
        if parameter.is_floating_point():
            engine.core.set_full_fp32_parameter(name, parameter.detach())


def consolidated_16bit_state_dict(
    engine: DeepSpeedEngine, exclude_frozen_parameters: bool = False
) -> dict[str, torch.Tensor] | None:
    """The whole state dict on rank 0, None on the others. At stage 3 every rank calls it."""
    here = engine.global_rank == 0
    if not here and not engine.zero_optimization_partition_weights():
        return None
    with kept_on(here):
        state = engine.module_state_dict(exclude_frozen_parameters=exclude_frozen_parameters)
    if here:
        return state
    this, micro_steps = weakref.ref(engine), engine.micro_steps
    leave_to_first_rank(
        engine.module,
        lambda: (now := this()) is not None and not now.is_destroyed and now.micro_steps == micro_steps,
    )
    return None


def save_16bit_model(
    engine: DeepSpeedEngine,
    save_dir: str,
    save_filename: str = "pytorch_model.bin",
    exclude_frozen_parameters: bool = False,
) -> bool:
    """Rank 0 writes the module's state dict with torch.save, tensors only. At stage 3 that takes
    `stage3_gather_16bit_weights_on_model_save`; without it nothing is written and the result is False."""
    if engine.zero_optimization_partition_weights() and not engine.zero_gather_16bit_weights_on_model_save():
        logger.warning(
            "save_16bit_model: nothing is written; set zero_optimization.stage3_gather_16bit_weights_on_model_save"
        )
        return False
    state = engine._consolidated_16bit_state_dict(exclude_frozen_parameters)
    if state is not None:
        os.makedirs(save_dir, exist_ok=True)
        torch.save(state, os.path.join(save_dir, save_filename))
    engine.core.barrier()
    return True

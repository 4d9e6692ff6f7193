"""Saving and loading an engine. The functions are methods of DeepSpeedEngine; files and shards are C++."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepspeed import _C
from deepspeed.runtime import client_state as typed
from deepspeed.runtime import rank_state
from deepspeed.runtime.model_description import persistent_buffers
from deepspeed.utils.log import logger

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine

# What this front end saves as the client state. C++ programs save any JSON value of their own in its place.
_PARTS = ("user", "lr_scheduler", "optimizer")


def save_checkpoint(
    engine: DeepSpeedEngine,
    save_dir: str,
    tag: str | None = None,
    client_state: dict[str, Any] | None = None,
    save_latest: bool = True,
    exclude_frozen_parameters: bool = False,
) -> bool:
    """Writes SAVE_DIR/TAG on all ranks together, and `latest`. `client_state` may hold numbers, text, containers,
    arrays and tensors; anything else is a TypeError with its path."""
    if not save_dir:
        raise ValueError("[deepspeed.engine] save_checkpoint: save_dir is empty.")
    state = dict.fromkeys(_PARTS)
    state["user"] = client_state or {}
    if engine.lr_scheduler is not None:
        state["lr_scheduler"] = engine.lr_scheduler.state_dict()
    if engine.basic_optimizer is not None:
        state["optimizer"] = engine.optimizer.state_dict()
    encoded, tensors = typed.encode(state, "client_state")
    chosen = str(tag) if tag is not None else f"global_step{engine.global_steps}"
    owned = [_C.OwnedState(*each) for each in engine.external_step.states()] if engine.external_step else []
    engine.core.set_buffers(persistent_buffers(engine.module))
    engine.core.save_checkpoint(
        str(save_dir),
        chosen,
        json.dumps(encoded),
        tensors,
        save_latest,
        exclude_frozen_parameters,
        owned,
        rank_state.capture(engine),
    )
    return True


def load_checkpoint(
    engine: DeepSpeedEngine,
    load_dir: str,
    tag: str | None = None,
    load_module_strict: bool = True,
    load_optimizer_states: bool = True,
    load_lr_scheduler_states: bool = True,
    load_module_only: bool = False,
    custom_load_fn: Any = None,
) -> tuple[str | None, Any]:
    """(path, client_state) of a checkpoint of any stage and world size; (None, None) with a warning where load_dir
    has no `latest` and no tag is given. The client state of a C++ program is whatever JSON value it saved."""
    if custom_load_fn is not None:
        raise NotImplementedError(
            "[deepspeed.engine] load_checkpoint: custom_load_fn cannot see weights, which go from files into shards. "
            "Use load_module_state_dict(state, custom_load_fn=...) with a state dict of your own."
        )
    if tag is None and not os.path.exists(os.path.join(load_dir, "latest")):
        logger.warning("load_checkpoint: %s has no file `latest`, and no tag was given: nothing was loaded", load_dir)
        return None, None
    engine.core.set_buffers(persistent_buffers(engine.module))
    loaded = engine.core.load_checkpoint(
        str(load_dir), tag, load_module_strict, load_module_only, load_optimizer_states
    )
    state = typed.decode(json.loads(loaded.client_state), loaded.tensors, "client_state")
    if not isinstance(state, dict) or set(state) != set(_PARTS):
        state = {**dict.fromkeys(_PARTS), "user": state}
    if not load_module_only:
        if load_lr_scheduler_states and engine.lr_scheduler is not None and state["lr_scheduler"] is not None:
            engine.lr_scheduler.load_state_dict(state["lr_scheduler"])
        if load_optimizer_states and engine.basic_optimizer is not None and state["optimizer"] is not None:
            engine.optimizer.load_state_dict(state["optimizer"])
        if load_optimizer_states and engine.external_step is not None:
            engine.external_step.load_states(loaded.owned_states)
        if load_optimizer_states:
            rank_state.restore(engine, loaded)
    engine.loaded_checkpoint = loaded.path
    return loaded.path, state["user"]


def loaded_checkpoint_dp_world_size(engine: DeepSpeedEngine) -> int | None:
    """How many ranks wrote the checkpoint that was loaded last; None before any was."""
    if engine.loaded_checkpoint is None:
        return None
    return json.loads(Path(engine.loaded_checkpoint, "manifest.json").read_text(encoding="utf-8"))["world"]


def loaded_checkpoint_mp_world_size(engine: DeepSpeedEngine) -> int | None:
    """1 once a checkpoint was loaded: no model is split."""
    return None if engine.loaded_checkpoint is None else 1

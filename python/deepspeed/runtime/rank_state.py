"""What each rank saves for itself, so that a resumed run goes on exactly: random numbers and its loader's position."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from deepspeed import _C
from deepspeed.runtime import client_state as typed
from deepspeed.runtime import random_state
from deepspeed.runtime.dataloader import DeepSpeedDataLoader
from deepspeed.utils.log import logger

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine


def capture(engine: DeepSpeedEngine) -> _C.RankState:
    """This rank's generators, and the position of the loader that `initialize` made."""
    state: dict[str, Any] = {"random": random_state.capture(), "loader": None}
    if isinstance(engine.training_dataloader, DeepSpeedDataLoader):
        state["loader"] = engine.training_dataloader.state_dict()
    encoded, tensors = typed.encode(state, f"rank_state[{engine.core.rank()}]")
    return _C.RankState(json.dumps(encoded), tensors)


def restore(engine: DeepSpeedEngine, loaded: _C.LoadedCheckpoint) -> None:
    """Sets them to what this rank saved. Ranks of another number cannot go on where those were: a message says so."""
    if not loaded.rank_state.json:
        logger.info(
            "load_checkpoint: %s was saved by %d ranks and is loaded by %d, or without the state of ranks: random "
            "numbers and the loader's position stay as they are",
            loaded.path,
            loaded.world,
            engine.dp_world_size,
        )
        return
    state = typed.decode(json.loads(loaded.rank_state.json), loaded.rank_state.tensors, "rank_state")
    random_state.restore(state["random"])
    if state["loader"] is not None and isinstance(engine.training_dataloader, DeepSpeedDataLoader):
        engine.training_dataloader.load_state_dict(state["loader"])

"""The process groups of one engine: its messages are counted, so nobody else may use them. They end with it."""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any

from deepspeed import comm
from deepspeed.runtime import script_place

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine


class EngineGroups:
    """All ranks make one at the same time. `reductions` and `gathers` are None where there is no need of them."""

    def __init__(self, engine: DeepSpeedEngine) -> None:
        self.reductions: Any = None
        self.gathers: Any = None
        if engine.dp_world_size > 1:
            script_place.watch()
            ranks = comm.get_all_ranks_from_group(engine.data_parallel_group) if engine.mpu is not None else None
            self.reductions = comm.new_group(ranks)
            if engine.zero_optimization_partition_weights():
                self.gathers = comm.new_group(ranks)
        # torch keeps every group until it is told to end it; also of an engine that is just dropped.
        self.end = weakref.finalize(engine, _end, [self.reductions, self.gathers])
        self.end.atexit = False


def _end(groups: list[Any]) -> None:
    for group in groups:
        if group is not None and comm.is_initialized():
            with contextlib.suppress(ValueError):  # the script ended all groups and made new ones
                comm.destroy_process_group(group)
    groups.clear()

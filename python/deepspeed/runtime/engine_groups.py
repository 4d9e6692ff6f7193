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
        self._cores: list[Any] = []
        self.end = weakref.finalize(engine, _end, self._cores, [self.reductions, self.gathers])
        self.end.atexit = False

    def used_by(self, core: Any) -> None:
        """The C++ engine, which has work under way in the groups: it ends before they do, also where the engine is just
        dropped. It must not refer to the engine."""
        self._cores.append(core)


def _end(cores: list[Any], groups: list[Any]) -> None:
    while cores:
        cores.pop().abandon()
    for group in groups:
        if group is not None:
            end_group(group)
    groups.clear()


def end_group(group: Any) -> None:
    """Ends a group of ours on this rank; nothing where the script ended all groups."""
    if comm.is_initialized():
        with contextlib.suppress(ValueError):  # it made new ones
            comm.destroy_process_group(group)

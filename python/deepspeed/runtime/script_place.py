"""Where the script is: for errors about ranks that wait for each other, one in a collective of ours, one in torch's."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
import weakref
from types import FrameType
from typing import Any

import torch.distributed as torch_dist
from torch.distributed import distributed_c10d

from deepspeed import _C

# torch.distributed's blocking collectives. None of the first can end on a rank before all ranks are in it; the others
# wait for the rank that has the values. Gathers to one rank and messages between two are in neither.
_OF_ALL = frozenset({
    "all_gather", "all_gather_coalesced", "all_gather_into_tensor", "all_gather_single", "all_reduce",
    "all_reduce_coalesced", "all_to_all", "all_to_all_single", "barrier", "reduce_scatter", "reduce_scatter_single",
    "reduce_scatter_tensor",
})  # fmt: skip
_FROM_ONE = frozenset({"broadcast", "scatter"})
_FILE = distributed_c10d.__file__

# Packages whose frames are not the script's.
_LIBRARIES = frozenset(
    {"accelerate", "contextlib", "datasets", "deepspeed", "functools", "peft", "torch", "transformers", "trl"}
)

_watched: weakref.ref[Any] | None = None  # the default process group


def watch() -> None:
    """Lets the engine look where this thread is while it sleeps. Once a default process group."""
    global _watched
    world = torch_dist.group.WORLD
    if _watched is not None and _watched() is world:
        return
    if _watched is None:
        atexit.register(_C.stop_wait_watch)  # the watch's thread must not take the GIL of an interpreter that ends
    _watched = weakref.ref(world)
    thread = threading.get_ident()
    _C.set_script_probe(world, lambda: _look(thread))


def _look(thread: int) -> tuple[str, int, str]:
    """Called on the watch's thread, where no finalizer of the script's objects may run: no collection meanwhile."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return _place_of(sys._current_frames().get(thread))
    finally:
        if collects:
            gc.enable()


def _place_of(frame: FrameType | None) -> tuple[str, int, str]:
    """(the collective of all ranks that torch.distributed is in, its root or -1, "train.py:57") of a thread's frame."""
    if frame is None:
        return "", -1, ""
    call, root = _collective(frame)
    return call, root, _line(frame)


def _collective(frame: FrameType) -> tuple[str, int]:
    name = frame.f_code.co_name
    if frame.f_code.co_filename != _FILE or name not in _OF_ALL | _FROM_ONE:
        return "", -1
    values = frame.f_locals
    if values.get("group") not in (None, torch_dist.group.WORLD):
        return "", -1
    root = values.get("group_src") if name in _FROM_ONE else -1
    return ("", -1) if root is None else (f"torch.distributed.{name}", root)


def _line(frame: FrameType | None) -> str:
    """File and line of the innermost call in the script itself."""
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
        frame = frame.f_back
    if frame is None:
        return ""
    file = frame.f_code.co_filename
    here = os.getcwd() + os.sep
    return f"{file.removeprefix(here)}:{frame.f_lineno}"

"""`deepspeed.comm`: torch.distributed under DeepSpeed's names. Every call needs `init_distributed` first.

The operations also take DeepSpeed's logging arguments (`prof`, `log_name`, `debug`), which change nothing here.
"""

from __future__ import annotations

import functools
import os
from datetime import timedelta
from typing import Any, Callable

import torch
import torch.distributed as torch_dist
from torch.distributed import P2POp, ReduceOp

from deepspeed.comm.rendezvous import init_distributed, is_available, is_initialized, mpi_discovery
from deepspeed.constants import default_pg_timeout

__all__ = [
    "P2POp", "ReduceOp", "all_gather", "all_gather_coalesced", "all_gather_into_tensor", "all_gather_object",
    "all_reduce", "all_reduce_coalesced", "all_to_all", "all_to_all_single", "allgather_fn", "barrier",
    "batch_isend_irecv", "broadcast", "broadcast_object_list", "configure", "default_pg_timeout",
    "destroy_process_group", "gather", "get_all_ranks_from_group", "get_global_rank", "get_local_rank",
    "get_local_rank_from_launcher", "get_rank", "get_world_group", "get_world_rank_from_launcher", "get_world_size",
    "get_world_size_from_launcher", "has_comm_data", "inference_all_reduce", "init_distributed",
    "initialize_mesh_device", "irecv", "is_available", "is_initialized", "isend", "log_summary", "monitored_barrier",
    "mpi_discovery", "new_group", "recv", "reduce", "reduce_scatter", "reduce_scatter_fn", "reduce_scatter_tensor",
    "reset_log", "scatter", "send",
]  # fmt: skip

_LOGGING_ARGUMENTS = ("prof", "log_name", "debug")


def _require_group(name: str) -> None:
    if not is_initialized():
        raise RuntimeError(
            f"[deepspeed.comm.{name}] there is no process group. Call deepspeed.init_distributed() or "
            "deepspeed.initialize() first."
        )


def _translated(function: Callable[..., Any], name: str = "") -> Callable[..., Any]:
    """`function` of torch.distributed, without the logging arguments, and with a clear error before a group exists."""
    name = name or function.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        _require_group(name)
        for argument in _LOGGING_ARGUMENTS:
            kwargs.pop(argument, None)
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    return call


# torch 2.13 has new names for these, and warns at the old ones.
_one_reduce_scatter = getattr(torch_dist, "reduce_scatter_single", torch_dist.reduce_scatter_tensor)
_one_all_gather = getattr(torch_dist, "all_gather_single", torch_dist.all_gather_into_tensor)

broadcast = _translated(torch_dist.broadcast)
broadcast_object_list = _translated(torch_dist.broadcast_object_list)
all_reduce = _translated(torch_dist.all_reduce)
inference_all_reduce = _translated(torch_dist.all_reduce, "inference_all_reduce")
reduce = _translated(torch_dist.reduce)
reduce_scatter = _translated(torch_dist.reduce_scatter)
reduce_scatter_tensor = _translated(_one_reduce_scatter, "reduce_scatter_tensor")
reduce_scatter_fn = _translated(_one_reduce_scatter, "reduce_scatter_fn")
all_gather = _translated(torch_dist.all_gather)
all_gather_into_tensor = _translated(_one_all_gather, "all_gather_into_tensor")
allgather_fn = _translated(_one_all_gather, "allgather_fn")
all_gather_object = _translated(torch_dist.all_gather_object)
all_to_all = _translated(torch_dist.all_to_all)
all_to_all_single = _translated(torch_dist.all_to_all_single)
gather = _translated(torch_dist.gather)
scatter = _translated(torch_dist.scatter)
barrier = _translated(torch_dist.barrier)
send = _translated(torch_dist.send)
recv = _translated(torch_dist.recv)
isend = _translated(torch_dist.isend)
irecv = _translated(torch_dist.irecv)
batch_isend_irecv = _translated(torch_dist.batch_isend_irecv)


def monitored_barrier(
    group: Any = None, timeout: timedelta | None = None, wait_all_ranks: bool = False, **_: Any
) -> None:
    """A barrier whose error on rank 0 names a rank that did not come in time, or all of them with `wait_all_ranks`."""
    _require_group("monitored_barrier")
    if torch_dist.get_backend(group) == torch_dist.Backend.GLOO:
        return torch_dist.monitored_barrier(group, timeout, wait_all_ranks)
    # torch's function is for the backend of that name only, its groups are not.
    chosen = torch_dist.group.WORLD if group is None else group
    return chosen.monitored_barrier(timeout or default_pg_timeout, wait_all_ranks=wait_all_ranks)


class _CoalescedWork:
    """Several works that are waited for as one."""

    def __init__(self, works: list[Any]) -> None:
        self._works = works

    def wait(self, timeout: timedelta | None = None) -> bool:
        return all(work.wait() if timeout is None else work.wait(timeout) for work in self._works)

    def is_completed(self) -> bool:
        return all(work.is_completed() for work in self._works)


def _finish(works: list[Any], async_op: bool) -> _CoalescedWork | None:
    joined = _CoalescedWork(works)
    if async_op:
        return joined
    joined.wait()
    return None


def all_reduce_coalesced(
    tensors: list[torch.Tensor], op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False, **_: Any
) -> _CoalescedWork | None:
    """Reduces every tensor of the list in place; returns one work where `async_op`."""
    _require_group("all_reduce_coalesced")
    return _finish([torch_dist.all_reduce(each, op=op, group=group, async_op=True) for each in tensors], async_op)


def all_gather_coalesced(
    output_tensors: list[torch.Tensor],
    input_tensors: list[torch.Tensor],
    group: Any = None,
    async_op: bool = False,
    **_: Any,
) -> _CoalescedWork | None:
    """Gathers `input_tensors[i]` of all ranks into `output_tensors[i]`, which is world size times as long."""
    _require_group("all_gather_coalesced")
    pairs = zip(output_tensors, input_tensors, strict=True)
    works = [_one_all_gather(out, part, group=group, async_op=True) for out, part in pairs]
    return _finish(works, async_op)


# --- who is who ----------------------------------------------------------------------------------------------------
def get_rank(group: Any = None) -> int:
    """This process's number in `group` (all ranks by default)."""
    _require_group("get_rank")
    return torch_dist.get_rank(group)


def get_world_size(group: Any = None) -> int:
    """How many processes `group` has."""
    _require_group("get_world_size")
    return torch_dist.get_world_size(group)


def get_local_rank() -> int:
    """This process's number on its host, as the launcher gave it in LOCAL_RANK; 0 where there is none."""
    return get_local_rank_from_launcher()


def get_global_rank(group: Any = None, group_rank: int = 0) -> int:
    """The number among all ranks of the one that has `group_rank` in `group`."""
    _require_group("get_global_rank")
    return group_rank if group is None else torch_dist.get_global_rank(group, group_rank)


def get_all_ranks_from_group(group: Any = None) -> list[int]:
    """The global numbers of the ranks of `group`."""
    _require_group("get_all_ranks_from_group")
    return torch_dist.get_process_group_ranks(group if group is not None else torch_dist.group.WORLD)


def get_world_group() -> Any:
    """The group of all ranks."""
    _require_group("get_world_group")
    return torch_dist.group.WORLD


def new_group(ranks: list[int] | None = None, **kwargs: Any) -> Any:
    """A group of some ranks; all ranks must call it, with the same list."""
    _require_group("new_group")
    return torch_dist.new_group(ranks, **kwargs)


def destroy_process_group(group: Any = None) -> None:
    """Ends `group`, or all of them."""
    _require_group("destroy_process_group")
    torch_dist.destroy_process_group(group)


def initialize_mesh_device(mesh_shape: tuple[int, ...], mesh_dim_names: tuple[str, ...]) -> Any:
    """torch's DeviceMesh over all ranks on the current accelerator."""
    from deepspeed.accelerator import get_accelerator

    _require_group("initialize_mesh_device")
    return torch_dist.init_device_mesh(get_accelerator().device_name(), mesh_shape, mesh_dim_names=mesh_dim_names)


def get_local_rank_from_launcher() -> int:
    return int(os.environ.get("LOCAL_RANK", os.environ.get("OMPI_COMM_WORLD_LOCAL_RANK", "0")))


def get_world_rank_from_launcher() -> int:
    return int(os.environ.get("RANK", os.environ.get("OMPI_COMM_WORLD_RANK", "0")))


def get_world_size_from_launcher() -> int:
    return int(os.environ.get("WORLD_SIZE", os.environ.get("OMPI_COMM_WORLD_SIZE", "1")))


# --- the communication log ------------------------------------------------------------------------------------------
def configure(*_: Any, enabled: bool | None = None, **__: Any) -> None:
    """Raises NotImplementedError where the log is to be turned on: it comes in a later version."""
    if enabled:
        raise NotImplementedError("[deepspeed.comm.configure] enabled: the communication log has not landed yet.")


def has_comm_data() -> bool:
    """Whether the communication log has entries."""
    return False


def log_summary(show_straggler: bool = False, return_dict: bool = False) -> dict[str, Any] | None:
    """The communication log, which is empty."""
    return {} if return_dict else None


def reset_log() -> None:
    """Empties the communication log."""

"""How ranks find each other: `init_distributed`, from the launcher's environment or an MPI launcher's."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as torch_dist

from deepspeed.constants import TORCH_DISTRIBUTED_DEFAULT_PORT, default_pg_timeout

_REQUIRED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK")

# Per MPI family, its variables for RANK, WORLD_SIZE and LOCAL_RANK.
_MPI_VARIABLES = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK"),
    ("PMIX_RANK", "PMIX_SIZE", "PMIX_LOCAL_RANK"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
)


def is_available() -> bool:
    """Whether this torch was built with torch.distributed."""
    return torch_dist.is_available()


def is_initialized() -> bool:
    """Whether a process group exists, ours or the script's own."""
    return torch_dist.is_available() and torch_dist.is_initialized()


def init_distributed(
    dist_backend: str | None = None,
    auto_mpi_discovery: bool = True,
    distributed_port: int = TORCH_DISTRIBUTED_DEFAULT_PORT,
    verbose: bool = True,
    timeout: timedelta = default_pg_timeout,
    init_method: str | None = None,
    dist_init_required: bool | None = None,
    config: Any = None,
    rank: int = -1,
    world_size: int = -1,
) -> None:
    """Joins the process group of all ranks; where one exists, that one is taken as it is.

    `dist_backend` None is nccl on GPUs and, on CPUs, shm: ranks of one host share memory (gloo with
    DEEPSPEED_SHARED_MEMORY=0). Variables that the launcher did not set are taken from an MPI
    launcher's where `auto_mpi_discovery`; a process that nobody launched is alone. `timeout` bounds every collective.
    Raises RuntimeError where `dist_init_required` is False and there is no group.
    """
    from deepspeed.accelerator import get_accelerator
    from deepspeed.utils import log_dist

    if is_initialized():
        return
    if dist_init_required is False:
        raise RuntimeError(
            "[deepspeed.init_distributed] dist_init_required is False, but torch.distributed has no process group. "
            "Call torch.distributed.init_process_group first, or leave dist_init_required out."
        )
    if auto_mpi_discovery and any(name not in os.environ for name in _REQUIRED):
        mpi_discovery(distributed_port=distributed_port, verbose=verbose)
    if init_method is None:
        _default_to_one_process(distributed_port)
    accelerator = get_accelerator()
    backend = dist_backend or _default_backend(accelerator)
    device_id = None
    if backend == "nccl":
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        accelerator.set_device(local_rank)
        device_id = torch.device("cuda", local_rank)
    torch_dist.init_process_group(
        backend, init_method=init_method, timeout=timeout, rank=rank, world_size=world_size, device_id=device_id
    )
    if verbose:
        log_dist(f"joined {torch_dist.get_world_size()} ranks over {backend}", ranks=[0])


def _default_backend(accelerator: Any) -> str:
    if accelerator.device_name() != "cpu":
        return accelerator.communication_backend_name()
    from deepspeed import _C

    return "shm" if _C.uses_shared_memory() else "gloo"


def mpi_discovery(distributed_port: int = TORCH_DISTRIBUTED_DEFAULT_PORT, verbose: bool = True) -> None:
    """Sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT from the variables of MPI launchers.

    Does nothing where none of them started this process. Raises RuntimeError for several ranks without MASTER_ADDR:
    nothing but the launcher knows where rank 0 runs.
    """
    for rank_name, size_name, local_name in _MPI_VARIABLES:
        if rank_name not in os.environ or size_name not in os.environ:
            continue
        local_rank = os.environ.get(local_name, os.environ.get("LOCAL_RANK", "0"))
        found = {"RANK": os.environ[rank_name], "WORLD_SIZE": os.environ[size_name], "LOCAL_RANK": local_rank}
        break
    else:
        return
    if "MASTER_ADDR" not in os.environ:
        if not _all_ranks_are_here(int(found["WORLD_SIZE"])):
            raise RuntimeError(
                f"[deepspeed.init_distributed] {rank_name}={found['RANK']} of {found['WORLD_SIZE']}: "
                "MASTER_ADDR is not set. Export MASTER_ADDR=<host of rank 0> to all ranks (mpirun -x MASTER_ADDR=...)."
            )
        found["MASTER_ADDR"] = "127.0.0.1"
    found["MASTER_PORT"] = str(distributed_port)
    for name, value in found.items():
        os.environ.setdefault(name, value)
    if verbose:
        from deepspeed.utils import logger

        logger.info("rank %s of %s, from %s on %s", found["RANK"], found["WORLD_SIZE"], rank_name, socket.gethostname())


def _all_ranks_are_here(world_size: int) -> bool:
    """Whether the launcher says that its job has this host alone."""
    local_sizes = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")
    return world_size == 1 or any(os.environ.get(name) == str(world_size) for name in local_sizes)


def _default_to_one_process(distributed_port: int) -> None:
    """A script started as plain `python script.py` is a job of one rank, on a port that is free."""
    if "RANK" in os.environ or "WORLD_SIZE" in os.environ:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", str(distributed_port))
        os.environ.setdefault("LOCAL_RANK", "0")
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    alone = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    for name, value in alone.items():
        os.environ.setdefault(name, value)

"""The CPU as an accelerator: a rank is a process, and memory is what the process holds."""

from __future__ import annotations

import os
import resource
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from deepspeed.accelerator.interface import DeepSpeedAccelerator


def _process_bytes(field: str) -> int:
    """One size of /proc/self/status (VmRSS, VmHWM), 0 where the system has no such file."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":")), 0)


def _machine_bytes(name: str) -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf(name)


class CPU_Accelerator(DeepSpeedAccelerator):  # noqa: N801 (DeepSpeed's name)
    """Synchronous; streams, events and pinning change nothing."""

    _name = "cpu"
    _communication_backend_name = "gloo"
    Event = None
    Stream = None

    def device_name(self, device_index: int | None = None) -> str:
        """Always "cpu": every rank's device has the one name that torch gives it."""
        return "cpu"

    def device(self, device_index: int | None = None) -> Any:
        return nullcontext()

    def set_device(self, device_index: int) -> None:
        """The process is its own device: nothing to choose."""

    def current_device(self) -> int:
        return self.local_rank_from_environment()

    def current_device_name(self) -> str:
        return "cpu"

    def device_count(self) -> int:
        """The ranks of this host where a launcher said so, else the sockets' memory nodes."""
        local_size = int(os.environ.get("LOCAL_SIZE", "0"))
        return local_size or len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) or 1

    def is_available(self) -> bool:
        return True

    def synchronize(self, device_index: int | None = None) -> None:
        """Nothing is pending on a CPU."""

    def on_accelerator(self, tensor: torch.Tensor) -> bool:
        return tensor.device.type == "cpu"

    def is_synchronized_device(self) -> bool:
        return True

    # --- memory ------------------------------------------------------------------------------------------------
    def memory_allocated(self, device_index: int | None = None) -> int:
        return _process_bytes("VmRSS")

    def max_memory_allocated(self, device_index: int | None = None) -> int:
        return _process_bytes("VmHWM")

    memory_reserved = memory_cached = memory_allocated
    max_memory_reserved = max_memory_cached = max_memory_allocated

    def reset_max_memory_allocated(self, device_index: int | None = None) -> None:
        """The system keeps the peak; it cannot be reset."""

    reset_max_memory_cached = reset_peak_memory_stats = reset_max_memory_allocated

    def memory_stats(self, device_index: int | None = None) -> dict[str, int]:
        return {
            "allocated_bytes.all.current": self.memory_allocated(),
            "allocated_bytes.all.peak": self.max_memory_allocated(),
        }

    def empty_cache(self) -> None:
        """There is no cache to empty."""

    def total_memory(self, device_index: int | None = None) -> int:
        return _machine_bytes("SC_PHYS_PAGES")

    def available_memory(self, device_index: int | None = None) -> int:
        return _machine_bytes("SC_AVPHYS_PAGES")

    # --- random numbers ----------------------------------------------------------------------------------------
    def set_rng_state(self, new_state: torch.Tensor, device_index: int | None = None) -> None:
        torch.set_rng_state(new_state)

    def get_rng_state(self, device_index: int | None = None) -> torch.Tensor:
        return torch.get_rng_state()

    def default_generator(self, device_index: int) -> torch.Generator:
        return torch.default_generator

    # --- streams and pinned memory -----------------------------------------------------------------------------
    def stream(self, stream: Any) -> AbstractContextManager[Any]:
        return nullcontext()

    def current_stream(self, device_index: int | None = None) -> None:
        return None

    default_stream = current_stream

    def pin_memory(self, tensor: torch.Tensor, make_copy: bool = True, match_shape: bool = True) -> torch.Tensor:
        return tensor

    unpin_memory = pin_memory

    def is_pinned(self, tensor: torch.Tensor) -> bool:
        return tensor.device.type == "cpu"

    def pin_empty(self, *size: Any, **kwargs: Any) -> torch.Tensor:
        return torch.empty(*size, **kwargs)

    def pin_empty_like(self, tensor: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return torch.empty_like(tensor, device="cpu", **kwargs)

    def range_push(self, message: str) -> None:
        """Profilers see CPU code without marks."""

    def range_pop(self) -> None:
        """See range_push."""

"""What every accelerator offers, and what does not depend on the device."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any, Callable

import torch


class DeepSpeedAccelerator(ABC):
    """One kind of device behind names that do not tell which. Sizes are in bytes."""

    _name: str
    _communication_backend_name: str

    def __init__(self) -> None:
        self._compile_backend = "inductor"

    # --- which device ------------------------------------------------------------------------------------------
    def device_name(self, device_index: int | None = None) -> str:
        """The kind ("cuda"), or one device of it ("cuda:1")."""
        return self._name if device_index is None else f"{self._name}:{device_index}"

    @abstractmethod
    def device(self, device_index: int | None = None) -> Any:
        """A context in which `device_index` is the current device."""

    @abstractmethod
    def set_device(self, device_index: int) -> None: ...

    @abstractmethod
    def current_device(self) -> int: ...

    @abstractmethod
    def current_device_name(self) -> str: ...

    @abstractmethod
    def device_count(self) -> int: ...

    @abstractmethod
    def is_available(self) -> bool: ...

    @abstractmethod
    def synchronize(self, device_index: int | None = None) -> None:
        """Waits for all work that was handed to the device."""

    @abstractmethod
    def on_accelerator(self, tensor: torch.Tensor) -> bool: ...

    def communication_backend_name(self) -> str:
        return self._communication_backend_name

    @abstractmethod
    def is_synchronized_device(self) -> bool:
        """Whether an operation is done when its call returns."""

    def use_host_timers(self) -> bool:
        return self.is_synchronized_device()

    def resolves_data_dependency(self) -> bool:
        return self.is_synchronized_device()

    def handles_memory_backpressure(self) -> bool:
        return self.is_synchronized_device()

    # --- number types ------------------------------------------------------------------------------------------
    def is_bf16_supported(self) -> bool:
        return True

    def is_fp16_supported(self) -> bool:
        return True

    def is_fp64_supported(self) -> bool:
        return True

    def supported_dtypes(self) -> list[torch.dtype]:
        return [torch.float, torch.half, torch.bfloat16]

    def is_triton_supported(self) -> bool:
        return False

    # --- memory ------------------------------------------------------------------------------------------------
    @abstractmethod
    def memory_allocated(self, device_index: int | None = None) -> int:
        """What tensors hold now."""

    @abstractmethod
    def max_memory_allocated(self, device_index: int | None = None) -> int: ...

    @abstractmethod
    def memory_reserved(self, device_index: int | None = None) -> int:
        """That and what is cached for later ones."""

    @abstractmethod
    def max_memory_reserved(self, device_index: int | None = None) -> int: ...

    @abstractmethod
    def reset_peak_memory_stats(self, device_index: int | None = None) -> None: ...

    @abstractmethod
    def empty_cache(self) -> None: ...

    # --- random numbers ----------------------------------------------------------------------------------------
    def random(self) -> Any:
        """The module with torch's random functions."""
        return torch.random

    def manual_seed(self, seed: int) -> Any:
        return torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> Any:
        return self.manual_seed(seed)

    def initial_seed(self) -> int:
        return torch.initial_seed()

    # --- names that torch has for each kind ----------------------------------------------------------------------
    def _legacy_tensor(self, dtype_name: str) -> Any:
        return getattr(torch, dtype_name)

    @property
    def BFloat16Tensor(self) -> Any:  # noqa: N802 (DeepSpeed's name)
        return self._legacy_tensor("BFloat16Tensor")

    @property
    def ByteTensor(self) -> Any:  # noqa: N802
        return self._legacy_tensor("ByteTensor")

    @property
    def DoubleTensor(self) -> Any:  # noqa: N802
        return self._legacy_tensor("DoubleTensor")

    @property
    def FloatTensor(self) -> Any:  # noqa: N802
        return self._legacy_tensor("FloatTensor")

    @property
    def HalfTensor(self) -> Any:  # noqa: N802
        return self._legacy_tensor("HalfTensor")

    @property
    def IntTensor(self) -> Any:  # noqa: N802
        return self._legacy_tensor("IntTensor")

    @property
    def LongTensor(self) -> Any:  # noqa: N802
        return self._legacy_tensor("LongTensor")

    # --- the environment of child processes ------------------------------------------------------------------------
    def export_envs(self) -> list[str]:
        """Prefixes of environment variables that ranks on other hosts need too."""
        return []

    def visible_devices_envs(self) -> list[str]:
        return ["CUDA_VISIBLE_DEVICES"]

    def set_visible_devices_envs(self, current_env: dict[str, str], local_accelerator_ids: list[int]) -> None:
        for name in self.visible_devices_envs():
            current_env[name] = ",".join(map(str, local_accelerator_ids))

    # --- the rest --------------------------------------------------------------------------------------------------
    def lazy_call(self, callback: Callable[[], Any]) -> Any:
        return callback()

    def get_compile_backend(self) -> str:
        return self._compile_backend

    def set_compile_backend(self, backend: str) -> None:
        self._compile_backend = backend

    def local_rank_from_environment(self) -> int:
        return int(os.environ.get("LOCAL_RANK", "0"))

    @abstractmethod
    def range_push(self, message: str) -> None:
        """Opens a named range in the profiler's time line."""

    @abstractmethod
    def range_pop(self) -> None: ...

    @abstractmethod
    def stream(self, stream: Any) -> AbstractContextManager[Any]: ...

    @abstractmethod
    def pin_memory(self, tensor: torch.Tensor, make_copy: bool = True, match_shape: bool = True) -> torch.Tensor:
        """`tensor` in memory from which the device copies fastest; itself where that makes no difference."""

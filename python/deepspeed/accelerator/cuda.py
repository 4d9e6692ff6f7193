"""NVIDIA GPUs as accelerators, through torch.cuda."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Callable

import torch

from deepspeed.accelerator.interface import DeepSpeedAccelerator


class CUDA_Accelerator(DeepSpeedAccelerator):  # noqa: N801 (DeepSpeed's name)
    """A thin translation: names that are the same in torch.cuda go there unchanged."""

    _name = "cuda"
    _communication_backend_name = "nccl"
    Event = torch.cuda.Event
    Stream = torch.cuda.Stream

    @staticmethod
    def is_present() -> bool:
        """Whether torch was built with CUDA and sees a GPU."""
        return torch.cuda.is_available()

    def __getattr__(self, name: str) -> Any:
        # current_stream, get_rng_state, memory_stats and their kin have torch's signatures.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(torch.cuda, name)

    def device(self, device_index: int | None = None) -> Any:
        return torch.cuda.device(device_index)

    def set_device(self, device_index: int) -> None:
        torch.cuda.set_device(device_index)

    def current_device(self) -> int:
        return torch.cuda.current_device()

    def current_device_name(self) -> str:
        return f"cuda:{torch.cuda.current_device()}"

    def device_count(self) -> int:
        return torch.cuda.device_count()

    def is_available(self) -> bool:
        return torch.cuda.is_available()

    def synchronize(self, device_index: int | None = None) -> None:
        torch.cuda.synchronize(device_index)

    def on_accelerator(self, tensor: torch.Tensor) -> bool:
        return tensor.is_cuda

    def is_synchronized_device(self) -> bool:
        return False

    def is_bf16_supported(self) -> bool:
        return torch.cuda.is_bf16_supported()

    def is_triton_supported(self) -> bool:
        return torch.cuda.get_device_capability() >= (7, 0)

    def random(self) -> Any:
        return torch.random

    def manual_seed(self, seed: int) -> None:
        torch.cuda.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.cuda.manual_seed_all(seed)

    def initial_seed(self) -> int:
        return torch.cuda.initial_seed()

    def default_generator(self, device_index: int) -> torch.Generator:
        return torch.cuda.default_generators[device_index]

    def memory_allocated(self, device_index: int | None = None) -> int:
        return torch.cuda.memory_allocated(device_index)

    def max_memory_allocated(self, device_index: int | None = None) -> int:
        return torch.cuda.max_memory_allocated(device_index)

    def memory_reserved(self, device_index: int | None = None) -> int:
        return torch.cuda.memory_reserved(device_index)

    def max_memory_reserved(self, device_index: int | None = None) -> int:
        return torch.cuda.max_memory_reserved(device_index)

    def reset_peak_memory_stats(self, device_index: int | None = None) -> None:
        torch.cuda.reset_peak_memory_stats(device_index)

    def empty_cache(self) -> None:
        torch.cuda.empty_cache()

    def total_memory(self, device_index: int | None = None) -> int:
        return torch.cuda.mem_get_info(device_index)[1]

    def available_memory(self, device_index: int | None = None) -> int:
        return torch.cuda.mem_get_info(device_index)[0]

    def stream(self, stream: Any) -> AbstractContextManager[Any]:
        return torch.cuda.stream(stream)

    def pin_memory(self, tensor: torch.Tensor, make_copy: bool = True, match_shape: bool = True) -> torch.Tensor:
        return tensor.pin_memory()

    def unpin_memory(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def is_pinned(self, tensor: torch.Tensor) -> bool:
        return tensor.is_pinned()

    def pin_empty(self, *size: Any, **kwargs: Any) -> torch.Tensor:
        return torch.empty(*size, pin_memory=True, **kwargs)

    def pin_empty_like(self, tensor: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return torch.empty_like(tensor, device="cpu", pin_memory=True, **kwargs)

    def range_push(self, message: str) -> None:
        torch.cuda.nvtx.range_push(message)

    def range_pop(self) -> None:
        torch.cuda.nvtx.range_pop()

    def create_graph(self) -> torch.cuda.CUDAGraph:
        return torch.cuda.CUDAGraph()

    def capture_to_graph(self, graph: Any, pool: Any = None, stream: Any = None) -> AbstractContextManager[None]:
        return torch.cuda.graph(graph, pool, stream)

    def replay_graph(self, graph: Any) -> None:
        graph.replay()

    def lazy_call(self, callback: Callable[[], Any]) -> Any:
        return torch.cuda._lazy_call(callback)

    def _legacy_tensor(self, dtype_name: str) -> Any:
        return getattr(torch.cuda, dtype_name)

    def export_envs(self) -> list[str]:
        return ["NCCL"]

"""OnDevice: modules made inside it have their parameters on one device and in one dtype from the start."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch


class OnDevice:
    """`with OnDevice(dtype=torch.bfloat16, device="meta"): model = Model()`: no memory, no initialisation work."""

    def __init__(self, dtype: torch.dtype, device: Any = "meta", enabled: bool = True) -> None:
        self._dtype = dtype
        self._device = device
        self._enabled = enabled
        self._entered = ExitStack()
        self._former_dtype: torch.dtype | None = None

    def __enter__(self) -> OnDevice:
        if self._enabled:
            self._former_dtype = torch.get_default_dtype()
            torch.set_default_dtype(self._dtype)
            self._entered.callback(torch.set_default_dtype, self._former_dtype)
            self._entered.enter_context(torch.device(self._device))
        return self

    def __exit__(self, *_: Any) -> None:
        self._entered.close()

"""The object of DeepSpeed's stage 3 whose hooks outside code (TRL) takes off a model around `generate` and puts back."""

from __future__ import annotations

from typing import Any

from torch import nn


class DeepSpeedZeRoOffload:
    """Looks after nothing: parameters are gathered when an operator touches them, not by hooks. So there is nothing to
    take off or to put back, and `generate` works either way."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.forward_hooks: list[Any] = []
        self.backward_hooks: list[Any] = []
        nothing: dict[str, nn.Parameter] = {}
        module.ds_external_parameters = nothing.items  # type: ignore[assignment]  # pickles without this package

    def _register_deepspeed_module(self, module: nn.Module) -> None:
        """Nothing to register."""

    def detach(self) -> None:
        """Takes off the module what was put on it."""
        self.module.__dict__.pop("ds_external_parameters", None)

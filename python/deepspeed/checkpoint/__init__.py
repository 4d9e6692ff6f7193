"""Helpers for saving state dicts by hand; engines save themselves with `engine.save_checkpoint`."""

from deepspeed._lazy import submodules

__getattr__ = submodules(__name__, ("utils",))

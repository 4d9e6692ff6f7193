"""What the engine raises: one hierarchy, and each class is also the builtin kind that a script would catch."""

from __future__ import annotations


class DeepSpeedError(Exception):
    """Base of all of them."""


class DeepSpeedConfigError(DeepSpeedError, ValueError):
    """A wrong or contradictory configuration; the message names the key and what was expected."""


class DeepSpeedValueError(DeepSpeedError, ValueError):
    """A wrong argument."""


class CommError(DeepSpeedError, RuntimeError):
    """A collective failed, or ranks disagree."""


class IoError(DeepSpeedError, OSError):
    """A system call on a file failed; `errno` and `filename` are set."""


class CheckpointError(DeepSpeedError, RuntimeError):
    """A checkpoint is missing, torn or does not fit the model."""


class NotSupported(DeepSpeedError, NotImplementedError):
    """Known, but not built yet or not possible here."""


class InternalError(DeepSpeedError, RuntimeError):
    """A bug of ours: please report it with the message."""

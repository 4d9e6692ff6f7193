"""The logger "DeepSpeed": warnings and worse to stdout, unless the script or the config's `log_level` say otherwise."""

from __future__ import annotations

import functools
import logging
import sys
from typing import Any, Iterable

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


class _CurrentStdout(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what sys.stdout is at the time of the message, so that redirections and captures see it."""

    @property
    def stream(self) -> Any:
        return sys.stdout

    @stream.setter
    def stream(self, value: object) -> None:
        pass  # the base class sets it once; sys.stdout decides


def _make_logger() -> logging.Logger:
    made = logging.getLogger("DeepSpeed")
    made.setLevel(logging.WARNING)
    made.propagate = False
    if not made.handlers:
        handler = _CurrentStdout()
        handler.setFormatter(
            logging.Formatter("[%(asctime)s] [%(levelname)s] [%(filename)s:%(lineno)d:%(funcName)s] %(message)s")
        )
        made.addHandler(handler)
    return made


logger = _make_logger()


def log_dist(message: str, ranks: Iterable[int] | None = None, level: int = logging.INFO) -> None:
    """Logs `message` with its rank on `ranks` only; -1 among them is all. None is all too, before ranks exist."""
    from deepspeed import comm

    rank = comm.get_rank() if comm.is_initialized() else -1
    chosen = list(ranks) if ranks is not None else []
    if rank == -1 or -1 in chosen or rank in chosen:
        logger.log(level, "[Rank %s] %s", rank, message, stacklevel=2)


@functools.lru_cache(maxsize=None)
def _first_time(message: str) -> bool:
    return True


def log_dist_once(message: str, ranks: Iterable[int] | None = None, level: int = logging.INFO) -> None:
    """As log_dist, the first time that this process gives `message`."""
    known = _first_time.cache_info().currsize
    _first_time(message)
    if _first_time.cache_info().currsize > known:
        log_dist(message, ranks, level)


def set_log_level_from_string(level: str, custom_logger: logging.Logger | None = None) -> None:
    """Sets the level by name; raises ValueError for an unknown one."""
    if level.lower() not in _LEVELS:
        raise ValueError(f"[deepspeed.utils] log_level: got {level!r}, expected one of {', '.join(_LEVELS)}.")
    (custom_logger or logger).setLevel(_LEVELS[level.lower()])

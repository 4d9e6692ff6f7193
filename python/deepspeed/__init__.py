"""DeepSpeed's interface on a native C++ engine.

`import deepspeed` is cheap: every name below is resolved at its first use, from the module that `_EXPORTS` gives.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from deepspeed import _backend_hook, _path_finder
from deepspeed._torch_range import check_torch_version
from deepspeed.git_version_info import git_branch, git_hash, version

check_torch_version()
_path_finder.install()
_backend_hook.install()

__version__ = version
__version_major__, __version_minor__, __version_patch__ = (int(part) for part in version.split("+")[0].split("."))
__git_hash__ = git_hash
__git_branch__ = git_branch

dist: Any = None
"""`deepspeed.comm` once `initialize` or `init_distributed` ran, None before."""

# Public name -> module that defines it.
_EXPORTS = {
    "DeepSpeedConfig": "deepspeed.runtime.config",
    "DeepSpeedConfigError": "deepspeed.runtime.config",
    "DeepSpeedDataLoader": "deepspeed.runtime.dataloader",
    "DeepSpeedEngine": "deepspeed.runtime.engine",
    "DeepSpeedOptimizer": "deepspeed.runtime",
    "DeepSpeedOptimizerCallable": "deepspeed.runtime.engine",
    "DeepSpeedSchedulerCallable": "deepspeed.runtime.engine",
    "OnDevice": "deepspeed.utils",
    "TORCH_DISTRIBUTED_DEFAULT_PORT": "deepspeed.constants",
    "get_accelerator": "deepspeed.accelerator",
    "log_dist": "deepspeed.utils",
    "logger": "deepspeed.utils",
}
_SUBMODULES = (
    "accelerator", "checkpoint", "checkpointing", "comm", "constants", "git_version_info", "launcher", "ops",
    "runtime", "utils", "zero",
)  # fmt: skip

__all__ = [
    "add_config_arguments",
    "init_distributed",
    "init_inference",
    "initialize",
    "tp_model_init",
    *_EXPORTS,
    *_SUBMODULES,
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(importlib.import_module(_EXPORTS[name]), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"deepspeed.{name}")
    else:
        landing = _path_finder.landing_message(f"deepspeed.{name}")
        raise AttributeError(landing or f"module 'deepspeed' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def initialize(
    args: Any = None,
    model: Any = None,
    optimizer: Any = None,
    model_parameters: Any = None,
    training_data: Any = None,
    lr_scheduler: Any = None,
    distributed_port: int = 29500,
    mpu: Any = None,
    dist_init_required: bool | None = None,
    collate_fn: Any = None,
    config: Any = None,
    mesh_param: Any = None,
    config_params: Any = None,
) -> tuple[Any, Any, Any, Any]:
    """Wraps `model` in an engine; every rank calls it with the same arguments.

    Returns (engine, optimizer, training dataloader or None, learning-rate scheduler or None). `config` is a dict, the
    path of a JSON file (comments allowed) or base64 of one; `config_params` is another name of it, and
    `args.deepspeed_config` a third. `optimizer` is a torch optimizer or a function of the parameters, `lr_scheduler`
    a scheduler or a function of the optimizer; without them the config's sections decide. Starts the process group
    where none is.
    Raises ValueError for wrong arguments and a wrong config.
    """
    from deepspeed.runtime.engine import DeepSpeedEngine

    if model is None:
        raise ValueError("[deepspeed.initialize] model: got None, expected a torch.nn.Module.")
    if config is not None and config_params is not None:
        raise ValueError("[deepspeed.initialize] config and config_params are two names of one argument: give one.")
    if mesh_param is not None and tuple(mesh_param)[1:] not in ((), (1,)):
        raise NotImplementedError(
            f"[deepspeed.initialize] mesh_param: got {mesh_param}, expected (ranks, 1). "
            "Sequence parallelism has not landed."
        )
    init_distributed(distributed_port=distributed_port, dist_init_required=dist_init_required)
    engine = DeepSpeedEngine(
        args,
        model,
        optimizer,
        model_parameters,
        training_data,
        lr_scheduler,
        mpu,
        collate_fn=collate_fn,
        config=_config_of(args, config if config is not None else config_params),
        mesh_device=mesh_param,
    )
    return engine, engine.optimizer, engine.training_dataloader, engine.lr_scheduler


def _config_of(args: Any, config: Any) -> Any:
    """The one config that was given, by argument or on the command line."""
    deprecated = getattr(args, "deepscale_config", None)
    from_args = getattr(args, "deepspeed_config", None) or deprecated
    if config is not None and from_args is not None:
        raise ValueError(
            f"[deepspeed.initialize] config: given twice, as an argument and as --deepspeed_config {from_args}."
        )
    chosen = config if config is not None else from_args
    if chosen is None:
        raise ValueError(
            "[deepspeed.initialize] config: got none. Pass config= (a dict or a path), or --deepspeed_config."
        )
    return chosen


def init_distributed(*args: Any, **kwargs: Any) -> None:
    """See `deepspeed.comm.init_distributed`."""
    global dist
    from deepspeed import comm

    comm.init_distributed(*args, **kwargs)
    dist = comm


def add_config_arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds --deepspeed and --deepspeed_config (and their old --deepscale names) to `parser`, which it returns."""
    group = parser.add_argument_group("DeepSpeed", "DeepSpeed configurations")
    group.add_argument("--deepspeed", action="store_true", help="train with DeepSpeed, as the script understands it")
    group.add_argument("--deepspeed_config", default=None, type=str, help="path of the DeepSpeed JSON config")
    group.add_argument("--deepscale", action="store_true", help="old name of --deepspeed")
    group.add_argument("--deepscale_config", default=None, type=str, help="old name of --deepspeed_config")
    return parser


def init_inference(model: Any, config: Any = None, **kwargs: Any) -> Any:
    """Not there yet."""
    raise NotImplementedError(_path_finder.landing_message("deepspeed.inference"))


def tp_model_init(model: Any, tp_size: int, dtype: Any, config: Any = None, **kwargs: Any) -> Any:
    """Not there yet, except for tp_size 1, which changes nothing."""
    if tp_size == 1:
        return model
    raise NotImplementedError(
        f"[deepspeed.tp_model_init] tp_size: got {tp_size}, expected 1. Tensor parallelism comes in a later version."
    )

"""What an engine is made of: the config's text, the optimizer, the C++ engine and the scheduler, chosen one by one."""

from __future__ import annotations

import functools
import inspect
import json
import logging
import os
from typing import TYPE_CHECKING, Any, Callable, Iterable, Union

import torch
from torch.optim import Optimizer

from deepspeed import _C
from deepspeed.errors import DeepSpeedConfigError
from deepspeed.runtime import lr_schedules
from deepspeed.runtime.external_optimizer import ExternalStep
from deepspeed.runtime.model_description import describe
from deepspeed.runtime.optimizer_adapter import EXTERNAL, ConfiguredOptimizer
from deepspeed.utils.log import logger

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine

DeepSpeedOptimizerCallable = Callable[[Union[Iterable[Any], dict[str, Iterable[Any]]]], Optimizer]
DeepSpeedSchedulerCallable = Callable[[Optimizer], Any]

_OUR_KERNELS = ("adam", "adamw", "sgd", "adagrad", "lion", "lamb")


def config_text(config: Any) -> str:
    """A config as the C++ engine takes it: JSON text of a dict, or the path or base64 that was given."""
    if isinstance(config, dict):
        return json.dumps(config, default=str)
    if hasattr(config, "_param_dict"):  # a DeepSpeedConfig
        return json.dumps(config._param_dict, default=str)
    return os.fspath(config)


def follow_log_level(level: str | None) -> None:
    """The engine's messages go to the logger "DeepSpeed", whose level they follow."""
    if level:
        logger.setLevel(getattr(logging, level.upper()))
    current = logger.getEffectiveLevel()
    _C.set_log_level({10: "debug", 20: "info", 40: "error", 50: "critical"}.get(current, "warning"))
    _send_messages_to_logger()


@functools.lru_cache(maxsize=None)
def _send_messages_to_logger() -> None:  # once: the function is kept for good
    _C.set_log_sink(lambda name, text: logger.log(getattr(logging, name.upper()), "%s", text))


def make_optimizer(engine: DeepSpeedEngine, given: Any, model_parameters: Any) -> Optimizer | None:
    """The given optimizer, or what the config's section asks for, or None."""
    parameters = (
        [p for p in engine.module.parameters() if p.requires_grad]
        if model_parameters is None
        else list(model_parameters)
    )
    if given is not None:
        return given if isinstance(given, Optimizer) else given(parameters)
    name = engine.optimizer_name()
    if name is None:
        return None
    params = _without_auto(engine.optimizer_params())
    if name.lower() in _OUR_KERNELS:
        return ConfiguredOptimizer(parameters, name.lower(), params)
    kind = getattr(torch.optim, name, None)
    if kind is None:
        raise ValueError(f"[deepspeed.initialize] optimizer.type: torch.optim has no class {name!r}.")
    return kind(parameters, **params)


def get_optimizer_configuration(
    engine: DeepSpeedEngine,
    optimizer_parameters: dict[str, Any],
    adam_w_mode: bool,
    allow_legacy_fallback: bool = False,
) -> tuple[type[Optimizer], dict[str, Any]]:
    """(the class behind the config's Adam or AdamW as an object of its own, its further arguments). Takes `torch_adam`
    and `fp32_optimizer_states` out of `optimizer_parameters`, as DeepSpeed does."""
    from deepspeed.ops.adam import FusedAdam

    is_torch = optimizer_parameters.pop("torch_adam", False)
    optimizer_parameters.pop("fp32_optimizer_states", None)
    if is_torch:
        kind = torch.optim.AdamW if adam_w_mode else torch.optim.Adam
        return kind, {"foreach": optimizer_parameters.pop("foreach", None)}
    return FusedAdam, {"adam_w_mode": adam_w_mode}


def make_core(engine: DeepSpeedEngine, text: str) -> tuple[_C.TrainingEngine, ExternalStep | None]:
    """The C++ engine over the module and its optimizer, and what steps an optimizer that has no kernel of ours."""
    kernel, groups, numbers = "", [], []
    if engine.optimizer is not None:
        groups, numbers, kernel = engine.optimizer.param_groups, engine.optimizer.numbers(), engine.optimizer.kernel
    if isinstance(engine.basic_optimizer, torch.optim.LBFGS):
        raise ValueError(
            "[deepspeed.initialize] LBFGS evaluates the loss several times a step: no engine.step() can run it."
        )
    description = describe(engine.module, groups, kernel, numbers)
    core = _C.TrainingEngine(description, text, engine.groups.reductions, engine.groups.gathers)
    if engine.basic_optimizer is None or kernel != EXTERNAL:
        return core, None
    external = ExternalStep(engine.basic_optimizer, dict(engine.module.named_parameters()))
    core.set_external_step(external)
    return core, external


def make_scheduler(engine: DeepSpeedEngine, given: Any) -> Any:
    """The given scheduler, or what the config's section asks for, or None."""
    if given is not None:
        return given(engine.optimizer) if callable(given) and not hasattr(given, "step") else given
    name = engine.scheduler_name()
    if name is None or engine.basic_optimizer is None:
        return None
    ours = name in lr_schedules.VALID_LR_SCHEDULES
    kind = getattr(lr_schedules if ours else torch.optim.lr_scheduler, name, None)
    if kind is None:
        raise ValueError(
            f"[deepspeed.initialize] scheduler.type: {name!r} is neither one of {lr_schedules.VALID_LR_SCHEDULES} "
            "nor a torch scheduler."
        )
    params = _without_auto(engine.scheduler_params())
    for key, parameter in list(inspect.signature(kind).parameters.items())[1:]:  # the first is the optimizer
        if parameter.default is inspect.Parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            _check_given(name, key, params, engine.scheduler_params() or {})
    return kind(engine.optimizer, **params)


def _check_given(scheduler: str, key: str, params: dict[str, Any], raw: dict[str, Any]) -> None:
    if key not in params:
        found = 'is "auto", which only the Hugging Face Trainer fills in' if key in raw else "is absent"
        raise DeepSpeedConfigError(
            f"[deepspeed.initialize] scheduler.params.{key} {found}: {scheduler} needs it. Write a number."
        )


def _without_auto(params: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (params or {}).items() if value != "auto"}

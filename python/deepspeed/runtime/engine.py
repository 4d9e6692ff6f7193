"""The engine that `deepspeed.initialize` returns: DeepSpeed's interface, translated to the C++ engine behind `core`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import weakref
from typing import Any, Callable, Iterable, Iterator, Union

import torch
from torch import nn
from torch.optim import Optimizer

from deepspeed import _C, comm
from deepspeed.accelerator import get_accelerator
from deepspeed.runtime import client_state as typed
from deepspeed.runtime import lr_schedules
from deepspeed.runtime.config_queries import ConfigQueries
from deepspeed.runtime.dataloader import DeepSpeedDataLoader
from deepspeed.runtime.external_optimizer import ExternalStep
from deepspeed.runtime.model_description import describe
from deepspeed.runtime.optimizer_adapter import EXTERNAL, ConfiguredOptimizer, DeepSpeedZeroOptimizer
from deepspeed.utils import groups as process_groups
from deepspeed.utils.log import logger
from deepspeed.utils.timer import NoopTimer

DeepSpeedOptimizerCallable = Callable[[Union[Iterable[Any], dict[str, Iterable[Any]]]], Optimizer]
DeepSpeedSchedulerCallable = Callable[[Optimizer], Any]
MEMORY_OPT_ALLREDUCE_SIZE = 500_000_000

_ENGINES: weakref.WeakSet[DeepSpeedEngine] = weakref.WeakSet()
_OUR_KERNELS = ("adam", "adamw", "sgd", "adagrad", "lion", "lamb")


def engine_of(parameter: nn.Parameter) -> tuple[DeepSpeedEngine, str] | None:
    """The live engine that trains `parameter`, and its name there."""
    for engine in _ENGINES:
        name = engine.param_names.get(parameter)
        if name is not None and not engine.is_destroyed:
            return engine, name
    return None


def initialize_engine(
    *,
    args: Any,
    model: nn.Module,
    optimizer: Any,
    model_parameters: Any,
    training_data: Any,
    lr_scheduler: Any,
    mpu: Any,
    collate_fn: Any,
    config: Any,
    mesh_param: Any,
) -> tuple[DeepSpeedEngine, Any, Any, Any]:
    """See `deepspeed.initialize`; the process group exists."""
    engine = DeepSpeedEngine(
        args=args,
        model=model,
        optimizer=optimizer,
        model_parameters=model_parameters,
        training_data=training_data,
        lr_scheduler=lr_scheduler,
        mpu=mpu,
        collate_fn=collate_fn,
        config=config,
        mesh_device=mesh_param,
    )
    return engine, engine.optimizer, engine.training_dataloader, engine.lr_scheduler


class DeepSpeedEngine(ConfigQueries, nn.Module):
    """Trains one module over all ranks. Attributes that it has not are the module's."""

    def __init__(
        self,
        args: Any,
        model: nn.Module,
        optimizer: Any = None,
        model_parameters: Any = None,
        training_data: Any = None,
        lr_scheduler: Any = None,
        mpu: Any = None,
        dist_init_required: bool | None = None,
        collate_fn: Any = None,
        config: Any = None,
        config_class: Any = None,
        mesh_device: Any = None,
        dont_change_device: bool = False,
    ) -> None:
        nn.Module.__init__(self)
        self.mpu = mpu
        self.collate_fn = collate_fn
        self.training_data = training_data
        self.client_optimizer = optimizer
        self.is_destroyed = False
        self.global_rank = comm.get_rank() if comm.is_initialized() else 0
        self.local_rank = int(os.environ.get("LOCAL_RANK", getattr(args, "local_rank", None) or 0))
        self.data_parallel_group = (
            mpu.get_data_parallel_group() if mpu is not None else process_groups.get_data_parallel_group()
        )
        self.dp_world_size = comm.get_world_size(self.data_parallel_group)
        self.world_size = comm.get_world_size()
        self.mp_world_size = 1
        text, effective = _C.resolve_config(_config_argument(config), self.dp_world_size)
        self.config: dict[str, Any] = config if isinstance(config, dict) else json.loads(text)
        self._effective: dict[str, Any] = json.loads(effective)
        _follow_log_level(self.log_level())
        accelerator = get_accelerator()
        self.device = torch.device(accelerator.current_device_name())
        if not dont_change_device and self.device.type != "cpu":
            model.to(self.device)
        self.module = model
        self.training = model.training
        self._order_hooks: list[Any] = []
        self._external_step: ExternalStep | None = None
        self.basic_optimizer = self._make_optimizer(optimizer, model_parameters)
        self.optimizer = None if self.basic_optimizer is None else DeepSpeedZeroOptimizer(self.basic_optimizer, self)
        self.core = self._make_core(text)
        self.param_names = {parameter: name for name, parameter in model.named_parameters()}
        self._compute_dtype = {True: torch.float16, False: torch.bfloat16 if self.bfloat16_enabled() else None}[
            self.fp16_enabled()
        ]
        self._casts_inputs = (
            self._compute_dtype is not None and (self.config.get("fp16") or {}).get("auto_cast") is not False
        )
        self.lr_scheduler = self._make_scheduler(lr_scheduler)
        self.training_dataloader = self.deepspeed_io(training_data) if training_data is not None else None
        self.timers = NoopTimer()
        self._attach_hooks()
        self._last_applied = False
        _ENGINES.add(self)
        logger.info(
            "DeepSpeed info: version=%s, stage=%s, %s ranks",
            _version(),
            self.zero_optimization_stage(),
            self.dp_world_size,
        )

    # --- set-up --------------------------------------------------------------------------------------------------
    def _make_optimizer(self, optimizer: Any, model_parameters: Any) -> Optimizer | None:
        parameters = (
            [p for p in self.module.parameters() if p.requires_grad]
            if model_parameters is None
            else list(model_parameters)
        )
        if optimizer is not None:
            return optimizer if isinstance(optimizer, Optimizer) else optimizer(parameters)
        name = self.optimizer_name()
        if name is None:
            return None
        params = {key: value for key, value in (self.optimizer_params() or {}).items() if value != "auto"}
        if name.lower() in _OUR_KERNELS:
            return ConfiguredOptimizer(parameters, name.lower(), params)
        kind = getattr(torch.optim, name, None)
        if kind is None:
            raise ValueError(f"[deepspeed.initialize] optimizer.type: torch.optim has no class {name!r}.")
        return kind(parameters, **params)

    def _make_core(self, config_text: str) -> _C.TrainingEngine:
        kernel, groups, numbers = "", [], []
        if self.optimizer is not None:
            groups, numbers, kernel = self.optimizer.param_groups, self.optimizer.numbers(), self.optimizer.kernel
        if isinstance(self.basic_optimizer, torch.optim.LBFGS):
            raise ValueError(
                "[deepspeed.initialize] LBFGS evaluates the loss several times a step: no engine.step() can run it."
            )
        group = None
        if self.dp_world_size > 1:
            ranks = comm.get_all_ranks_from_group(self.data_parallel_group) if self.mpu is not None else None
            group = comm.new_group(ranks)  # of the engine's own: its messages are counted
        core = _C.TrainingEngine(describe(self.module, groups, kernel, numbers), config_text, group)
        if kernel == EXTERNAL:
            self._external_step = ExternalStep(self.basic_optimizer, dict(self.module.named_parameters()))
            core.set_external_step(self._external_step)
        return core

    def _make_scheduler(self, given: Any) -> Any:
        if given is not None:
            return given(self.optimizer) if callable(given) and not hasattr(given, "step") else given
        name = self.scheduler_name()
        if name is None or self.optimizer is None:
            return None
        kind = (
            getattr(lr_schedules, name, None)
            if name in lr_schedules.VALID_LR_SCHEDULES
            else getattr(torch.optim.lr_scheduler, name, None)
        )
        if kind is None:
            raise ValueError(
                f"[deepspeed.initialize] scheduler.type: {name!r} is neither one of {lr_schedules.VALID_LR_SCHEDULES} nor a torch scheduler."
            )
        params = {key: value for key, value in (self.scheduler_params() or {}).items() if value != "auto"}
        return kind(self.optimizer, **params)

    def _attach_hooks(self) -> None:
        """The root's hook stays; the others only tell the first forward's order, from which reductions are ordered."""
        core = weakref.proxy(self)
        for index, (path, module) in enumerate(self.module.named_modules()):
            if path and next(module.parameters(recurse=False), None) is None:
                continue
            self._order_hooks.append(module.register_forward_pre_hook(_forward_event(core, index)))

    def _before_forward(self, index: int) -> None:
        if self.is_destroyed or not torch.is_grad_enabled():
            return
        self.core.before_forward(index)
        if index and not self.core.wants_module_events():
            self._drop_order_hooks(keep_root=True)

    def _drop_order_hooks(self, keep_root: bool) -> None:
        for handle in self._order_hooks[1 if keep_root else 0 :]:
            handle.remove()
        del self._order_hooks[1 if keep_root else 0 :]

    # --- training --------------------------------------------------------------------------------------------------
    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """The module's output. Under fp16 and bf16 float32 inputs are cast, unless fp16.auto_cast is false."""
        if self._casts_inputs:
            inputs = tuple(_cast(each, self._compute_dtype) for each in inputs)
            kwargs = {name: _cast(each, self._compute_dtype) for name, each in kwargs.items()}
        return self.module(*inputs, **kwargs)

    def scale(self, loss: torch.Tensor) -> torch.Tensor:
        """`loss` times the loss scale, for a backward that you run yourself."""
        return loss * self.core.loss_scale()

    def backward(
        self, loss: torch.Tensor, retain_graph: bool = False, scale_wrt_gas: bool = True, **kwargs: Any
    ) -> torch.Tensor:
        """Gradients of `loss`, reduced when their time has come; returns the loss over gradient_accumulation_steps."""
        if not isinstance(loss, torch.Tensor):
            raise ValueError(f"[deepspeed.engine] backward: got a {type(loss).__name__}, expected a scalar tensor.")
        self.core.backward(loss, retain_graph, scale_wrt_gas)
        return loss.detach() / self.gradient_accumulation_steps() if scale_wrt_gas else loss.detach()

    def step(self, lr_kwargs: dict[str, Any] | None = None) -> None:
        """At a boundary: clip, step, gather, advance the scheduler. Otherwise only counts the micro-batch."""
        outcome = self.core.step(self.optimizer.numbers() if self.optimizer is not None else [])
        if not outcome.at_boundary:
            return
        self._last_applied = outcome.applied
        if outcome.applied:  # torch's schedulers ask whether the optimizer stepped before them
            self.optimizer._opt_called = self.basic_optimizer._opt_called = True
        if outcome.applied and self.lr_scheduler is not None:
            self.lr_scheduler.step(**(lr_kwargs or {}))
        every = self.steps_per_print()
        if every and self.global_steps % int(every) == 0 and self.global_rank == 0:
            logger.info(
                "step=%d, skipped=%d, lr=%s, mom=%s",
                self.global_steps,
                self.skipped_steps,
                self.get_lr(),
                self.get_mom(),
            )

    def is_gradient_accumulation_boundary(self) -> bool:
        return self.core.is_gradient_accumulation_boundary()

    def set_gradient_accumulation_boundary(self, is_boundary: bool) -> None:
        """Overrides the count of micro-batches, until it is set again."""
        self.core.set_gradient_accumulation_boundary(is_boundary)

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Inside, gradients stay on this rank; works at every stage."""
        self.core.enter_no_sync()
        try:
            yield
        finally:
            self.core.exit_no_sync()

    coalesce_grad_reduction = no_sync

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops `.grad` of all parameters."""
        for parameter in self.module.parameters():
            parameter.grad = None

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        self.training = mode
        self.module.train(mode)

    def eval(self) -> None:  # type: ignore[override]
        self.train(False)

    # --- numbers -----------------------------------------------------------------------------------------------------
    @property
    def global_steps(self) -> int:
        return self.core.progress.global_steps

    @property
    def global_samples(self) -> int:
        return self.core.progress.global_samples

    @property
    def micro_steps(self) -> int:
        return self.core.progress.micro_steps

    @property
    def skipped_steps(self) -> int:
        return self.core.progress.skipped_steps

    def get_global_grad_norm(self) -> float | None:
        """The norm of the last step's gradients, before clipping."""
        return self.core.global_grad_norm()

    def was_step_applied(self) -> bool:
        """Whether the last boundary step changed the weights (an overflow skips it)."""
        return self._last_applied

    def train_batch_size(self) -> int:
        return self.core.train_batch_size()

    def train_micro_batch_size_per_gpu(self) -> int:
        return self.core.train_micro_batch_size_per_gpu()

    def gradient_accumulation_steps(self) -> int:
        return self.core.gradient_accumulation_steps()

    def get_batch_info(self) -> tuple[Any, Any, Any]:
        return self.train_batch_size, self.train_micro_batch_size_per_gpu, self.gradient_accumulation_steps

    def set_train_batch_size(self, train_batch_size: int) -> None:
        """Changes gradient_accumulation_steps to fit; ValueError where it does not divide."""
        per_micro_step = self.train_micro_batch_size_per_gpu() * self.dp_world_size
        if train_batch_size % per_micro_step:
            raise ValueError(
                f"[deepspeed.engine] train_batch_size: got {train_batch_size}, expected a multiple of {per_micro_step}."
            )
        self.core.set_gradient_accumulation_steps(train_batch_size // per_micro_step)

    def get_lr(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups] if self.optimizer else []

    def get_type(self) -> list[Any]:
        return [group.get("type") for group in self.optimizer.param_groups] if self.optimizer else []

    def get_mom(self) -> list[Any]:
        momentum = self.optimizer is not None and self.optimizer.kernel == "sgd"
        key = "momentum" if momentum else "betas"
        return [group.get(key, 0.0) for group in self.optimizer.param_groups] if self.optimizer else []

    def get_data_types(self) -> tuple[torch.dtype, torch.dtype]:
        accumulation = self._config_value("data_types.grad_accum_dtype")
        return self._compute_dtype or torch.float32, getattr(torch, accumulation) if accumulation else torch.float32

    def get_data_parallel_rank(self) -> int:
        return comm.get_rank(self.data_parallel_group)

    def get_model_parallel_rank(self) -> int:
        return 0

    get_tensor_parallel_rank = get_model_parallel_rank

    def get_sequence_parallel_group(self) -> Any:
        return None

    def memory(self) -> dict[str, float]:
        """Bytes that this rank holds by role, beside what the formula says."""
        return self.core.memory()

    def print_effective_config(self) -> None:
        """Prints every config value with its origin."""
        print(self.core.effective_config())

    # --- data --------------------------------------------------------------------------------------------------------
    def deepspeed_io(
        self,
        dataset: Any,
        batch_size: int | None = None,
        route: str = "train",
        pin_memory: bool = True,
        data_sampler: Any = None,
        collate_fn: Any = None,
        num_local_io_workers: int | None = None,
    ) -> DeepSpeedDataLoader:
        """A loader over this rank's part of `dataset`, in micro-batches."""
        return DeepSpeedDataLoader(
            dataset,
            batch_size or self.train_micro_batch_size_per_gpu(),
            pin_memory,
            self.local_rank,
            None,
            collate_fn=collate_fn or self.collate_fn,
            num_local_io_workers=num_local_io_workers,
            data_sampler=data_sampler,
            data_parallel_world_size=self.dp_world_size,
            data_parallel_rank=self.get_data_parallel_rank(),
            dataloader_drop_last=bool(self.dataloader_drop_last()),
        )

    # --- checkpoints -------------------------------------------------------------------------------------------------
    def save_checkpoint(
        self,
        save_dir: str,
        tag: str | None = None,
        client_state: dict[str, Any] | None = None,
        save_latest: bool = True,
        exclude_frozen_parameters: bool = False,
    ) -> bool:
        """Writes SAVE_DIR/TAG on all ranks together, and `latest`. `client_state` may hold numbers, text, containers,
        arrays and tensors; anything else is a TypeError with its path."""
        if not save_dir:
            raise ValueError("[deepspeed.engine] save_checkpoint: save_dir is empty.")
        state = {
            "user": client_state or {},
            "lr_scheduler": self.lr_scheduler.state_dict() if self.lr_scheduler is not None else None,
            "optimizer": self.optimizer.state_dict() if self.optimizer is not None else None,
        }
        encoded, tensors = typed.encode(state, "client_state")
        chosen = str(tag) if tag is not None else f"global_step{self.global_steps}"
        owned = [_C.OwnedState(*each) for each in self._external_step.states()] if self._external_step else []
        self.core.save_checkpoint(
            str(save_dir), chosen, json.dumps(encoded), tensors, save_latest, exclude_frozen_parameters, owned
        )
        return True

    def load_checkpoint(
        self,
        load_dir: str,
        tag: str | None = None,
        load_module_strict: bool = True,
        load_optimizer_states: bool = True,
        load_lr_scheduler_states: bool = True,
        load_module_only: bool = False,
        custom_load_fn: Any = None,
    ) -> tuple[str | None, dict[str, Any] | None]:
        """(path, client_state) of a checkpoint of any stage and world size; (None, None) with a warning where load_dir
        has no `latest` and no tag is given."""
        if tag is None and not os.path.exists(os.path.join(load_dir, "latest")):
            logger.warning(
                "load_checkpoint: %s has no file `latest`, and no tag was given: nothing was loaded", load_dir
            )
            return None, None
        loaded = self.core.load_checkpoint(
            str(load_dir), tag, load_module_strict, load_module_only, load_optimizer_states
        )
        state = typed.decode(json.loads(loaded.client_state), loaded.tensors, "client_state")
        if not load_module_only:
            if load_lr_scheduler_states and self.lr_scheduler is not None and state.get("lr_scheduler") is not None:
                self.lr_scheduler.load_state_dict(state["lr_scheduler"])
            if load_optimizer_states and self.optimizer is not None and state.get("optimizer") is not None:
                self.optimizer.load_state_dict(state["optimizer"])
            if load_optimizer_states and self._external_step is not None:
                self._external_step.load_states(loaded.owned_states)
        return loaded.path, state.get("user", {})

    def save_16bit_model(
        self, save_dir: str, save_filename: str = "pytorch_model.bin", exclude_frozen_parameters: bool = False
    ) -> bool:
        """Rank 0 writes the module's state dict with torch.save, tensors only."""
        if self.global_rank == 0:
            os.makedirs(save_dir, exist_ok=True)
            torch.save(
                self.module_state_dict(exclude_frozen_parameters=exclude_frozen_parameters),
                os.path.join(save_dir, save_filename),
            )
        self.core.barrier()
        return True

    save_fp16_model = save_16bit_model

    def module_state_dict(
        self,
        destination: Any = None,
        prefix: str = "",
        keep_vars: bool = False,
        exclude_frozen_parameters: bool = False,
    ) -> dict[str, torch.Tensor]:
        """The module's state dict; frozen parameters can be left out."""
        state = self.module.state_dict(destination=destination, prefix=prefix, keep_vars=keep_vars)
        if exclude_frozen_parameters:
            for name, parameter in self.module.named_parameters():
                if not parameter.requires_grad:
                    state.pop(prefix + name, None)
        return state

    def load_module_state_dict(self, checkpoint: dict[str, Any], strict: bool = True, **kwargs: Any) -> None:
        """Loads weights into the module; master weights follow at once."""
        self.module.load_state_dict(checkpoint.get("module", checkpoint), strict=strict)
        for name, parameter in self.module.named_parameters():
            if name in self.param_names.values():
                self.core.set_full_fp32_parameter(name, parameter.detach().float())

    def _consolidated_16bit_state_dict(self, exclude_frozen_parameters: bool = False) -> dict[str, torch.Tensor] | None:
        return (
            self.module_state_dict(exclude_frozen_parameters=exclude_frozen_parameters)
            if self.global_rank == 0
            else None
        )

    _zero3_consolidated_16bit_state_dict = _consolidated_16bit_state_dict

    # --- the end -----------------------------------------------------------------------------------------------------
    def compile(self, backend: str | None = None, compile_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Compiles the module in place with torch.compile."""
        self.module.compile(**({"backend": backend} if backend else {}), **(compile_kwargs or {}))

    def destroy(self) -> None:
        """Gives the module its parameters back and frees everything else."""
        if self.is_destroyed:
            return
        self.is_destroyed = True
        self._drop_order_hooks(keep_root=False)
        self.core.destroy()

    def empty_partition_cache(self) -> None:
        """Nothing is cached at stages 0 to 2."""

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__.get("_modules", {})
        if name in modules:
            return modules[name]
        module = modules.get("module")
        if module is not None and name != "core":
            with contextlib.suppress(AttributeError):
                return getattr(module, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


def _forward_event(engine: Any, index: int) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: Any) -> None:
        with contextlib.suppress(ReferenceError):  # the engine is gone, the module lives on
            engine._before_forward(index)

    return hook


def _cast(value: Any, dtype: torch.dtype | None) -> Any:
    if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
        return value.to(dtype)
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(_cast(each, dtype) for each in value)
    if type(value) is dict:
        return {key: _cast(each, dtype) for key, each in value.items()}
    return value


def _config_argument(config: Any) -> str:
    if isinstance(config, dict):
        return json.dumps(config, default=str)
    if hasattr(config, "_param_dict"):  # a DeepSpeedConfig
        return json.dumps(config._param_dict, default=str)
    return os.fspath(config)


def _follow_log_level(level: str | None) -> None:
    """The engine's messages go to the logger "DeepSpeed", whose level they follow."""
    if level:
        logger.setLevel(getattr(logging, level.upper()))
    current = logger.getEffectiveLevel()
    _C.set_log_level({10: "debug", 20: "info", 40: "error", 50: "critical"}.get(current, "warning"))
    _C.set_log_sink(lambda name, text: logger.log(getattr(logging, name.upper()), "%s", text))


def _version() -> str:
    from deepspeed.git_version_info import version

    return version

"""The engine that `deepspeed.initialize` returns: DeepSpeed's interface, translated to the C++ engine behind `core`.

Here are its set-up and the calls of a training step. What it answers, saves and loads are functions of modules beside
this one, bound as methods.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Iterator

import torch
from torch import nn

from deepspeed import _C, comm
from deepspeed.accelerator import get_accelerator
from deepspeed.git_version_info import version
from deepspeed.runtime import checkpoints, construction, live_engines, module_state, progress, training_data
from deepspeed.runtime.config_queries import ConfigQueries
from deepspeed.runtime.construction import DeepSpeedOptimizerCallable, DeepSpeedSchedulerCallable
from deepspeed.runtime.forward_events import ForwardEvents
from deepspeed.runtime.input_cast import cast_inputs
from deepspeed.runtime.optimizer_adapter import DeepSpeedZeroOptimizer
from deepspeed.utils import groups as process_groups
from deepspeed.utils.log import logger
from deepspeed.utils.timer import NoopTimer

__all__ = [
    "MEMORY_OPT_ALLREDUCE_SIZE",
    "DeepSpeedEngine",
    "DeepSpeedOptimizerCallable",
    "DeepSpeedSchedulerCallable",
]

MEMORY_OPT_ALLREDUCE_SIZE = 500_000_000


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
        """See `deepspeed.initialize`; the process group exists."""
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
        text, effective = _C.resolve_config(construction.config_text(config), self.dp_world_size)
        self.config: dict[str, Any] = config if isinstance(config, dict) else json.loads(text)
        self._effective: dict[str, Any] = json.loads(effective)
        construction.follow_log_level(self.log_level())
        self.device = torch.device(get_accelerator().current_device_name())
        if not dont_change_device and self.device.type != "cpu":
            model.to(self.device)
        self.module = model
        self.training = model.training
        self.basic_optimizer = construction.make_optimizer(self, optimizer, model_parameters)
        self.optimizer = None if self.basic_optimizer is None else DeepSpeedZeroOptimizer(self.basic_optimizer, self)
        self.core, self.external_step = construction.make_core(self, text)
        self.param_names = {parameter: name for name, parameter in model.named_parameters()}
        self.compute_dtype = (
            torch.float16 if self.fp16_enabled() else torch.bfloat16 if self.bfloat16_enabled() else None
        )
        self._casts_inputs = (self.config.get("fp16") or {}).get("auto_cast") is not False
        self.lr_scheduler = construction.make_scheduler(self, lr_scheduler)
        self.training_dataloader = self.deepspeed_io(training_data) if training_data is not None else None
        self.timers = NoopTimer()
        self._forward_events = ForwardEvents(model, self.core)
        self._last_applied = False
        live_engines.add(self)
        logger.info(
            "DeepSpeed info: version=%s, stage=%s, %s ranks",
            version,
            self.zero_optimization_stage(),
            self.dp_world_size,
        )

    # --- training --------------------------------------------------------------------------------------------------
    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """The module's output. Under fp16 and bf16 float32 inputs are cast, unless fp16.auto_cast is false."""
        if self.compute_dtype is not None and self._casts_inputs:
            inputs, kwargs = cast_inputs(inputs, self.compute_dtype), cast_inputs(kwargs, self.compute_dtype)
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

    def was_step_applied(self) -> bool:
        """Whether the last boundary step changed the weights (an overflow skips it)."""
        return self._last_applied

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

    # --- numbers ---------------------------------------------------------------------------------------------------
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

    get_global_grad_norm = progress.get_global_grad_norm
    train_batch_size = progress.train_batch_size
    train_micro_batch_size_per_gpu = progress.train_micro_batch_size_per_gpu
    gradient_accumulation_steps = progress.gradient_accumulation_steps
    get_batch_info = progress.get_batch_info
    set_train_batch_size = progress.set_train_batch_size
    get_lr, get_type, get_mom = progress.get_lr, progress.get_type, progress.get_mom
    get_data_types = progress.get_data_types
    memory, print_effective_config = progress.memory, progress.print_effective_config

    def get_data_parallel_rank(self) -> int:
        return comm.get_rank(self.data_parallel_group)

    def get_model_parallel_rank(self) -> int:
        return 0

    get_tensor_parallel_rank = get_model_parallel_rank

    def get_sequence_parallel_group(self) -> Any:
        return None

    # --- data and checkpoints --------------------------------------------------------------------------------------
    deepspeed_io = training_data.deepspeed_io
    save_checkpoint, load_checkpoint = checkpoints.save_checkpoint, checkpoints.load_checkpoint
    save_16bit_model = save_fp16_model = module_state.save_16bit_model
    module_state_dict = module_state.module_state_dict
    load_module_state_dict = module_state.load_module_state_dict
    _consolidated_16bit_state_dict = module_state.consolidated_16bit_state_dict
    _zero3_consolidated_16bit_state_dict = module_state.consolidated_16bit_state_dict

    # --- the end ---------------------------------------------------------------------------------------------------
    def compile(self, backend: str | None = None, compile_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Compiles the module in place with torch.compile."""
        self.module.compile(**({"backend": backend} if backend else {}), **(compile_kwargs or {}))

    def destroy(self) -> None:
        """Gives the module its parameters back and frees everything else."""
        if self.is_destroyed:
            return
        self.is_destroyed = True
        self._forward_events.detach()
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

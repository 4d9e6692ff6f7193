"""The engine that `deepspeed.initialize` returns: DeepSpeed's interface, translated to the C++ engine behind `core`.

Here are its set-up and the calls of a training step. What it answers, saves and loads are functions of modules beside
this one, bound as methods.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any, Callable, Iterator

import torch
from torch import nn

from deepspeed import _C
from deepspeed.accelerator import get_accelerator
from deepspeed.git_version_info import version
from deepspeed.runtime import (
    batch_sizes,
    checkpoints,
    compilation,
    construction,
    gradient_collectives,
    live_engines,
    module_state,
    progress,
    python_gc,
    sharding,
    training_data,
)
from deepspeed.runtime.config_queries import ConfigQueries
from deepspeed.runtime.construction import DeepSpeedOptimizerCallable, DeepSpeedSchedulerCallable
from deepspeed.runtime.engine_groups import EngineGroups
from deepspeed.runtime.forward_events import ForwardEvents
from deepspeed.runtime.gradient_collectives import MEMORY_OPT_ALLREDUCE_SIZE
from deepspeed.runtime.input_cast import cast_inputs
from deepspeed.runtime.monitor import SilentMonitor
from deepspeed.runtime.not_landed import NotLandedMethods
from deepspeed.runtime.optimizer_adapter import DeepSpeedZeroOptimizer
from deepspeed.runtime.structure_watch import StructureWatch
from deepspeed.runtime.topology import Topology, take_ranks
from deepspeed.utils.leaf_modules import set_z3_leaf_module
from deepspeed.utils.log import logger
from deepspeed.utils.timer import NoopTimer, ThroughputTimer

__all__ = [
    "MEMORY_OPT_ALLREDUCE_SIZE",
    "DeepSpeedEngine",
    "DeepSpeedOptimizerCallable",
    "DeepSpeedSchedulerCallable",
]


class DeepSpeedEngine(ConfigQueries, Topology, NotLandedMethods, nn.Module):
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
        take_ranks(self, args, mpu)
        self.collate_fn = collate_fn
        self.training_data = training_data
        self.client_optimizer = optimizer
        self.is_destroyed = False
        config = config if config is not None else config_class
        text, effective = _C.resolve_config(construction.config_text(config), self.dp_world_size)
        self.config: dict[str, Any] = config if isinstance(config, dict) else json.loads(text)
        self._effective: dict[str, Any] = json.loads(effective)
        construction.follow_log_level(self.log_level())
        self.device = torch.device(get_accelerator().current_device_name())
        if not dont_change_device and self.device.type != "cpu" and not sharding.has_sharded(model):
            model.to(self.device)
        self.module = model
        self.training = model.training
        self.compute_dtype = (
            torch.float16 if self.fp16_enabled() else torch.bfloat16 if self.bfloat16_enabled() else None
        )
        self._casts_inputs = bool(self.fp16_enabled() and self.fp16_auto_cast())
        self.basic_optimizer = construction.make_optimizer(self, optimizer, model_parameters)
        self.optimizer: Any = None
        if self.basic_optimizer is not None:
            self.optimizer = DeepSpeedZeroOptimizer(self.basic_optimizer, self)
        sharding.check(model, self.zero_optimization_stage())
        earlier = live_engines.engines_over(model)
        for engine in earlier:  # a second Trainer of one model, say: the model is the new engine's from here on
            engine.core.hand_over()
        self.groups = EngineGroups(self)
        self.core, self.external_step = construction.make_core(self, text)
        self.groups.used_by(self.core)
        for engine in earlier:
            logger.info("an earlier engine's parameters were taken over by a new one: it cannot train any more")
            engine.abandon()
        for path in self.core.leaf_modules():
            set_z3_leaf_module(model.get_submodule(path))
        self.sharding = sharding.Sharding(model, self.zero_optimization_stage())
        if self.optimizer is None:
            self.optimizer = self.sharding.parameter_offload  # as outside code expects it of stage 3
        self.micro_batch_size: int = self.core.train_micro_batch_size_per_gpu()
        self.param_names = {parameter: name for name, parameter in model.named_parameters()}
        self.lr_scheduler = construction.make_scheduler(self, lr_scheduler)
        self.timers, self.monitor = NoopTimer(), SilentMonitor()
        self.tput_timer = ThroughputTimer(None, self.train_batch_size(), steps_per_output=self.steps_per_print())
        self._measures_throughput = bool(self.steps_per_print() and self.config_value("timers.throughput.enabled"))
        self.training_dataloader = self.deepspeed_io(training_data) if training_data is not None else None
        self.flops_profiler = self.checkpoint_engine = None
        self.loaded_checkpoint: str | None = None
        self.save_non_zero_checkpoint = self.get_data_parallel_rank() == 0
        self.save_zero_checkpoint = self.zero_optimization()
        self.enable_backward_allreduce = True
        self._last_applied = self._is_compiled = False
        self._wants_forward_end = self.core.wants_forward_end()
        self._forward_events = ForwardEvents(model, self.core)
        self._structure_watch = StructureWatch(model)
        self._gc_hold = python_gc.hold_off(self) if self.config_value("disable_python_gc") else None
        live_engines.add(self)
        logger.info(
            "DeepSpeed info: version=%s, stage=%s, %s ranks",
            version,
            self.zero_optimization_stage(),
            self.dp_world_size,
        )

    # --- training --------------------------------------------------------------------------------------------------
    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """The module's output. Under fp16 float32 inputs are cast, unless fp16.auto_cast is false."""
        if self._casts_inputs:
            inputs, kwargs = cast_inputs(inputs, torch.float16), cast_inputs(kwargs, torch.float16)
        if self._measures_throughput and self.module.training:
            self.tput_timer.start()
        outputs = self.module(*inputs, **kwargs)
        if self._wants_forward_end:
            self.core.after_forward()
        return outputs

    def scale(self, loss: torch.Tensor) -> torch.Tensor:
        """`loss` times the loss scale, for a backward that you run yourself."""
        return loss * self.core.loss_scale()

    def backward(
        self, loss: torch.Tensor, retain_graph: bool = False, scale_wrt_gas: bool = True, **kwargs: Any
    ) -> torch.Tensor:
        """Gradients of `loss`, reduced when their time has come; returns the loss over gradient_accumulation_steps."""
        if not isinstance(loss, torch.Tensor):
            raise ValueError(f"[deepspeed.engine] backward: got a {type(loss).__name__}, expected a scalar tensor.")
        with contextlib.nullcontext() if self.enable_backward_allreduce else self.no_sync():
            self.core.backward(loss, retain_graph, scale_wrt_gas)
        return loss.detach() / self.gradient_accumulation_steps() if scale_wrt_gas else loss.detach()

    def step(self, lr_kwargs: dict[str, Any] | None = None) -> None:
        """At a boundary: clip, step, gather, advance the scheduler. Otherwise only counts the micro-batch."""
        outcome = self.core.step(self.optimizer.numbers() if self.basic_optimizer is not None else [])
        if self._measures_throughput:
            self.tput_timer.stop(global_step=outcome.at_boundary)
        if not outcome.at_boundary:
            return
        if outcome.report and self.global_rank == 0:
            print(outcome.report)
        batch_sizes.count_samples(self)
        self._last_applied = outcome.applied
        if outcome.applied and self.basic_optimizer is not None:
            self.optimizer.note_step()
        if outcome.applied and self.lr_scheduler is not None:
            self.lr_scheduler.step(**(lr_kwargs or {}))
        progress.report_progress(self)

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

    @contextlib.contextmanager
    def coalesce_grad_reduction(self) -> Iterator[None]:
        """Inside, gradients of all backwards stay on this rank; leaving it reduces their sum once. Where this is no
        boundary yet, stages 0 and 1 keep the sum local until the step at the boundary, as they always do. After an
        exception nothing is reduced here: the next reduction takes along what was gathered."""
        with self.no_sync():
            yield
        self.allreduce_gradients()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops `.grad` of all parameters, and at the start of a window of micro-batches the engine's gradients too:
        those of another engine's backward through this model, say. Accumulation that has begun goes on. Every rank
        calls it."""
        self.core.zero_grad()
        for parameter in self.module.parameters():
            parameter.grad = None

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        self.training = mode
        self.module.train(mode)

    def eval(self) -> None:  # type: ignore[override]
        self.train(False)

    # --- numbers ---------------------------------------------------------------------------------------------------
    global_steps, global_samples = property(progress.global_steps), property(progress.global_samples)
    micro_steps, skipped_steps = property(progress.micro_steps), property(progress.skipped_steps)
    get_global_grad_norm = progress.get_global_grad_norm
    get_lr, get_type, get_mom = progress.get_lr, progress.get_type, progress.get_mom
    get_data_types, get_wall_clock_timers = progress.get_data_types, progress.get_wall_clock_timers
    collectives = progress.collectives
    memory, print_effective_config = progress.memory, progress.print_effective_config

    train_batch_size = batch_sizes.train_batch_size
    train_micro_batch_size_per_gpu = batch_sizes.train_micro_batch_size_per_gpu
    gradient_accumulation_steps = batch_sizes.gradient_accumulation_steps
    get_batch_info = batch_sizes.get_batch_info
    set_train_batch_size = batch_sizes.set_train_batch_size
    set_train_micro_batch_size = batch_sizes.set_train_micro_batch_size

    # --- gradients by hand -----------------------------------------------------------------------------------------
    communication_data_type = property(
        gradient_collectives.communication_data_type, gradient_collectives.set_communication_data_type
    )
    clip_fp32_gradients = gradient_collectives.clip_fp32_gradients
    allreduce_gradients = gradient_collectives.allreduce_gradients
    buffered_allreduce_fallback = gradient_collectives.buffered_allreduce_fallback
    allreduce_no_retain = gradient_collectives.allreduce_no_retain
    allreduce_and_copy = gradient_collectives.allreduce_and_copy
    allreduce_bucket = gradient_collectives.allreduce_bucket
    sparse_all_gather = gradient_collectives.sparse_all_gather
    all_gather_scalar = gradient_collectives.all_gather_scalar

    # --- data and checkpoints --------------------------------------------------------------------------------------
    deepspeed_io = training_data.deepspeed_io
    is_map_style_dataset = staticmethod(training_data.is_map_style_dataset)
    is_iterable_style_dataset = staticmethod(training_data.is_iterable_style_dataset)
    save_checkpoint, load_checkpoint = checkpoints.save_checkpoint, checkpoints.load_checkpoint
    loaded_checkpoint_dp_world_size = property(checkpoints.loaded_checkpoint_dp_world_size)
    loaded_checkpoint_mp_world_size = property(checkpoints.loaded_checkpoint_mp_world_size)
    save_16bit_model = save_fp16_model = module_state.save_16bit_model
    module_state_dict = module_state.module_state_dict
    load_module_state_dict = module_state.load_module_state_dict
    _consolidated_16bit_state_dict = module_state.consolidated_16bit_state_dict
    _zero3_consolidated_16bit_state_dict = module_state.consolidated_16bit_state_dict

    # --- the rest --------------------------------------------------------------------------------------------------
    compile, is_compiled = compilation.compile, property(compilation.is_compiled)
    is_deepcompile_active = compilation.is_deepcompile_active
    get_optimizer_configuration = construction.get_optimizer_configuration
    collect_python_gc = python_gc.collect_python_gc

    def destroy(self) -> None:
        """Gives the module its parameters back and frees everything else. At stage 3 every rank calls it, since the
        parameters become whole again."""
        self._end(self.core.destroy)

    def abandon(self) -> None:
        """Frees everything on this rank alone; parameters that no other engine took over stay as they are."""
        self._end(self.core.abandon)

    def _end(self, end_core: Callable[[], None]) -> None:
        if self.is_destroyed:
            return
        self.is_destroyed = True
        self._forward_events.detach()
        self._structure_watch.detach()
        end_core()
        self.groups.end()
        self.sharding.detach()
        if self._gc_hold is not None:
            self._gc_hold()

    def empty_partition_cache(self) -> None:
        """Nothing to do: gathered parameters only ever fill slots that are kept anyway."""

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__.get("_modules", {})
        if name in modules:
            return modules[name]
        module = modules.get("module")
        if module is not None and name != "core":
            with contextlib.suppress(AttributeError):
                return getattr(module, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

"""Between torch's optimizer objects and the engine's kernels.

The user's object stays alive and is the single source of hyperparameters: the engine reads its group dicts at each
boundary. What `initialize` returns shares those dicts, so that any learning-rate scheduler works.
"""

from __future__ import annotations

import json
import weakref
from numbers import Real
from typing import TYPE_CHECKING, Any, Callable, Iterable

import torch
from torch.optim import Optimizer

from deepspeed.runtime import ZeROOptimizer, not_landed
from deepspeed.utils.log import logger

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine

# Exactly these classes run on our kernels; a subclass may have changed its step and runs its own.
_KERNELS: dict[str, tuple[str, bool | None]] = {  # class path -> (kernel, decoupled weight decay)
    "torch.optim.adam.Adam": ("adam", False),
    "torch.optim.adamw.AdamW": ("adamw", True),
    "torch.optim.sgd.SGD": ("sgd", None),
    "torch.optim.adagrad.Adagrad": ("adagrad", None),
    "deepspeed.ops.adam.FusedAdam": ("adam", None),
    "deepspeed.ops.adam.DeepSpeedCPUAdam": ("adam", None),
    "deepspeed.ops.adagrad.DeepSpeedCPUAdagrad": ("adagrad", None),
    "deepspeed.ops.lamb.FusedLamb": ("lamb", None),
    "deepspeed.ops.lion.FusedLion": ("lion", None),
    "deepspeed.ops.lion.DeepSpeedCPULion": ("lion", None),
}
_FLAGS = ("nesterov", "maximize", "amsgrad", "bias_correction", "eps_inside_sqrt")
_NUMBERS = (
    "lr", "weight_decay", "eps", "momentum", "dampening", "lr_decay", "initial_accumulator_value", "max_coeff",
    "min_coeff",
)  # fmt: skip
_WITHOUT_BETAS = ("sgd", "adagrad")
EXTERNAL = "external"
"""The kernel name of optimizers that run their own `step` on whole parameters."""


def kernel_of(optimizer: Optimizer) -> tuple[str, bool | None]:
    """(the kernel that does exactly what this object does, or EXTERNAL; whether weight decay is decoupled)."""
    kind = type(optimizer)
    name, decoupled = _KERNELS.get(f"{kind.__module__}.{kind.__qualname__}", (EXTERNAL, None))
    if decoupled is None and hasattr(optimizer, "adam_w_mode"):
        decoupled = bool(optimizer.adam_w_mode)
    return name, decoupled


def group_numbers(group: dict[str, Any], decoupled: bool | None) -> dict[str, float]:
    """The numbers of one group dict under the engine's names. Weight decay is decoupled where the group says so (torch's
    Adam and AdamW are one class with that key), else where the class does."""
    numbers = {key: _number(key, group[key]) for key in _NUMBERS if group.get(key) is not None}
    numbers.update({key: float(bool(group[key])) for key in _FLAGS if group.get(key) is not None})
    if "betas" in group:
        numbers["beta1"], numbers["beta2"] = (float(beta) for beta in group["betas"])
    if decoupled is not None:
        numbers["adam_w_mode"] = float(bool(group.get("decoupled_weight_decay", decoupled)))
    return numbers


def _number(key: str, value: Any) -> float:
    """numpy's scalars too, which schedulers leave in groups."""
    if not isinstance(value, (Real, torch.Tensor)):
        raise TypeError(f"[deepspeed] optimizer: {key} of a parameter group: got {value!r}, expected a number.")
    return float(value)


class ConfiguredOptimizer(Optimizer):
    """The group dicts of an optimizer that the config asks for; the engine does its steps."""

    def __init__(self, parameters: Iterable[Any], kernel: str, params: dict[str, Any]) -> None:
        from deepspeed import _C

        self.kernel = kernel
        numbers = _C.optimizer_numbers(kernel, json.dumps(params))
        self.adam_w_mode = bool(numbers.pop("adam_w_mode"))
        defaults: dict[str, Any] = {key: (bool(value) if key in _FLAGS else value) for key, value in numbers.items()}
        betas = (defaults.pop("beta1"), defaults.pop("beta2"))
        if kernel not in _WITHOUT_BETAS:  # schedulers look for them to cycle them
            defaults["betas"] = betas
        super().__init__(parameters, defaults)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        raise RuntimeError("[deepspeed] this optimizer's steps are done by the engine: call engine.step().")


def _warn_of_what_is_not_used(optimizer: Optimizer) -> None:
    kind = type(optimizer).__name__
    stepped = sum(1 for state in optimizer.state.values() if state)
    if stepped:
        logger.warning(
            f"[deepspeed.initialize] optimizer: this {kind} has the state of {stepped} parameters from before; the engine "
            "keeps its own and starts it from zero. Resume with engine.load_checkpoint()."
        )
    hooks = (*getattr(optimizer, "_optimizer_step_pre_hooks", ()), *getattr(optimizer, "_optimizer_step_post_hooks", ()))
    if hooks:
        logger.warning(
            f"[deepspeed.initialize] optimizer: this {kind} has {len(hooks)} step hooks, which the engine does not call: "
            "it steps by its own kernels. Do that work around engine.step(), or give initialize() a subclass of "
            f"{kind}, whose own step runs."
        )


class DeepSpeedZeroOptimizer(ZeROOptimizer, Optimizer):
    """What `initialize` returns beside the engine: the user's groups, and the engine's step."""

    def __init__(self, optimizer: Optimizer, engine: DeepSpeedEngine) -> None:
        self._engine = weakref.ref(engine)
        self.optimizer = optimizer
        self.kernel, self.decoupled = (
            (optimizer.kernel, optimizer.adam_w_mode)
            if isinstance(optimizer, ConfiguredOptimizer)
            else kernel_of(optimizer)
        )
        self.custom_loss_scaler = False
        if self.kernel != EXTERNAL:
            _warn_of_what_is_not_used(optimizer)
        Optimizer.__init__(self, optimizer.param_groups, dict(optimizer.defaults))
        self.param_groups = optimizer.param_groups  # the same list: groups that a script replaces are seen too
        self.state = optimizer.state

    @property
    def engine(self) -> DeepSpeedEngine:
        engine = self._engine()
        if engine is None:
            raise RuntimeError("[deepspeed] the engine of this optimizer is gone.")
        return engine

    @property
    def overflow(self) -> bool:
        """Whether the last boundary step was skipped because of inf or nan."""
        return self.engine.core.has_overflowed()

    @property
    def loss_scale(self) -> float:
        return self.engine.core.loss_scale()

    cur_scale = loss_scale

    @property
    def parameter_offload(self) -> Any:
        """Of stage 3, for outside code that takes hooks off a model; no attribute at other stages."""
        found = self.engine.sharding.parameter_offload
        if found is None:
            raise AttributeError("optimizer.parameter_offload is there at ZeRO stage 3 only.")
        return found

    def numbers(self) -> list[dict[str, float]]:
        """The groups' present numbers, as the engine's kernels take them; of an optimizer that steps itself its rates,
        since what else its groups hold (Adafactor's pair of eps, three betas) is its own."""
        if self.kernel == EXTERNAL:
            return [{"lr": _number("lr", group["lr"])} if group.get("lr") is not None else {} for group in self.param_groups]
        return [group_numbers(group, self.decoupled) for group in self.param_groups]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """The same as engine.step()."""
        if closure is not None:
            raise NotImplementedError("[deepspeed] step(closure) is not supported under ZeRO: call engine.step().")
        self.engine.step()

    def note_step(self) -> None:
        """The engine stepped: torch's schedulers ask whether their optimizer did so before them."""
        for each in (self, self.optimizer):
            setattr(each, "_opt_called", True)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As engine.zero_grad(): drops `.grad`, and what the engine holds where no micro-batch is counted yet."""
        self.engine.core.zero_grad()
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def get_lr(self) -> float:
        """The first group's learning rate."""
        return self.param_groups[0]["lr"]

    def set_lr(self, lr: float) -> None:
        """Sets all groups' learning rates."""
        for group in self.param_groups:
            group["lr"] = lr

    def override_loss_scale(self, loss_scale: float) -> None:
        """Belongs to a loss scale that is set from outside, which has not landed."""
        not_landed.fail("optimizer.override_loss_scale", "a loss scale that is set from outside")

    def offload_states(self, *args: Any, **kwargs: Any) -> None:
        """Belongs to offload, which has not landed."""
        not_landed.fail("optimizer.offload_states", "offload")

    def reload_states(self, *args: Any, **kwargs: Any) -> None:
        """Belongs to offload, which has not landed."""
        not_landed.fail("optimizer.reload_states", "offload")

    def destroy(self) -> None:
        """Nothing to free: what the steps need is the engine's, see engine.destroy()."""

    def refresh_fp32_params(self) -> None:
        """Master weights follow weights that were changed in place (16-bit training). All ranks call it."""
        self.engine.core.refresh_masters()

    def state_dict(self) -> dict[str, Any]:
        """The groups' numbers. Moments and master weights are saved by engine.save_checkpoint(), shard by shard."""
        groups = [{key: value for key, value in group.items() if key != "params"} for group in self.param_groups]
        return {"param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the groups' numbers back."""
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            group.update({key: value for key, value in saved.items() if key != "params"})

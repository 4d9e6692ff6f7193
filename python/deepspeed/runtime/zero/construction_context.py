"""`deepspeed.zero.Init`: parameters are sharded as soon as the module that owns them exists."""

from __future__ import annotations

import functools
import itertools
import json
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Iterator

import torch
from torch import nn

from deepspeed.runtime.engine_groups import end_group
from deepspeed.runtime.zero.parameter_attributes import mark_sharded

if TYPE_CHECKING:
    from deepspeed import _C

_DTYPE_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
# (the C++ side, its process groups) of every Init whose parameters no engine took over yet.
_alive: list[tuple[_C.ShardedInit, list[Any]]] = []
_entered: list[Init] = []


class Init:
    """Inside, every module's own parameters get rank 0's values and are sharded when its `__init__` returns, so that a
    rank never holds more than its shards and one module. `module=` does it to a module that exists. `dtype`, or what the
    config enables, is what parameters are cast to (float32 under a config that enables neither, else float16). With one
    rank parameters are only cast. Every rank builds the same modules. An Init inside an Init changes nothing.
    """

    def __init__(
        self,
        module: nn.Module | None = None,
        data_parallel_group: Any = None,
        mem_efficient_linear: bool = True,
        remote_device: str | None = None,
        pin_memory: bool = False,
        config_dict_or_path: Any = None,
        config: Any = None,
        enabled: bool = True,
        dtype: torch.dtype | None = None,
        mpu: Any = None,
        zero_param_parallel_group: Any = None,
        zero_quantized_weights: bool = False,
        zero_quantized_nontrainable_weights: bool = False,
        sequence_data_parallel_group: Any = None,
        param_swapper: Any = None,
        tensor_overrides: Any = None,
    ) -> None:
        if enabled and remote_device not in (None, "none", _shards_device_type()):
            raise NotImplementedError(
                f"[deepspeed.zero.Init] remote_device: got {remote_device!r}; shards stay on the device "
                f'({_shards_device_type()}) until offload has landed. Use "none".'
            )
        if enabled and (zero_quantized_weights or zero_quantized_nontrainable_weights):
            raise NotImplementedError("[deepspeed.zero.Init] quantized gathering has not landed. Use False.")
        self._enabled = enabled
        self._group = data_parallel_group or (mpu.get_data_parallel_group() if mpu is not None else None)
        given = config_dict_or_path if config_dict_or_path is not None else config
        self._dtype = dtype or (torch.float16 if given is None else dtype_of(given))
        self._shards: _C.ShardedInit | None = None
        self._originals: dict[type, Any] = {}
        if enabled and module is not None:
            self._start()
            for each in module.modules():
                self._shard(each)

    def __enter__(self) -> Init:
        if self._enabled and not _entered:
            self._start()
            self._wrap_constructors()
        if self._enabled:
            _entered.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._enabled:
            _entered.pop()
            self._unwrap_constructors()

    def _start(self) -> None:
        if self._shards is None or not _is_alive(self._shards):
            self._shards, self._device = open_shards(self._group, self._dtype)

    def _shard(self, module: nn.Module) -> None:
        """Shards the parameters that `module` owns itself and that are ordinary floating-point ones."""
        from deepspeed import _C

        own = {
            f"{type(module).__name__}.{name}": parameter
            for name, parameter in module.named_parameters(recurse=False)
            if parameter.is_floating_point() and not parameter.is_meta and not _C.is_sharded(parameter)
        }
        if self._shards is None:
            for parameter in own.values():
                parameter.data = parameter.data.to(self._device, self._dtype)
        elif own:
            for parameter in own.values():
                parameter.data = parameter.data.to(self._device)
            self._shards.add(list(own.items()))
            mark_sharded(own.values())

    def _wrap_constructors(self) -> None:
        for kind in _all_subclasses(nn.Module):
            self._wrap(kind)
        own = nn.Module.__dict__.get("__init_subclass__")
        context = self

        def init_subclass(cls: type, **kwargs: Any) -> None:
            if own is None:
                super(nn.Module, cls).__init_subclass__(**kwargs)
            else:
                own.__func__(cls, **kwargs)
            context._wrap(cls)

        self._own_init_subclass = own
        nn.Module.__init_subclass__ = classmethod(init_subclass)  # type: ignore[assignment]

    def _wrap(self, kind: type) -> None:
        self._originals[kind] = kind.__dict__.get("__init__")
        kind.__init__ = _then(kind.__init__, kind, self._shard)  # type: ignore[misc]

    def _unwrap_constructors(self) -> None:
        if not self._originals:
            return
        for kind, original in self._originals.items():
            if original is None:
                del kind.__init__  # type: ignore[misc]
            else:
                kind.__init__ = original  # type: ignore[misc]
        self._originals.clear()
        if self._own_init_subclass is None:
            del nn.Module.__init_subclass__
        else:
            nn.Module.__init_subclass__ = self._own_init_subclass  # type: ignore[assignment]


def _shards_device_type() -> str:
    from deepspeed.accelerator import get_accelerator

    return torch.device(get_accelerator().current_device_name()).type


def open_shards(group: Any, dtype: torch.dtype | None) -> tuple[_C.ShardedInit | None, torch.device]:
    """(what shards parameters over the ranks of `group`, cast to `dtype` or each as it is; the device of parameters).
    None where there is one rank. Collective."""
    from deepspeed import _C, comm
    from deepspeed.accelerator import get_accelerator
    from deepspeed.runtime import script_place

    if not comm.is_initialized():
        comm.init_distributed()
    device = torch.device(get_accelerator().current_device_name())
    if comm.get_world_size(group) == 1:
        return None, device
    script_place.watch()
    ranks = comm.get_all_ranks_from_group(group) if group is not None else None
    groups = [comm.new_group(ranks), comm.new_group(ranks)]
    shards = _C.ShardedInit(*groups, "" if dtype is None else _DTYPE_NAMES[dtype], str(device))
    _alive.append((shards, groups))
    return shards, device


def sweep() -> None:
    """Frees the shards of parameters that engines took over, and ends the process groups of an Init without others."""
    entered = [context._shards for context in _entered]
    kept = [each for each in _alive if each[0].sweep() > 0 or each[0] in entered]
    ended = [groups for shards, groups in _alive if all(shards is not each for each, _ in kept)]
    _alive[:] = kept
    for group in itertools.chain(*ended):
        end_group(group)


def _is_alive(shards: _C.ShardedInit) -> bool:
    return any(shards is each for each, _ in _alive)


def _then(init: Callable[..., None], kind: type, after: Callable[[nn.Module], None]) -> Callable[..., None]:
    @functools.wraps(init)
    def wrapped(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if type(self) is kind:  # not in the middle of a subclass's own __init__
            after(self)

    return wrapped


def _all_subclasses(kind: type) -> Iterator[type]:
    seen: set[type] = set()
    waiting = list(kind.__subclasses__())
    while waiting:
        each = waiting.pop()
        if each not in seen:
            seen.add(each)
            waiting.extend(each.__subclasses__())
            yield each


def dtype_of(config: Any) -> torch.dtype:
    """What a ds config casts parameters to."""
    from deepspeed import _C
    from deepspeed.runtime.construction import config_text

    read = config if isinstance(config, dict) else json.loads(_C.read_config(config_text(config)))
    if (read.get("bf16") or read.get("bfloat16") or {}).get("enabled") is True:
        return torch.bfloat16
    return torch.float16 if (read.get("fp16") or {}).get("enabled") is True else torch.float32

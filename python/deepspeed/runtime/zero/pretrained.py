"""`deepspeed.zero.load_pretrained`: weights go from safetensors files into shards; no rank reads or holds the whole.

A parameter first is on the meta device or is emptied, then it becomes a shard without values, and the C++ engine reads
what the shard needs (include/deepspeed/detail/pretrained_files.h). For transformers' classes see
pretrained_transformers.py.
"""

from __future__ import annotations

import logging
import os
from typing import Any, Callable, Iterable

import torch
from torch import nn

from deepspeed.runtime.zero import construction_context
from deepspeed.runtime.zero.meta_parameters import initialize_missing, like, parameters_on_meta
from deepspeed.runtime.zero.parameter_attributes import mark_sharded

_SHARDED_TYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def load_pretrained(
    model_or_class: nn.Module | Callable[..., nn.Module],
    folder: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    config: Any = None,
    output_loading_info: bool = False,
    **model_kwargs: Any,
) -> Any:
    """The model with the weights of `folder` (model.safetensors, or an index and its files), in the state that
    `zero.Init` leaves: each rank holds its shards, has read its share of the bytes, and `initialize` takes over. With
    one rank parameters are ordinary ones. Every rank calls it.

    `model_or_class`: a model class or Auto class of transformers, on which everything but the weights is as
    `from_pretrained(folder, **model_kwargs)` does it; any other class or function, called with `model_kwargs`; or a
    module, whose parameters may be on the meta device. `dtype`, or what `config` (a ds config) enables, is what
    parameters are cast to; without both they keep the type that the model gives them. Names are equal but for the
    model's base prefix. Parameters that the files lack are initialized as the class does it, equally on all ranks, with
    a warning; those of a module keep their values.

    With `output_loading_info` the result is (model, {"missing_keys", "unexpected_keys", "bytes_read"}); the last is of
    this rank, file headers included. Raises RuntimeError that names file, key and both shapes where they do not fit.
    """
    from deepspeed.runtime.zero import pretrained_transformers

    if isinstance(model_or_class, nn.Module):
        _refuse_live(model_or_class)
        if model_kwargs:
            raise TypeError(f"[deepspeed.zero.load_pretrained] {sorted(model_kwargs)}: got a module, not its class.")
    elif dtype is not None and pretrained_transformers.is_model_class(model_or_class):
        model_kwargs["dtype"] = dtype
    loading = Loading(dtype, config if config is not None else pretrained_transformers.active_config())
    try:
        model = _load(model_or_class, os.fspath(folder), loading, model_kwargs)
    except Exception as error:
        loading.meet(error)
        raise
    loading.settle(model)
    return (model, loading.info) if output_loading_info else model


def _load(source: Any, folder: str, loading: Loading, model_kwargs: dict[str, Any]) -> nn.Module:
    """`source` with the weights of `folder`, built first where it is a class or function."""
    from deepspeed.runtime.zero import pretrained_transformers

    if pretrained_transformers.is_model_class(source):
        return pretrained_transformers.load_class(source, folder, loading, model_kwargs)
    if isinstance(source, nn.Module) and pretrained_transformers.is_model(source):
        pretrained_transformers.load_module(source, folder, loading)
        return source
    if isinstance(source, nn.Module):
        model = source
    else:
        with parameters_on_meta():
            model = source(**model_kwargs)
    load_module(model, folder, loading)
    return model


class Tensors:
    """A module's parameters and persistent buffers, once each with all their names."""

    def __init__(self, model: nn.Module) -> None:
        self.parameters = _with_names(model.named_parameters(remove_duplicate=False))
        self.buffers = _with_names(
            (name, buffer)
            for name, buffer in model.named_buffers(remove_duplicate=False)
            if _is_persistent(model, name)
        )

    def all(self) -> list[tuple[list[str], Any]]:
        return self.parameters + self.buffers


class Loading:
    """One call: what parameters become, what was read and what was missing."""

    def __init__(self, dtype: torch.dtype | None, config: Any) -> None:
        self._dtype = dtype if dtype is not None or config is None else construction_context.dtype_of(config)
        self._shards, self._device = construction_context.open_shards(None, self._dtype)
        self._has_met = self._shards is None
        self.info: dict[str, Any] = {"missing_keys": set(), "unexpected_keys": set(), "bytes_read": 0}

    def meet(self, error: Exception | None) -> None:
        """The ranks tell each other once, before their first collective, whether they have opened the files and matched
        the names. Raises RuntimeError with the message of a rank that has not, where this one has. Collective."""
        from deepspeed import comm

        if self._has_met:
            return
        self._has_met = True
        messages: list[str | None] = [None] * comm.get_world_size()
        comm.all_gather_object(messages, None if error is None else f"{type(error).__name__}: {error}")
        failed = [(rank, message) for rank, message in enumerate(messages) if message is not None]
        if failed and error is None:
            raise RuntimeError(f"[deepspeed.zero.load_pretrained] rank {failed[0][0]} failed: {failed[0][1]}")

    def fill(self, model: nn.Module, files: Any, key_of: dict[str, str], own_type: dict[str, torch.dtype]) -> None:
        """Gives every tensor of `model` of which a name is in `key_of` that key's values. `own_type`: what parameters
        of these names are where nothing casts all."""
        self.meet(None)
        found, emptied = [], []
        tensors = Tensors(model)
        for names, parameter in tensors.parameters:
            known = [name for name in names if name in key_of]
            if known:
                made = self._emptied(parameter, own_type.get(known[0], parameter.dtype))
                _put(model, "_parameters", names, made)
                if self._becomes_shard(made):
                    emptied.append((names[0], made))
                found.append((names[0], key_of[known[0]], made))
        for names, buffer in tensors.buffers:
            known = [name for name in names if name in key_of]
            if known:
                made = torch.empty_like(buffer, device=self._device) if buffer.is_meta else buffer
                _put(model, "_buffers", names, made)
                found.append((names[0], key_of[known[0]], made))
        if self._shards is not None and emptied:
            self._shards.add_without_values(emptied)
            mark_sharded(parameter for _, parameter in emptied)
        files.fill(found)
        self.info["bytes_read"] = files.bytes_read

    def settle(self, model: nn.Module) -> None:
        """What has values and is no shard yet becomes one, with rank 0's values; buffers go where parameters are."""
        rest = [(names[0], each) for names, each in Tensors(model).parameters if self._becomes_shard(each)]
        for _, parameter in rest:
            parameter.data = parameter.data.to(self._device)
        if self._shards is not None and rest:
            self._shards.add(rest)
            mark_sharded(parameter for _, parameter in rest)
        if self._shards is None:
            for parameter in model.parameters():
                kind = self._dtype if self._dtype is not None and parameter.dtype in _SHARDED_TYPES else parameter.dtype
                parameter.data = parameter.data.to(self._device, kind)
        for names, buffer in _with_names(model.named_buffers(remove_duplicate=False)):
            if not buffer.is_meta:
                _put(model, "_buffers", names, buffer.to(self._device))  # what modules share stays one

    @property
    def device(self) -> torch.device:
        """Where parameters live."""
        return self._device

    def _becomes_shard(self, parameter: nn.Parameter) -> bool:
        from deepspeed import _C

        return self._shards is not None and parameter.dtype in _SHARDED_TYPES and not _C.is_sharded(parameter)

    def _emptied(self, parameter: nn.Parameter, own_type: torch.dtype) -> nn.Parameter:
        """`parameter`, or one in its place where it is on meta, ready to get values: of a shape and no memory where it
        becomes a shard."""
        from deepspeed import _C

        if _C.is_sharded(parameter):
            return parameter
        kind = self._dtype if self._dtype is not None and parameter.dtype in _SHARDED_TYPES else own_type
        hollow = self._becomes_shard(parameter)
        data = torch.empty(() if hollow else parameter.shape, dtype=kind, device=self._device).expand(parameter.shape)
        if parameter.is_meta:
            return like(parameter, data)
        parameter.data = data
        return parameter


def load_module(model: nn.Module, folder: str, loading: Loading) -> None:
    """Fills a module that transformers does not know."""
    from deepspeed import _C

    files = _C.PretrainedFiles.open(folder)
    tensors = Tensors(model)
    keys, unexpected = files.match([names for names, _ in tensors.all()], "model")
    key_of, missing = {}, {}
    for key, (names, tensor) in zip(keys, tensors.all(), strict=True):
        if key:
            key_of[names[0]] = key
        else:
            missing[names[0]] = tensor
    loading.fill(model, files, key_of, {})
    loading.info.update(missing_keys=set(missing), unexpected_keys=set(unexpected))
    parameters = {names[0] for names, tensor in tensors.parameters if tensor.is_meta and names[0] in missing}
    initialize_missing(model, parameters, loading.device)
    for names, _ in tensors.parameters:
        if names[0] in parameters:  # tied ones stay tied
            _put(model, "_parameters", names, model.get_parameter(names[0]))
    _tell(folder, loading.info, parameters)
    lost = [name for name, buffer in model.named_buffers() if buffer.is_meta]
    if lost:
        raise ValueError(
            f"[deepspeed.zero.load_pretrained] the buffers {lost} are on the meta device and not in {folder}: nobody "
            "knows their values. Pass the class, or build the module with real buffers."
        )


def _tell(folder: str, info: dict[str, Any], initialized: set[str]) -> None:
    from deepspeed.utils.log import log_dist

    if info["unexpected_keys"]:
        log_dist(f"load_pretrained: {folder} has more than the model: {sorted(info['unexpected_keys'])}", ranks=[0])
    kept = info["missing_keys"] - initialized
    if initialized:
        message = f"load_pretrained: {folder} lacks {sorted(initialized)}: initialized afresh"
        log_dist(message, ranks=[0], level=logging.WARNING)
    if kept:
        log_dist(f"load_pretrained: {folder} lacks {sorted(kept)}: as they were", ranks=[0], level=logging.WARNING)


def _refuse_live(model: nn.Module) -> None:
    from deepspeed.runtime.live_engines import engines_over

    if engines_over(model):
        raise ValueError(
            "[deepspeed.zero.load_pretrained] the module belongs to a live engine, whose master weights would not "
            "follow. Load before initialize(), or use engine.load_module_state_dict()."
        )


def _with_names(named: Iterable[tuple[str, Any]]) -> list[tuple[list[str], Any]]:
    found: dict[int, tuple[list[str], Any]] = {}
    for name, tensor in named:
        found.setdefault(id(tensor), ([], tensor))[0].append(name)
    return list(found.values())


def _is_persistent(model: nn.Module, name: str) -> bool:
    path, _, leaf = name.rpartition(".")
    return leaf not in model.get_submodule(path)._non_persistent_buffers_set


def _put(model: nn.Module, where: str, names: list[str], tensor: Any) -> None:
    for name in names:
        path, _, leaf = name.rpartition(".")
        getattr(model.get_submodule(path), where)[leaf] = tensor

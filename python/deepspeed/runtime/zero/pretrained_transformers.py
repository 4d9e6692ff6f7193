"""`load_pretrained` for transformers' models: their own `from_pretrained`, in which we only load the weights.

So config, types, tied weights, what the files lack, buffers that are computed, and the generation config are as
transformers does them. It builds models on the meta device and hands us the files; while a `HfDeepSpeedConfig` is alive
it would build them under `zero.Init` and read everything on every rank, which is put off for the time of the call.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Iterator

import torch
from torch import nn

if TYPE_CHECKING:
    from deepspeed.runtime.zero.pretrained import Loading


def active_config() -> Any:
    """The ds config that transformers' `HfDeepSpeedConfig` holds at present, or None."""
    integration = sys.modules.get("transformers.integrations.deepspeed")
    return integration.deepspeed_config() if integration is not None else None


def is_model(model: nn.Module) -> bool:
    """Whether a module is a model of transformers; nothing is imported to find out."""
    return is_model_class(type(model))


def is_model_class(kind: Any) -> bool:
    """The same of a class, which may be an Auto class."""
    if "transformers" not in sys.modules or not isinstance(kind, type):
        return False
    from transformers import PreTrainedModel
    from transformers.models.auto.auto_factory import _BaseAutoModelClass

    return issubclass(kind, (PreTrainedModel, _BaseAutoModelClass))


def load_class(kind: Any, folder: str, loading: Loading, kwargs: dict[str, Any]) -> nn.Module:
    """`kind.from_pretrained(folder, **kwargs)` with our reading."""
    with _weights_read_by(loading) as reports, _no_zero_init():
        model = kind.from_pretrained(folder, **kwargs)
    _take(reports[0], loading)
    return model


def load_module(model: Any, folder: str, loading: Loading) -> None:
    """Fills a model that exists. What the files lack keeps its values, or is initialized where it is on meta."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.modeling_utils import LoadStateDictConfig

    from deepspeed import _C

    was_on_meta = {name for name, tensor in [*model.named_parameters(), *model.named_buffers()] if tensor.is_meta}
    settings = LoadStateDictConfig(
        pretrained_model_name_or_path=folder, weight_mapping=get_model_conversion_mapping(model)
    )
    info = _fill(model, _C.PretrainedFiles.open(folder), settings, loading)
    _take(info, loading)
    if not was_on_meta:
        return
    for module in model.modules():  # flags of a construction that had nothing to initialize
        module.__dict__.pop("_is_hf_initialized", None)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if name not in was_on_meta:
            tensor._is_hf_initialized = True
    info.missing_keys &= was_on_meta
    with _no_zero_init():
        model._finalize_model_loading(model, settings, info)


@contextlib.contextmanager
def _weights_read_by(loading: Loading) -> Iterator[list[Any]]:
    """Inside, we read in place of transformers, whose report of it is then in the list."""
    from transformers import PreTrainedModel

    from deepspeed import _C

    original = PreTrainedModel.__dict__["_load_pretrained_model"]
    reports: list[Any] = []

    def read(model: Any, state_dict: Any, checkpoint_files: Any, load_config: Any, *_: Any, **__: Any) -> Any:
        _check_files(model, state_dict, checkpoint_files, load_config)
        reports.append(_fill(model, _C.PretrainedFiles(list(checkpoint_files)), load_config, loading))
        return reports[-1], None

    PreTrainedModel._load_pretrained_model = staticmethod(read)
    try:
        yield reports
    finally:
        PreTrainedModel._load_pretrained_model = original


@contextlib.contextmanager
def _no_zero_init() -> Iterator[None]:
    from transformers.integrations import deepspeed as integration

    before = integration._hf_deepspeed_config_weak_ref
    integration.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        integration._hf_deepspeed_config_weak_ref = before


def _check_files(model: Any, state_dict: Any, checkpoint_files: Any, load_config: Any) -> None:
    name = type(model).__name__
    if state_dict is not None:
        raise ValueError("[deepspeed.zero.load_pretrained] state_dict: weights come from the folder only.")
    if load_config.hf_quantizer is not None:
        raise NotImplementedError(
            f"[deepspeed.zero.load_pretrained] {name} is quantized: use {name}.from_pretrained without sharding."
        )
    others = [str(file) for file in checkpoint_files or [] if not str(file).endswith(".safetensors")]
    if others or not checkpoint_files:
        raise ValueError(
            f"[deepspeed.zero.load_pretrained] {others or 'no file'}: only safetensors files are read; a pickle could "
            f"run code. Load it with {name}.from_pretrained once and save it with save_pretrained."
        )


def _fill(model: Any, files: Any, load_config: Any, loading: Loading) -> Any:
    """Our part of `from_pretrained`; returns its report."""
    from transformers.utils.loading_report import LoadStateDictInfo

    from deepspeed.runtime.zero.pretrained import Tensors

    tensors = Tensors(model).all()
    known = {name: tensor for names, tensor in tensors for name in names}
    key_of, unexpected = _match(model, files.keys(), known, load_config.weight_mapping or [])
    loading.fill(model, files, key_of, _planned_types(known, load_config.dtype_plan or {}))
    missing = set()
    for names, _ in tensors:
        if not any(name in key_of for name in names):
            missing.update(names)
            continue
        for name in names:
            model.get_parameter_or_buffer(name)._is_hf_initialized = True
    return LoadStateDictInfo(
        missing_keys=missing,
        unexpected_keys=unexpected,
        mismatched_keys=set(),
        error_msgs=[],
        conversion_errors={},
        skipped_pp_keys=set(),
    )


def _take(report: Any, loading: Loading) -> None:
    loading.info.update(missing_keys=set(report.missing_keys), unexpected_keys=set(report.unexpected_keys))


def _match(model: Any, keys: list[str], known: dict[str, Any], mapping: list[Any]) -> tuple[dict[str, str], set[str]]:
    """({name: key}, keys that the model does not have), by transformers' own rules for names."""
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    renamings = [each for each in mapping if isinstance(each, WeightRenaming)]
    converters = [each for each in mapping if isinstance(each, WeightConverter)]
    prefix = model.base_model_prefix
    key_of, unexpected = {}, set()
    for key in keys:
        name, fused_by = rename_source_key(key, renamings, converters, prefix, known)
        if name not in known and key in known:
            name, fused_by = rename_source_key(key, [], [], prefix, known)
        if name not in known:
            unexpected.add(key)
        elif fused_by is None:
            key_of[name] = key
        else:
            raise NotImplementedError(
                f"[deepspeed.zero.load_pretrained] transformers computes {name!r} of {type(model).__name__} from "
                f"{key!r} and others while it loads; only names are converted here. Use "
                f"{type(model).__name__}.from_pretrained, under deepspeed.zero.Init or with HfDeepSpeedConfig."
            )
    return key_of, unexpected


def _planned_types(names: Any, plan: dict[str, torch.dtype]) -> dict[str, torch.dtype]:
    """The types of what transformers keeps in another type than the model's."""
    if not plan:
        return {}
    from transformers.core_model_loading import build_glob_alternation

    pattern, groups, _ = build_glob_alternation(list(plan))
    found = {name: pattern.search(name) for name in names}
    return {name: plan[groups[match.lastgroup]] for name, match in found.items() if match is not None}

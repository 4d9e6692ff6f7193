"""Whole weights out of a checkpoint folder, in one process, under DeepSpeed's names:

python -m deepspeed.utils.zero_to_fp32 CHECKPOINT_DIR OUTPUT_DIR [-t TAG] [--safe_serialization] [--dtype bf16]

Parameters come from master weights where there are any, float types as float32. Tensors are read when they are needed,
so that a conversion holds one file's weights at a time.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING, Any, Iterable, Mapping

import torch
from torch import nn

from deepspeed.utils.weight_files import WeightFiles

if TYPE_CHECKING:
    from deepspeed import _C

_DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "float16": torch.float16,
    "fp16": torch.float16,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
}


class GatheredTensor:
    """A tensor of a checkpoint that is read when `contiguous()` asks for it, each time anew."""

    def __init__(self, weights: _C.CheckpointWeights, weight: _C.CheckpointWeight) -> None:
        self._weights = weights
        self.name, self.owner = weight.name, weight.owner
        self.shape, self.dtype = torch.Size(weight.shape), weight.dtype

    def numel(self) -> int:
        return self.shape.numel()

    def contiguous(self) -> torch.Tensor:
        """The whole tensor, on the CPU."""
        return self._weights.read(self.owner)


def get_fp32_state_dict_from_zero_checkpoint(
    checkpoint_dir: str, tag: str | None = None, exclude_frozen_parameters: bool = False, lazy_mode: bool = False
) -> dict[str, Any]:
    """Parameters and buffers by name; tied names share a tensor. Without a tag the one that `latest` names. In
    `lazy_mode` values are GatheredTensor, which nothing has read yet."""
    lazy = _list_weights(checkpoint_dir, tag, exclude_frozen_parameters)
    return dict(lazy) if lazy_mode else to_torch_tensor(lazy)


def to_torch_tensor(state_dict: Mapping[str, Any], return_empty_tensor: bool = False) -> dict[str, torch.Tensor]:
    """Reads what `lazy_mode` gave; with `return_empty_tensor` only tensors of the same shape and dtype. Tied names
    share a tensor."""
    read: dict[str, torch.Tensor] = {}
    found: dict[str, torch.Tensor] = {}
    for name, value in state_dict.items():
        if not isinstance(value, GatheredTensor):
            found[name] = value
            continue
        if value.owner not in read:
            is_empty = return_empty_tensor
            read[value.owner] = torch.empty(value.shape, dtype=value.dtype) if is_empty else value.contiguous()
        found[name] = read[value.owner]
    return found


def load_state_dict_from_zero_checkpoint(model: nn.Module, checkpoint_dir: str, tag: str | None = None) -> nn.Module:
    """`model`, on the CPU, with the checkpoint's weights; names that only one of both has are passed over."""
    model = model.cpu()
    model.load_state_dict(get_fp32_state_dict_from_zero_checkpoint(checkpoint_dir, tag), strict=False)
    return model


def convert_zero_checkpoint_to_fp32_state_dict(
    checkpoint_dir: str,
    output_dir: str,
    max_shard_size: str | int | None = "5GB",
    safe_serialization: bool = False,
    tag: str | None = None,
    exclude_frozen_parameters: bool = False,
) -> None:
    """`convert_zero_checkpoint_to_state_dict` in float32."""
    convert_zero_checkpoint_to_state_dict(
        checkpoint_dir, output_dir, torch.float32, max_shard_size, safe_serialization, tag, exclude_frozen_parameters
    )


def convert_zero_checkpoint_to_state_dict(
    checkpoint_dir: str,
    output_dir: str,
    dtype: torch.dtype = torch.float32,
    max_shard_size: str | int | None = "5GB",
    safe_serialization: bool = False,
    tag: str | None = None,
    exclude_frozen_parameters: bool = False,
) -> None:
    """Writes the weights, float32 ones as `dtype`, to pytorch_model.bin or model.safetensors in `output_dir`; where
    they take more than `max_shard_size` (bytes, or as "5GB"; None: no limit) to several files with an index, as
    transformers names and reads them. A safetensors file has no tied names: of those only the first is written."""
    lazy = _list_weights(checkpoint_dir, tag, exclude_frozen_parameters)
    if safe_serialization:
        lazy = {name: value for name, value in lazy.items() if name == value.owner}
    os.makedirs(output_dir, exist_ok=True)
    files = WeightFiles.plan(
        {name: (value.owner, value.numel() * _stored_type(value, dtype).itemsize) for name, value in lazy.items()},
        max_shard_size,
        safe_serialization,
    )
    for file, names in files.names_of.items():
        _convert({name: lazy[name] for name in names}, dtype, os.path.join(output_dir, file))
    if files.index is not None:
        with open(os.path.join(output_dir, files.index_name), "w", encoding="utf-8") as out:
            json.dump(files.index, out, indent=2, sort_keys=True)


def _list_weights(checkpoint_dir: str, tag: str | None, exclude_frozen: bool) -> dict[str, GatheredTensor]:
    from deepspeed import _C

    weights = _C.CheckpointWeights(str(checkpoint_dir), tag)
    listed: Iterable[_C.CheckpointWeight] = weights.list()
    if exclude_frozen:
        if not any(weight.is_trained for weight in listed):
            raise NotImplementedError(
                "[deepspeed.utils.zero_to_fp32] exclude_frozen_parameters: the checkpoint has neither master weights "
                "nor moments of any parameter, which tell the trained ones from the frozen. Save with "
                "save_checkpoint(..., exclude_frozen_parameters=True)."
            )
        listed = [weight for weight in listed if weight.is_buffer or weight.is_trained]
    return {weight.name: GatheredTensor(weights, weight) for weight in listed}


def _convert(lazy: dict[str, GatheredTensor], dtype: torch.dtype, path: str) -> None:
    """Reads and writes one file; nothing of it lives on when the next one is read."""
    tensors = to_torch_tensor(lazy)
    cast = {id(value): _cast(value, dtype) for value in tensors.values()}  # tied ones stay tied
    _write({name: cast[id(value)] for name, value in tensors.items()}, path)


def _stored_type(value: GatheredTensor, dtype: torch.dtype) -> torch.dtype:
    return dtype if value.dtype == torch.float32 else value.dtype


def _cast(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return value.to(dtype) if value.dtype == torch.float32 else value


def _write(tensors: dict[str, torch.Tensor], path: str) -> None:
    if not path.endswith(".safetensors"):
        torch.save(tensors, path)
        return
    from safetensors.torch import save_file

    save_file(tensors, path, metadata={"format": "pt"})


def main(arguments: list[str] | None = None) -> None:
    """The command line; `arguments` without the program's name, by default those of the process."""
    parser = argparse.ArgumentParser(description="Whole weights out of a checkpoint folder.")
    parser.add_argument("checkpoint_dir")
    parser.add_argument("output_dir")
    parser.add_argument("--max_shard_size", default="5GB", help="largest size of a file, such as 5GB or 500MB")
    parser.add_argument("--safe_serialization", action="store_true", help="safetensors files, not pytorch_model.bin")
    parser.add_argument("-t", "--tag", default=None, help="folder of the checkpoint; else the one that `latest` names")
    parser.add_argument("--exclude_frozen_parameters", action="store_true", help="leave out what was not trained")
    parser.add_argument("--dtype", default="float32", choices=sorted(_DTYPES), help="of the written weights")
    parser.add_argument("-d", "--debug", action="store_true", help="has no effect")
    given = parser.parse_args(arguments)
    convert_zero_checkpoint_to_state_dict(
        given.checkpoint_dir,
        given.output_dir,
        _DTYPES[given.dtype],
        given.max_shard_size,
        given.safe_serialization,
        given.tag,
        given.exclude_frozen_parameters,
    )


if __name__ == "__main__":
    main()

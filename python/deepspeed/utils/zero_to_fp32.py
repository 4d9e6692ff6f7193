"""Whole float32 weights out of a checkpoint folder, in one process, under DeepSpeed's names:

python -m deepspeed.utils.zero_to_fp32 CHECKPOINT_DIR OUTPUT_DIR [-t TAG] [--safe_serialization]
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import torch
from torch import nn


def get_fp32_state_dict_from_zero_checkpoint(
    checkpoint_dir: str, tag: str | None = None, exclude_frozen_parameters: bool = False, lazy_mode: bool = False
) -> dict[str, torch.Tensor]:
    """Parameters (from master weights where there are any) and buffers by name; tied names share a tensor. Without a
    tag the one that `latest` names. `lazy_mode` changes nothing: tensors are read one by one anyway."""
    from deepspeed import _C

    if exclude_frozen_parameters:
        raise NotImplementedError(
            "[deepspeed.utils.zero_to_fp32] exclude_frozen_parameters: the checkpoint does not say which ones were "
            "frozen. Save with save_checkpoint(..., exclude_frozen_parameters=True)."
        )
    return dict(_C.read_weights(str(checkpoint_dir), tag))


def load_state_dict_from_zero_checkpoint(model: nn.Module, checkpoint_dir: str, tag: str | None = None) -> nn.Module:
    """`model`, on the CPU, with the checkpoint's weights; names that only one of both has are passed over."""
    model = model.cpu()
    model.load_state_dict(get_fp32_state_dict_from_zero_checkpoint(checkpoint_dir, tag), strict=False)
    return model


def convert_zero_checkpoint_to_fp32_state_dict(
    checkpoint_dir: str,
    output_dir: str,
    max_shard_size: str = "5GB",
    safe_serialization: bool = False,
    tag: str | None = None,
    exclude_frozen_parameters: bool = False,
) -> None:
    """Writes the weights to one file in `output_dir`: pytorch_model.bin, or model.safetensors. `max_shard_size` changes
    nothing."""
    state = get_fp32_state_dict_from_zero_checkpoint(checkpoint_dir, tag, exclude_frozen_parameters)
    os.makedirs(output_dir, exist_ok=True)
    if not safe_serialization:
        torch.save(state, os.path.join(output_dir, "pytorch_model.bin"))
        return
    from safetensors.torch import save_file

    seen: set[int] = set()
    unique: dict[str, Any] = {}
    for name, value in state.items():  # the format has no tied names
        if value.numel() == 0 or value.data_ptr() not in seen:
            seen.add(value.data_ptr())
            unique[name] = value
    save_file(unique, os.path.join(output_dir, "model.safetensors"), metadata={"format": "pt"})


def _main() -> None:
    parser = argparse.ArgumentParser(description="Whole float32 weights out of a checkpoint folder.")
    parser.add_argument("checkpoint_dir")
    parser.add_argument("output_dir")
    parser.add_argument("--max_shard_size", default="5GB", help="has no effect: there is one file")
    parser.add_argument("--safe_serialization", action="store_true", help="model.safetensors, not pytorch_model.bin")
    parser.add_argument("-t", "--tag", default=None, help="folder of the checkpoint; else the one that `latest` names")
    parser.add_argument("-d", "--debug", action="store_true", help="has no effect")
    given = parser.parse_args()
    convert_zero_checkpoint_to_fp32_state_dict(
        given.checkpoint_dir, given.output_dir, given.max_shard_size, given.safe_serialization, given.tag
    )


if __name__ == "__main__":
    _main()

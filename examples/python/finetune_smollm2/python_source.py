"""The demo's text: some modules of the Python standard library, as blocks of tokens of one length."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, tensor
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# In every Python from 3.10 to 3.13. One package, so that a short run has a style to learn.
MODULES = ("json/__init__.py", "json/decoder.py", "json/encoder.py")


class Blocks(Dataset[Tensor]):
    """Token blocks of shape [block_tokens]; a block never crosses into the next file's."""

    def __init__(self, blocks: list[Tensor]) -> None:
        self._blocks = blocks

    def __len__(self) -> int:
        return len(self._blocks)

    def __getitem__(self, index: int) -> Tensor:
        return self._blocks[index]


def read_blocks(tokenizer: PreTrainedTokenizerBase, block_tokens: int, num_held_out: int) -> tuple[Blocks, Blocks]:
    """(training blocks, `num_held_out` blocks spread over the files that training never sees)."""
    library = Path(sysconfig.get_paths()["stdlib"])
    blocks: list[Tensor] = []
    for module in MODULES:
        tokens = tokenizer((library / module).read_text(encoding="utf-8"))["input_ids"]
        blocks += [tensor(tokens[start : start + block_tokens])
                   for start in range(0, len(tokens) - block_tokens + 1, block_tokens)]  # fmt: skip
    stride = len(blocks) // num_held_out
    held_out = set(range(stride // 2, len(blocks), stride)[:num_held_out])
    return (
        Blocks([block for index, block in enumerate(blocks) if index not in held_out]),
        Blocks([blocks[index] for index in sorted(held_out)]),
    )

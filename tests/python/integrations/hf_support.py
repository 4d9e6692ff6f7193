"""What the Hugging Face cases share: tiny models, random tokens, the config of their documentation, a Trainer."""

from __future__ import annotations

import contextlib
import copy
import os
from typing import Any, Iterator

import torch
from accelerate.state import AcceleratorState
from case_support import FOLDER
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from deepspeed import comm as dist

VOCABULARY = 64
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
}


def llama_config(**more: Any) -> LlamaConfig:
    return LlamaConfig(**{**SIZES, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, **more})


def make_llama(**more: Any) -> LlamaForCausalLM:
    torch.manual_seed(5)
    return LlamaForCausalLM(llama_config(**more))


def assert_third_layer_is_fresh(model: LlamaForCausalLM, expected: LlamaForCausalLM) -> None:
    """`model` has the two layers of `expected`, and one that was initialized, the same way on both ranks."""
    state = model.state_dict()
    for name, value in expected.state_dict().items():
        assert torch.equal(state[name], value), name
    fresh = state["model.layers.2.mlp.up_proj.weight"]
    assert 0.01 < float(fresh.std()) < 0.03 and bool((state["model.layers.2.input_layernorm.weight"] == 1).all())
    everyone = [torch.empty_like(fresh) for _ in range(2)]
    dist.all_gather(everyone, fresh)
    assert torch.equal(*everyone)


class Tokens(Dataset):
    """Rows of random tokens, the same in every process."""

    def __init__(self, rows: int = 32, seed: int = 0) -> None:
        self.rows = torch.randint(3, VOCABULARY, (rows, 8), generator=torch.Generator().manual_seed(seed))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


def batch(step: int, rank: int) -> dict[str, torch.Tensor]:
    rows = Tokens(2, seed=100 * step + rank).rows
    return {"input_ids": rows, "labels": rows.clone()}


_AUTO: dict[str, Any] = {
    "fp16": {"enabled": "auto", "loss_scale": 0, "initial_scale_power": 16},
    "bf16": {"enabled": "auto"},
    "optimizer": {"type": "AdamW", "params": dict.fromkeys(["lr", "betas", "eps", "weight_decay"], "auto")},
    "scheduler": {
        "type": "WarmupDecayLR",
        "params": dict.fromkeys(["total_num_steps", "warmup_min_lr", "warmup_max_lr", "warmup_num_steps"], "auto"),
    },
    "zero_optimization": {
        "stage": 3,
        "overlap_comm": True,
        "contiguous_gradients": True,
        "sub_group_size": 1e9,
        "reduce_bucket_size": "auto",
        "stage3_prefetch_bucket_size": "auto",
        "stage3_param_persistence_threshold": "auto",
        "stage3_max_live_parameters": 1e9,
        "stage3_max_reuse_distance": 1e9,
        "stage3_gather_16bit_weights_on_model_save": True,
    },
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "steps_per_print": 2000,
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "wall_clock_breakdown": False,
}


def auto_config(stage: int, **zero: Any) -> dict[str, Any]:
    """Hugging Face's documented config, with "auto" wherever they fill one in."""
    config = copy.deepcopy(_AUTO)
    config["zero_optimization"].update({"stage": stage, **zero})
    return config


def make_trainer(name: str, config: Any, model: Any = None, **more: Any) -> Trainer:
    """4 steps of 2 micro-batches on 2 ranks, over all 32 rows once."""
    args = TrainingArguments(
        output_dir=str(FOLDER / name),
        use_cpu=True,
        deepspeed=config,
        **{
            "per_device_train_batch_size": 2,
            "per_device_eval_batch_size": 4,
            "gradient_accumulation_steps": 2,
            "max_steps": 4,
            "learning_rate": 1e-2,
            "warmup_steps": 1,
            "weight_decay": 0.1,
            "max_grad_norm": 0.5,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            **more,
        },
    )
    model = model or make_llama()
    return Trainer(model=model, args=args, train_dataset=Tokens(), eval_dataset=Tokens(8, seed=1))


def train(name: str, config: Any, **more: Any) -> Trainer:
    trainer = make_trainer(name, config, **more)
    trainer.train()
    return trainer


def logged(trainer: Trainer, key: str) -> torch.Tensor:
    return torch.tensor([float(row[key]) for row in trainer.state.log_history if key in row])


def assert_close(found: torch.Tensor, expected: torch.Tensor, what: Any, tolerance: float = 1e-5) -> None:
    assert found.numel() == expected.numel() > 0, (what, found, expected)
    assert torch.allclose(found, expected, rtol=tolerance, atol=tolerance), (what, found, expected)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Inside, Hugging Face sees one process; before any process group is there."""
    kept = {name: os.environ.pop(name) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE") if name in os.environ}
    yield
    os.environ.update(kept)
    AcceleratorState._reset_state(reset_partial_state=True)

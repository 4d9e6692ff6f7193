"""SmolLM2-135M, a real language model, with the Trainer on two ranks; started by integrations_test.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from case_support import FOLDER, run_cases
from hf_support import assert_close, auto_config, logged
from torch.utils.data import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from deepspeed import _C
from deepspeed import comm as dist

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / ".cache" / "smollm2"  # scripts/setup test-all made it
ROWS, WORDS = 8, 48


class License(Dataset):
    """The first rows of this project's license."""

    def __init__(self) -> None:
        tokenizer = AutoTokenizer.from_pretrained(MODEL)
        tokens = tokenizer((ROOT / "LICENSE").read_text(), return_tensors="pt")["input_ids"][0]
        self.rows = tokens[: ROWS * WORDS].view(ROWS, WORDS)

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


def train(stage: int) -> Trainer:
    config = auto_config(stage)
    del config["optimizer"], config["scheduler"]
    args = TrainingArguments(
        output_dir=str(FOLDER / f"stage{stage}"),
        use_cpu=True,
        deepspeed=config,
        per_device_train_batch_size=2,
        max_steps=4,
        learning_rate=1e-4,
        lr_scheduler_type="constant",
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)  # at stage 3 sharded as it is built
    assert all(map(_C.is_sharded, model.parameters())) == (stage == 3)
    trainer = Trainer(model=model, args=args, train_dataset=License())
    trainer.train()
    return trainer


def continuation(model: Any, prompt: torch.Tensor, **more: Any) -> list[int]:
    with torch.no_grad():
        mask = torch.ones_like(prompt)
        found = model.generate(prompt, attention_mask=mask, max_new_tokens=6, do_sample=False, **more)
    return found[0].tolist()


def case_the_real_model_learns_is_saved_whole_and_speaks() -> None:
    losses = []
    prompt = License().rows[0][None, :16]
    for stage in (2, 3):
        trainer = train(stage)
        found = logged(trainer, "loss")
        assert found[2:].mean() < found[:2].mean() - 0.1, found  # the second time through the same rows
        losses.append(found)
        said = continuation(trainer.model, prompt)
        trainer.save_model()
        dist.barrier()
        unset_hf_deepspeed_config()
        again = AutoModelForCausalLM.from_pretrained(FOLDER / f"stage{stage}", dtype=torch.float32).eval()
        assert continuation(again, prompt, synced_gpus=False) == said
        trainer.deepspeed.destroy()
        dist.barrier()
    assert_close(losses[1], losses[0], "stages 2 and 3", 1e-3)


run_cases(globals())

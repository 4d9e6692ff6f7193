"""Hugging Face's Trainer with `deepspeed=` a config, on two ranks; started by integrations_test.py."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Iterator

import torch
from accelerate.state import AcceleratorState
from case_support import FOLDER, run_cases
from hf_support import Tokens, auto_config, llama_config, make_llama
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaForCausalLM, Trainer, TrainingArguments
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from deepspeed import _C
from deepspeed import comm as dist
from deepspeed.runtime.live_engines import engine_of
from deepspeed.utils.zero_to_fp32 import load_state_dict_from_zero_checkpoint


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


def make_lora() -> PeftModel:
    torch.manual_seed(6)
    return get_peft_model(make_llama(), LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))


def train(name: str, config: Any, **more: Any) -> Trainer:
    trainer = make_trainer(name, config, **more)
    trainer.train()
    return trainer


def logged(trainer: Trainer, key: str) -> torch.Tensor:
    return torch.tensor([float(row[key]) for row in trainer.state.log_history if key in row])


def assert_close(found: torch.Tensor, expected: torch.Tensor, what: Any, tolerance: float = 1e-5) -> None:
    assert found.numel() == expected.numel() > 0, (what, found, expected)
    assert torch.allclose(found, expected, rtol=tolerance, atol=tolerance), (what, found, expected)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """What `from_pretrained` reads from a folder in a program without DeepSpeed."""
    unset_hf_deepspeed_config()
    model, report = LlamaForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return model.state_dict()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Inside, Hugging Face sees one process; before any process group is there."""
    kept = {name: os.environ.pop(name) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE") if name in os.environ}
    yield
    os.environ.update(kept)
    AcceleratorState._reset_state(reset_partial_state=True)


with alone():
    PLAIN = train("plain", None, gradient_accumulation_steps=4)
    PLAIN_WEIGHTS = {name: value.clone() for name, value in PLAIN.model.state_dict().items()}


def case_every_stage_equals_a_plain_trainer() -> None:
    for stage in range(4):
        config = auto_config(stage)
        del config["optimizer"], config["scheduler"]  # then these are Hugging Face's own
        trainer = train(f"hf{stage}", config)
        for key in ("loss", "grad_norm", "learning_rate"):
            assert_close(logged(trainer, key), logged(PLAIN, key), (stage, key))
        for name, value in trainer.model.state_dict().items():
            assert_close(value, PLAIN_WEIGHTS[name], (stage, name), 1e-4)


def case_optimizer_and_scheduler_of_the_config_at_every_stage() -> None:
    for scheduler in ("WarmupDecayLR", "WarmupLR"):
        first = None
        for stage in range(4):
            config = auto_config(stage)
            config["scheduler"]["type"] = scheduler
            if scheduler == "WarmupLR":
                del config["scheduler"]["params"]["total_num_steps"]
            path = FOLDER / "ds_config.json"
            path.write_text(json.dumps(config))
            dist.barrier()
            trainer = train(f"{scheduler}{stage}", str(path), eval_strategy="steps", eval_steps=2)
            assert type(trainer.lr_scheduler.scheduler).__name__ == scheduler
            assert any(map(_C.is_sharded, trainer.model.parameters())) == (stage == 3)
            first = first or trainer
            for key in ("loss", "grad_norm", "learning_rate", "eval_loss"):
                assert_close(logged(trainer, key), logged(first, key), (stage, key))
            dist.barrier()


def case_gradient_checkpointing() -> None:
    for reentrant in (False, True):
        for stage in (2, 3):
            config = auto_config(stage)
            del config["optimizer"], config["scheduler"]
            more = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": reentrant}}
            trainer = train("recomputed", config, **more)
            for key in ("loss", "grad_norm"):
                assert_close(logged(trainer, key), logged(PLAIN, key), (reentrant, stage, key))


def case_lora() -> None:
    expected = None
    for stage in (0, 2, 3):
        trainer = train(f"lora{stage}", auto_config(stage), model=make_lora(), save_strategy="steps", save_steps=2)
        trainer.save_model()
        expected = expected or trainer
        assert_close(logged(trainer, "loss"), logged(expected, "loss"), stage)
        dist.barrier()
        unset_hf_deepspeed_config()
        for name, value in PeftModel.from_pretrained(make_llama(), FOLDER / f"lora{stage}").state_dict().items():
            assert_close(value, expected.model.state_dict()[name], (stage, name), 1e-4)
        again = make_trainer("again", auto_config(stage), model=make_lora())
        again.train(resume_from_checkpoint=str(FOLDER / f"lora{stage}" / "checkpoint-2"))
        assert_close(logged(again, "loss"), logged(trainer, "loss"), stage, 1e-6)


def case_bf16() -> None:
    losses = []
    for stage in (1, 2, 3):
        trainer = train(f"bf16-{stage}", auto_config(stage), bf16=True)
        assert all(parameter.dtype == torch.bfloat16 for parameter in trainer.model.parameters())
        losses.append(logged(trainer, "loss"))
        assert_close(losses[-1], losses[0], stage, 1e-3)


def case_a_model_made_under_the_config_is_sharded_as_it_is_built() -> None:
    for precision in ({}, {"bf16": True}):
        keeper = make_trainer("none", auto_config(3), **precision)  # its arguments make stage 3 known
        model = LlamaForCausalLM._from_config(llama_config())
        assert all(map(_C.is_sharded, model.parameters()))
        same = make_llama()
        same.load_state_dict(model.state_dict())
        del keeper
        built = train("built", auto_config(3), model=model, **precision)
        given = train("given", auto_config(3), model=same, **precision)
        assert_close(logged(built, "loss"), logged(given, "loss"), precision)


def case_save_model() -> None:
    for stage in (1, 2, 3):
        trainer = train(f"save{stage}", auto_config(stage))
        trainer.save_model()
        expected = trainer.model.state_dict()
        dist.barrier()
        found = weights_of(FOLDER / f"save{stage}")
        assert found.keys() == expected.keys()
        assert all(torch.equal(value.cpu(), found[name]) for name, value in expected.items()), stage


def case_save_model_without_gathering_writes_a_checkpoint() -> None:
    trainer = train("scattered", auto_config(3, stage3_gather_16bit_weights_on_model_save=False))
    trainer.save_model()
    expected = trainer.model.state_dict()
    dist.barrier()
    files = {each.name for each in (FOLDER / "scattered").iterdir()}
    assert {"latest", "global_step4", "config.json"} <= files and "model.safetensors" not in files, files
    other = make_trainer("other", auto_config(3, stage3_gather_16bit_weights_on_model_save=False), max_steps=1)
    other.train()
    other.deepspeed.load_checkpoint(str(FOLDER / "scattered"), load_module_only=True)
    assert all(torch.equal(value, expected[name]) for name, value in other.model.state_dict().items())
    again = load_state_dict_from_zero_checkpoint(make_llama(), str(FOLDER / "scattered"))
    assert all(torch.equal(value, expected[name]) for name, value in again.state_dict().items())


def case_resume_from_a_checkpoint() -> None:
    for stage in range(4):
        own = {"scheduler": "HF"} if stage % 2 else {}
        config = auto_config(stage)
        if own:
            del config["scheduler"]
        more = {"save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps", "eval_steps": 2}
        whole = train(f"resume{stage}", config, load_best_model_at_end=True, **more)
        folder = FOLDER / f"resume{stage}" / "checkpoint-2"
        assert (folder / "global_step2").is_dir()
        config = auto_config(stage)
        if own:
            del config["scheduler"]
        again = make_trainer(f"again{stage}", config)
        again.train(resume_from_checkpoint=str(folder))
        for key in ("loss", "grad_norm", "learning_rate"):
            assert_close(logged(again, key), logged(whole, key), (stage, key), 1e-6)
        dist.barrier()


def case_evaluate_and_predict_without_training() -> None:
    model = make_llama().eval()
    expected = [model(**{key: value[None] for key, value in row.items()}).loss for row in Tokens(8, seed=1)]
    trainer = make_trainer("evaluate", auto_config(3))
    found = trainer.evaluate()
    assert all(map(_C.is_sharded, trainer.model.parameters()))
    assert_close(torch.tensor(found["eval_loss"]), torch.stack(expected).mean().detach(), "evaluate")
    assert trainer.predict(Tokens(8, seed=1)).predictions.shape == (8, 8, 64)


def case_two_trainers_of_one_model() -> None:
    for stage in (2, 3):
        first = train(f"first{stage}", auto_config(stage), max_steps=2)
        weights = {name: value.clone() for name, value in first.model.state_dict().items()}
        second = make_trainer(f"second{stage}", auto_config(stage), model=first.model, max_steps=2, learning_rate=0.0)
        second.train()
        assert all(torch.equal(value, weights[name]) for name, value in second.model.state_dict().items()), stage
        assert all(engine_of(each)[0] is second.deepspeed for each in second.model.parameters())


run_cases(globals())

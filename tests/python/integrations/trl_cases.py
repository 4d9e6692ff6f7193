"""TRL's trainers with `deepspeed=` a config, on two ranks; started by integrations_test.py with TRL beside .venv/."""

from __future__ import annotations

from typing import Any

import torch
from accelerate.state import AcceleratorState
from case_support import FOLDER, run_cases
from datasets import Dataset
from hf_support import VOCABULARY, alone, assert_close, auto_config, logged, make_llama
from peft import LoraConfig, PeftModel
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer
from trl.models import prepare_deepspeed, unwrap_model_for_generation

from deepspeed import _C
from deepspeed import comm as dist

ARGUMENTS: dict[str, Any] = {
    "use_cpu": True,
    "bf16": False,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "max_steps": 3,
    "learning_rate": 1e-2,
    "warmup_steps": 1,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": [],
    "disable_tqdm": True,
}


def make_tokenizer() -> PreTrainedTokenizerFast:
    words = {"<pad>": 0, "<s>": 1, "</s>": 2, **{f"w{each}": each for each in range(3, VOCABULARY)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", padding_side="left"
    )


def texts(seed: int, words: int = 8, rows: int = 32) -> list[str]:
    numbers = torch.randint(3, VOCABULARY, (rows, words), generator=torch.Generator().manual_seed(seed))
    return [" ".join(f"w{each}" for each in row) for row in numbers.tolist()]


def zero_config(stage: int) -> dict[str, Any]:
    """As TRL's own configs: optimizer and scheduler are the Trainer's; every parameter is sharded at stage 3."""
    config = auto_config(stage, stage3_param_persistence_threshold=0)
    del config["optimizer"], config["scheduler"]
    return config


def lora() -> LoraConfig:
    return LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")


def saved_llama() -> str:
    folder = FOLDER / "llama"
    unset_hf_deepspeed_config()
    if dist.get_rank() == 0:
        make_llama().save_pretrained(folder)
        make_tokenizer().save_pretrained(folder)
    dist.barrier()
    return str(folder)


def sft(name: str, config: Any, model: Any = None, **more: Any) -> SFTTrainer:
    peft_config = more.pop("peft_config", None)
    torch.manual_seed(6)
    trainer = SFTTrainer(
        model=model or make_llama(),
        args=SFTConfig(output_dir=str(FOLDER / name), deepspeed=config, **{**ARGUMENTS, **more}),
        train_dataset=Dataset.from_dict({"text": texts(0)}),
        processing_class=make_tokenizer(),
        peft_config=peft_config,
    )
    trainer.train()
    return trainer


with alone():
    PLAIN = sft("plain", None, gradient_accumulation_steps=4)


def case_sft_equals_a_plain_trainer() -> None:
    for stage in (2, 3):
        for more in ({}, {"gradient_checkpointing": False}):
            trainer = sft(f"sft{stage}", zero_config(stage), **more)
            assert any(map(_C.is_sharded, trainer.model.parameters())) == (stage == 3)
            for key in ("loss", "grad_norm", "mean_token_accuracy"):
                assert_close(logged(trainer, key), logged(PLAIN, key), (stage, key))
        trainer.save_model()
        expected = trainer.model.state_dict()
        dist.barrier()
        unset_hf_deepspeed_config()
        found = LlamaForCausalLM.from_pretrained(FOLDER / f"sft{stage}").state_dict()
        assert all(torch.equal(value.cpu(), found[name]) for name, value in expected.items()), stage


def case_sft_of_a_folder_with_lora() -> None:
    folder, expected = saved_llama(), None
    for stage in (0, 2, 3):
        # TRL reads the model under its arguments' config: at stage 3 it is sharded as it is built.
        more = {"model_init_kwargs": {"dtype": "float32"}, "max_steps": 4, "save_strategy": "steps", "save_steps": 2}
        trainer = sft(f"lora{stage}", zero_config(stage), folder, peft_config=lora(), **more)
        assert any(map(_C.is_sharded, trainer.model.parameters())) == (stage == 3)
        expected = expected or trainer
        for key in ("loss", "grad_norm"):
            assert_close(logged(trainer, key), logged(expected, key), (stage, key))
        trainer.save_model()
        dist.barrier()
        unset_hf_deepspeed_config()
        again = PeftModel.from_pretrained(make_llama(), FOLDER / f"lora{stage}").state_dict()
        for name, value in trainer.model.state_dict().items():
            assert_close(value, again[name], (stage, name), 1e-6)


def preferences() -> Dataset:
    """On disk, where every rank finds what rank 0 computes for it."""
    folder = FOLDER / "preferences"
    if dist.get_rank() == 0 and not folder.exists():
        rows = {"prompt": texts(1, 4), "chosen": texts(2, 4), "rejected": texts(3, 4)}
        Dataset.from_dict(rows).save_to_disk(folder)
    dist.barrier()
    return Dataset.load_from_disk(folder)


def dpo(name: str, stage: int, model: Any = None, peft_config: Any = None, **more: Any) -> DPOTrainer:
    torch.manual_seed(6)
    arguments = {**ARGUMENTS, "model_init_kwargs": {"dtype": "float32"} if isinstance(model, str) else None, **more}
    trainer = DPOTrainer(
        model=model or make_llama(),
        ref_model=None if isinstance(model, str) else make_llama(),
        args=DPOConfig(output_dir=str(FOLDER / name), deepspeed=zero_config(stage), **arguments),
        train_dataset=preferences(),
        processing_class=make_tokenizer(),
        peft_config=peft_config,
    )
    trainer.train()
    return trainer


def assert_stages_agree(trainers: list[Any], keys: tuple[str, ...], what: Any) -> None:
    for trainer in trainers[1:]:
        for key in keys:
            assert_close(logged(trainer, key), logged(trainers[0], key), (what, key), 1e-4)


def case_dpo_with_a_reference_model() -> None:
    for more in ({}, {"precompute_ref_log_probs": True}):
        trainers = [dpo(f"dpo{stage}", stage, **more) for stage in (0, 2, 3)]
        assert_stages_agree(trainers, ("loss", "grad_norm", "rewards/margins"), more)
        assert logged(trainers[0], "rewards/margins")[-1] != 0
    assert any(map(_C.is_sharded, trainers[-1].model.parameters()))


def case_dpo_whose_reference_follows_the_model() -> None:
    references = []
    for stage in (0, 2, 3):
        trainer = dpo(f"follow{stage}", stage, sync_ref_model=True, ref_model_sync_steps=2, ref_model_mixup_alpha=0.5)
        model = trainer.accelerator.unwrap_model(trainer.ref_model)
        references.append({name: value.clone() for name, value in model.state_dict().items()})
    unmoved = make_llama().state_dict()
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.allclose(references[0][name], unmoved[name], atol=1e-4)
    for found in references[1:]:
        for name, value in found.items():
            assert_close(value, references[0][name], name, 1e-4)


def case_dpo_of_a_folder_with_lora() -> None:
    folder = saved_llama()
    trainers = [dpo(f"adapted{stage}", stage, folder, lora()) for stage in (0, 2, 3)]
    assert_stages_agree(trainers, ("loss", "grad_norm", "rewards/margins"), "lora")


def reward(completions: list[str], **_: Any) -> list[float]:
    return [float(each.count("w1")) for each in completions]


def grpo(name: str, stage: int, folder: str, peft_config: Any = None, **more: Any) -> GRPOTrainer:
    arguments = {
        **ARGUMENTS,
        "max_steps": 2,
        "num_generations": 2,
        "max_completion_length": 5,
        "beta": 0.1,
        "model_init_kwargs": {"dtype": "float32"},
        **more,
    }
    trainer = GRPOTrainer(
        model=folder,
        reward_funcs=reward,
        args=GRPOConfig(output_dir=str(FOLDER / name), deepspeed=zero_config(stage), **arguments),
        train_dataset=Dataset.from_dict({"prompt": texts(4, 4)}),
        processing_class=make_tokenizer(),
        peft_config=peft_config,
    )
    trainer.train()
    return trainer


def case_grpo_generates_and_trains() -> None:
    folder = saved_llama()
    for peft_config in (None, lora()):
        for gather in (True, False):
            more = {"ds3_gather_for_generation": gather}
            trainers = [grpo(f"grpo{stage}", stage, folder, peft_config, **more) for stage in (2, 3)]
            assert_stages_agree(trainers, ("loss", "grad_norm", "reward", "kl"), (peft_config, gather))
            assert logged(trainers[0], "grad_norm").max() > 0


def case_generation_by_hand_and_a_reference_engine() -> None:
    trainer = sft("byhand", zero_config(3))
    reference = prepare_deepspeed(make_llama(), trainer.accelerator)
    assert all(map(_C.is_sharded, reference.module.parameters())) and reference.optimizer is not None
    prompt = torch.arange(3, 7).view(1, 4)
    for engine in (trainer.model_wrapped, reference):
        whole = make_llama()
        whole.load_state_dict(engine.module.state_dict())
        expected = whole.generate(prompt, max_new_tokens=6, do_sample=False, synced_gpus=False)
        for gather in (True, False):
            with unwrap_model_for_generation(engine, trainer.accelerator, gather_deepspeed3_params=gather) as model:
                found = model.generate(prompt, max_new_tokens=6, do_sample=False)
            assert torch.equal(found, expected)
        assert all(map(_C.is_sharded, engine.module.parameters()))
    AcceleratorState._reset_state()


run_cases(globals())

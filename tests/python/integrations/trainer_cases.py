"""Hugging Face's Trainer with `deepspeed=` a config, on two ranks; started by integrations_test.py."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from case_support import FOLDER, run_cases
from hf_support import (
    SIZES,
    Tokens,
    alone,
    assert_close,
    auto_config,
    llama_config,
    logged,
    make_llama,
    make_trainer,
    train,
)
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    LlamaForCausalLM,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from deepspeed import _C
from deepspeed import comm as dist
from deepspeed.runtime.live_engines import engine_of
from deepspeed.utils.zero_to_fp32 import load_state_dict_from_zero_checkpoint


def make_lora() -> PeftModel:
    torch.manual_seed(6)
    return get_peft_model(make_llama(), LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """What `from_pretrained` reads from a folder in a program without DeepSpeed."""
    unset_hf_deepspeed_config()
    model, report = LlamaForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return model.state_dict()


with alone():
    PLAIN = train("plain", None, gradient_accumulation_steps=4)
    PLAIN_WEIGHTS = {name: value.clone() for name, value in PLAIN.model.state_dict().items()}
    EVALUATED = make_trainer("evaluated", None).evaluate()["eval_loss"]


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
    trainer = make_trainer("evaluate", auto_config(3))
    found = trainer.evaluate()
    assert all(map(_C.is_sharded, trainer.model.parameters()))
    assert_close(torch.tensor(found["eval_loss"]), torch.tensor(EVALUATED), "evaluate")
    assert trainer.predict(Tokens(8, seed=1)).predictions.shape == (8, 8, 64)


def case_every_auto_is_filled_in() -> None:
    trainer = make_trainer("auto", auto_config(3))
    trainer.train()
    config = trainer.deepspeed.config
    assert config is trainer.accelerator.state.deepspeed_plugin.deepspeed_config and '"auto"' not in json.dumps(config)
    zero, optimizer, scheduler = (config[key] for key in ("zero_optimization", "optimizer", "scheduler"))
    width = SIZES["hidden_size"]
    assert zero["reduce_bucket_size"] == width * width and zero["stage3_param_persistence_threshold"] == 10 * width
    assert zero["stage3_prefetch_bucket_size"] == int(0.9 * width * width)
    assert optimizer["params"] == {"lr": 1e-2, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.1}, optimizer
    filled = scheduler["params"]
    assert (filled["warmup_max_lr"], filled["warmup_num_steps"], filled["total_num_steps"]) == (1e-2, 1, 4), filled
    engine = trainer.deepspeed
    assert engine.train_batch_size() == 8 and engine.train_micro_batch_size_per_gpu() == 2
    assert engine.gradient_accumulation_steps() == 2 and engine.gradient_clipping() == 0.5


def start_on_one_rank() -> dict[str, list[float]]:
    """What one_rank_trainer.py found in FOLDER; rank 0 starts it while the others wait."""
    if dist.get_rank() == 0:
        environment = {name: value for name, value in os.environ.items() if not name.endswith(("RANK", "WORLD_SIZE"))}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        program = [str(Path(sys.executable).parent / "deepspeed"), "--num_gpus", "1", "--no_local_rank"]
        script = [str(Path(__file__).parent / "one_rank_trainer.py"), str(FOLDER)]
        command = [*program, "--master_port", port, *script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    dist.barrier()
    return json.loads((FOLDER / "one_rank.json").read_text())


def case_resume_on_another_number_of_ranks() -> None:
    more = {"save_strategy": "steps", "save_steps": 2}
    expected = {stage: logged(train(f"two{stage}", auto_config(stage), **more), "loss") for stage in (2, 3)}
    for name, losses in start_on_one_rank().items():
        assert_close(torch.tensor(losses), expected[int(name[-1])], f"on one rank: {name}")
    for stage in (2, 3):
        again = make_trainer(f"more{stage}", auto_config(stage))
        again.train(resume_from_checkpoint=str(FOLDER / f"one{stage}" / "checkpoint-2"))
        assert_close(logged(again, "loss"), expected[stage], (stage, "from one rank to two"))


def case_uneven_last_batches() -> None:
    losses = []
    for stage in (2, 3):
        more = {"num_train_epochs": 2, "max_steps": -1, "eval_accumulation_steps": 1}
        trainer = make_trainer(f"uneven{stage}", auto_config(stage), **more)
        trainer.train_dataset = Tokens(19)
        trainer.train()
        predicted = trainer.predict(Tokens(7, seed=2))
        assert predicted.predictions.shape == (7, 8, 64)
        losses.append(torch.cat([logged(trainer, "loss"), torch.tensor(predicted.predictions).flatten()]))
    assert_close(losses[1], losses[0], "uneven", 1e-4)


def case_save_only_model() -> None:
    for stage in (2, 3):
        trainer = train(f"only{stage}", auto_config(stage), save_strategy="steps", save_steps=4, save_only_model=True)
        expected = trainer.model.state_dict()
        dist.barrier()
        folder = FOLDER / f"only{stage}" / "checkpoint-4"
        assert not list(folder.glob("global_step*")) and (folder / "model.safetensors").exists()
        found = weights_of(folder)
        assert all(torch.equal(value.cpu(), found[name]) for name, value in expected.items()), stage


class Pairs(Tokens):
    """What is to be generated beside what is read."""

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index][:4]}


def case_predict_with_generate() -> None:
    found = []
    for stage in (2, 3):
        args = Seq2SeqTrainingArguments(
            output_dir=str(FOLDER / f"t5-{stage}"),
            use_cpu=True,
            deepspeed=auto_config(stage, stage3_param_persistence_threshold=0),
            predict_with_generate=True,
            warmup_steps=1,
            per_device_train_batch_size=2,
            per_device_eval_batch_size=2,
            max_steps=3,
            learning_rate=1e-2,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        torch.manual_seed(5)
        sizes = {"vocab_size": 64, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
        model = T5ForConditionalGeneration(T5Config(**sizes, dropout_rate=0.0, decoder_start_token_id=0))
        trainer = Seq2SeqTrainer(model=model, args=args, train_dataset=Pairs(16))
        trainer.train()
        assert any(map(_C.is_sharded, model.parameters())) == (stage == 3)
        predicted = trainer.predict(Pairs(8, seed=1))  # whole batches: Seq2SeqTrainer keeps what fills up the last one
        assert len(predicted.predictions) == 8 and predicted.metrics["test_loss"] > 0
        found.append((logged(trainer, "loss"), torch.tensor(predicted.predictions)))
    assert_close(found[1][0], found[0][0], "losses")
    assert torch.equal(found[1][1], found[0][1])


def case_two_trainers_of_one_model() -> None:
    for stage in (2, 3):
        first = train(f"first{stage}", auto_config(stage), max_steps=2)
        weights = {name: value.clone() for name, value in first.model.state_dict().items()}
        second = make_trainer(f"second{stage}", auto_config(stage), model=first.model, max_steps=2, learning_rate=0.0)
        second.train()
        assert all(torch.equal(value, weights[name]) for name, value in second.model.state_dict().items()), stage
        assert all(engine_of(each)[0] is second.deepspeed for each in second.model.parameters())


run_cases(globals())

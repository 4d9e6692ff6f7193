"""Accelerate with `DeepSpeedPlugin`, on two ranks; started by integrations_test.py with `accelerate launch`."""

from __future__ import annotations

import os
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DeepSpeedPlugin, DummyOptim, DummyScheduler, InitProcessGroupKwargs
from case_support import FOLDER, run_cases
from hf_support import Tokens, batch, make_llama
from torch.utils.data import DataLoader

import deepspeed
from deepspeed import _C
from deepspeed import comm as dist


def make_plugin(stage: int, **more: Any) -> DeepSpeedPlugin:
    """All parameters are sharded at stage 3: these models are so small that they would stay whole."""
    plugin = DeepSpeedPlugin(zero_stage=stage, zero3_save_16bit_model=True, **more)
    plugin.deepspeed_config["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    return plugin


def make_accelerator(plugin: Any, **more: Any) -> Accelerator:
    AcceleratorState._reset_state()
    GradientState._reset_state()
    handlers = [InitProcessGroupKwargs(backend="gloo")]
    return Accelerator(deepspeed_plugin=plugin, kwargs_handlers=handlers, **more)


def prepare(accelerator: Accelerator, make_optimizer: Any = None, make_scheduler: Any = None) -> Any:
    """(engine, optimizer, loader, scheduler) of a tiny model on 8 batches of 2 rows, 4 a rank."""
    model = make_llama()
    loader = DataLoader(Tokens(16), batch_size=2)
    optimizer = make_optimizer(model) if make_optimizer else torch.optim.AdamW(model.parameters(), lr=1e-2)
    scheduler = make_scheduler(optimizer) if make_scheduler else torch.optim.lr_scheduler.StepLR(optimizer, 2)
    return accelerator.prepare(model, optimizer, loader, scheduler)


def train(accelerator: Accelerator, parts: Any) -> list[float]:
    engine, optimizer, loader, scheduler = parts
    losses = []
    for each in loader:
        with accelerator.accumulate(engine):
            loss = engine(**each).loss
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(engine.parameters(), 0.5)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            losses.append(accelerator.gather(loss.detach()).mean().item())
    return losses


def plain() -> tuple[list[float], dict[str, torch.Tensor]]:
    """The same in one process: the batches of both ranks one after the other."""
    model = make_llama()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    batches = list(DataLoader(Tokens(16), batch_size=2))
    losses = []
    for micro in range(4):
        found = [model(**each).loss for each in batches[2 * micro : 2 * micro + 2]]
        losses.append(float(sum(found).detach()) / 2)
        (sum(found) / 4).backward()
        if micro % 2:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad()
            for group in optimizer.param_groups:  # Accelerate steps StepLR(2) once a rank
                group["lr"] *= 0.1
    return losses, model.state_dict()


LAUNCHED = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("ACCELERATE_")}


def case_accelerate_launch() -> None:
    losses, _ = plain()
    os.environ.update(LAUNCHED)
    accelerator = make_accelerator(None)
    plugin = accelerator.state.deepspeed_plugin
    assert plugin.zero_stage == 3 and plugin.gradient_accumulation_steps == 2 and plugin.zero3_save_16bit_model
    parts = prepare(accelerator)
    assert parts[0].zero_optimization_stage() == 3 and parts[0].gradient_clipping() == 0.5
    found = train(accelerator, parts)
    assert torch.allclose(torch.tensor(found), torch.tensor(losses), rtol=1e-5), (found, losses)
    for name in LAUNCHED:
        del os.environ[name]


def case_plugin_with_torch_optimizer_and_scheduler() -> None:
    losses, weights = plain()
    for stage in range(4):
        accelerator = make_accelerator(make_plugin(stage, gradient_accumulation_steps=2, gradient_clipping=0.5))
        assert accelerator.num_processes == 2 and accelerator.distributed_type == "DEEPSPEED"
        parts = prepare(accelerator)
        engine = parts[0]
        assert type(engine) is deepspeed.DeepSpeedEngine and engine.zero_optimization_stage() == stage
        found = train(accelerator, parts)
        assert torch.allclose(torch.tensor(found), torch.tensor(losses), rtol=1e-5), (stage, found, losses)
        state = accelerator.get_state_dict(engine)
        assert (state is None) == (stage == 3 and dist.get_rank() != 0)
        for name, value in (state or {}).items():
            assert torch.allclose(value, weights[name], atol=1e-5), (stage, name)
        accelerator.free_memory()


def case_save_state_and_load_state() -> None:
    for stage in (2, 3):
        accelerator = make_accelerator(make_plugin(stage, gradient_accumulation_steps=2))
        parts = prepare(accelerator)
        train(accelerator, parts)
        folder = str(FOLDER / f"state{stage}")
        accelerator.save_state(folder)
        expected = train(accelerator, parts)
        accelerator.load_state(folder)
        assert train(accelerator, parts) == expected, stage
        accelerator.free_memory()


def case_unwrap_and_save_model() -> None:
    for stage in (2, 3):
        accelerator = make_accelerator(make_plugin(stage))
        parts = prepare(accelerator)
        train(accelerator, parts)
        model = accelerator.unwrap_model(parts[0])
        assert model is parts[0].module and any(map(_C.is_sharded, model.parameters())) == (stage == 3)
        folder = FOLDER / f"model{stage}"
        model.save_pretrained(
            folder,
            is_main_process=accelerator.is_main_process,
            save_function=accelerator.save,
            state_dict=accelerator.get_state_dict(parts[0]),
        )
        accelerator.wait_for_everyone()
        again = type(model).from_pretrained(folder).state_dict()
        for name, value in model.state_dict().items():
            assert torch.equal(value, again[name]), (stage, name)
        accelerator.free_memory()


def case_config_with_dummies() -> None:
    found = []
    for stage in (1, 3):
        config = {
            "train_micro_batch_size_per_gpu": "auto",
            "gradient_accumulation_steps": 2,
            "gradient_clipping": "auto",
            "zero_optimization": {
                "stage": stage,
                "reduce_bucket_size": "auto",
                "stage3_param_persistence_threshold": "auto",
            },
            "optimizer": {"type": "AdamW", "params": {"lr": "auto", "weight_decay": "auto"}},
            "scheduler": {
                "type": "WarmupDecayLR",
                "params": dict.fromkeys(
                    ["warmup_min_lr", "warmup_max_lr", "warmup_num_steps", "total_num_steps"], "auto"
                ),
            },
        }
        accelerator = make_accelerator(DeepSpeedPlugin(hf_ds_config=config, gradient_clipping=0.5))
        parts = prepare(
            accelerator,
            lambda model: DummyOptim(model.parameters(), lr=1e-2, weight_decay=0.1),
            lambda optimizer: DummyScheduler(optimizer, total_num_steps=4, warmup_num_steps=2),
        )
        found.append(train(accelerator, parts) + [parts[3].get_last_lr()[0]])
        accelerator.free_memory()
    assert torch.allclose(torch.tensor(found[0]), torch.tensor(found[1]), rtol=1e-5), found


def case_bf16() -> None:
    for stage in (2, 3):
        accelerator = make_accelerator(make_plugin(stage), mixed_precision="bf16")
        parts = prepare(accelerator)
        assert next(parts[0].parameters()).dtype == torch.bfloat16
        first, *_, last = train(accelerator, parts)
        assert first > 0 and last > 0
        accelerator.free_memory()


def case_two_engines() -> None:
    """A trained model and one that is only read, as reinforcement learning and distillation have them."""
    plugins = {"student": make_plugin(2), "teacher": make_plugin(3)}
    for plugin in plugins.values():
        plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = 2
    accelerator = make_accelerator(plugins)
    parts = prepare(accelerator)
    accelerator.state.select_deepspeed_plugin("teacher")
    teacher = accelerator.prepare(make_llama())
    assert all(map(_C.is_sharded, teacher.module.parameters()))
    expected = make_llama()
    engine, optimizer, loader, _ = parts
    for each in loader:
        with torch.no_grad():
            wanted = teacher(**each).logits
            assert torch.allclose(wanted, expected(**each).logits, atol=1e-6)
        loss = torch.nn.functional.mse_loss(engine(**each).logits, wanted + 1)
        accelerator.backward(loss)
        optimizer.step()


def case_two_trained_models_in_one_checkpoint() -> None:
    plugins = {"first": make_plugin(2), "second": make_plugin(3)}
    for plugin in plugins.values():
        plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = 2
    accelerator = make_accelerator(plugins)
    first = prepare(accelerator)
    accelerator.state.select_deepspeed_plugin("second")
    model = make_llama(num_hidden_layers=1)
    second, other = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=1e-2))
    assert [each.zero_optimization_stage() for each in (first[0], second)] == [2, 3]

    def train_both() -> list[float]:
        losses = []
        for engine, optimizer in ((first[0], first[1]), (second, other)):
            for step in range(2):
                loss = engine(**batch(step, dist.get_rank())).loss
                engine.backward(loss)  # Accelerate's own backward knows one engine
                engine.step()
                losses.append(loss.item())
        return losses

    train_both()
    folder = FOLDER / "both"
    accelerator.save_state(str(folder))
    assert (folder / "pytorch_model").is_dir() and (folder / "pytorch_model_1").is_dir()
    expected = train_both()
    accelerator.load_state(str(folder))
    assert train_both() == expected


def case_gather_for_metrics_leaves_out_what_filled_the_last_batch() -> None:
    for stage in (2, 3):
        accelerator = make_accelerator(make_plugin(stage))
        parts = prepare(accelerator)
        loader = accelerator.prepare(DataLoader(Tokens(7, seed=3), batch_size=2))
        rows = []
        for each in loader:
            with torch.no_grad():
                logits = parts[0](**each).logits
            rows.append(accelerator.gather_for_metrics((each["input_ids"], logits))[0])
        assert torch.equal(torch.cat(rows), Tokens(7, seed=3).rows)
        accelerator.free_memory()


run_cases(globals())

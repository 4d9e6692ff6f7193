"""Models of transformers and adapters of PEFT under stage 3, on two ranks; started by integrations_test.py."""

from __future__ import annotations

import copy
from typing import Any

import torch
from case_support import FOLDER, initialize, run_cases
from hf_support import SIZES, assert_third_layer_is_fresh, batch, llama_config, make_llama
from peft import AdaLoraConfig, LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaForCausalLM
from transformers.integrations import HfDeepSpeedConfig

import deepspeed
from deepspeed import _C
from deepspeed import comm as dist
from deepspeed.utils.zero_to_fp32 import (
    convert_zero_checkpoint_to_fp32_state_dict,
    get_fp32_state_dict_from_zero_checkpoint,
)

GENERATION: dict[str, Any] = {"max_new_tokens": 6, "do_sample": False}


def settings(stage: int = 3, **more: Any) -> dict[str, Any]:
    zero = {"stage": stage, "stage3_param_persistence_threshold": 0}
    optimizer = {"type": "AdamW", "params": {"lr": 1e-2}}
    return {"train_micro_batch_size_per_gpu": 2, "zero_optimization": zero, "optimizer": optimizer, **more}


def saved_llama(name: str) -> tuple[LlamaForCausalLM, str]:
    """An ordinary model, and the folder that rank 0 saved it to."""
    model, folder = make_llama(), str(FOLDER / name)
    if dist.get_rank() == 0:
        model.save_pretrained(folder)
    dist.barrier()
    return model, folder


def assert_same(found: nn.Module, expected: nn.Module) -> None:
    wanted = expected.state_dict()
    state = found.state_dict()
    assert state.keys() == wanted.keys()
    for name, value in state.items():
        assert torch.equal(value, wanted[name]), name


def case_from_pretrained() -> None:
    expected, folder = saved_llama("llama")
    config = HfDeepSpeedConfig(settings())
    model, report = LlamaForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    assert all(map(_C.is_sharded, model.parameters()))
    assert_same(model, expected)
    engine = initialize(model, settings())
    assert_same(engine.module, expected)
    with torch.no_grad():
        found = engine(**batch(0, 0)).logits
        assert torch.allclose(found, expected(**batch(0, 0)).logits, atol=1e-6)
    engine.module.save_pretrained(f"{FOLDER}/again")  # all ranks gather, rank 0 writes
    dist.barrier()
    engine.destroy()
    del config
    assert_same(LlamaForCausalLM.from_pretrained(f"{FOLDER}/again"), expected)


def case_from_pretrained_initializes_what_the_file_lacks() -> None:
    expected, folder = saved_llama("small")
    config = HfDeepSpeedConfig(settings())
    bigger = llama_config(num_hidden_layers=3)
    model = LlamaForCausalLM.from_pretrained(folder, config=bigger)
    assert_third_layer_is_fresh(model, expected)
    del config


def case_views_of_parameters_are_gathered_as_these() -> None:
    config = HfDeepSpeedConfig(settings())  # so far no engine has the model, and state_dict() gives views
    model = AutoModelForCausalLM.from_config(llama_config())
    views = set(model.state_dict().values())
    assert all(map(_C.is_sharded, views)) and not any(isinstance(each, nn.Parameter) for each in views)
    with deepspeed.zero.GatheredParameters(views, modifier_rank=0):
        for parameter in model.parameters():
            assert parameter.ds_status is deepspeed.zero.ZeroParamStatus.AVAILABLE
            parameter.data.fill_(dist.get_rank() + 3)
    assert all(bool((parameter.detach() == 3).all()) for parameter in model.parameters())
    del config


def case_from_config_and_bf16() -> None:
    config = HfDeepSpeedConfig(settings(bf16={"enabled": True}))
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(llama_config(tie_word_embeddings=True))
    assert all(_C.is_sharded(each) and each.dtype == torch.bfloat16 for each in model.parameters())
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert 0.01 < float(model.model.embed_tokens.weight.detach().float().std()) < 0.03
    engine = initialize(model, settings(bf16={"enabled": True}))
    losses = []
    for _ in range(3):
        loss = engine(**batch(0, dist.get_rank())).loss
        losses.append(loss.item())
        engine.backward(loss)
        engine.step()
    assert losses[2] < losses[0]
    engine.destroy()
    del config


def case_whole_weights_out_of_a_checkpoint_with_tied_ones() -> None:
    model = make_llama(tie_word_embeddings=True)
    engine = initialize(model, settings(bf16={"enabled": True}))
    engine.backward(engine(**batch(0, dist.get_rank())).loss)
    engine.step()
    engine.save_checkpoint(str(FOLDER / "tied"))
    found = get_fp32_state_dict_from_zero_checkpoint(str(FOLDER / "tied"))
    assert found.keys() == model.state_dict().keys()
    for name, parameter in model.named_parameters():
        assert torch.equal(found[name], deepspeed.utils.safe_get_full_fp32_param(parameter)), name
        assert found[name].dtype == torch.float32 and torch.equal(found[name].bfloat16(), parameter.detach().clone())
    output = FOLDER / f"whole{dist.get_rank()}"
    model.config.save_pretrained(output)
    convert_zero_checkpoint_to_fp32_state_dict(str(FOLDER / "tied"), str(output), safe_serialization=True)
    engine.destroy()
    again = LlamaForCausalLM.from_pretrained(output, dtype=torch.float32)
    assert again.lm_head.weight is again.model.embed_tokens.weight
    assert all(torch.equal(value, found[name]) for name, value in again.state_dict().items())


def case_resize_token_embeddings() -> None:
    expected, folder = saved_llama("resized")
    config = HfDeepSpeedConfig(settings())
    model = LlamaForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(70)
    assert model.get_input_embeddings().weight.shape == model.lm_head.weight.shape == (70, 32)
    engine = initialize(model, settings())
    state = model.state_dict()
    for name, value in expected.state_dict().items():
        assert torch.equal(state[name][: len(value)], value), name
    engine.backward(engine(**batch(0, dist.get_rank())).loss)
    engine.step()
    engine.destroy()
    del config


def case_generate() -> None:
    expected, folder = saved_llama("generate")
    config = HfDeepSpeedConfig(settings())
    model = LlamaForCausalLM.from_pretrained(folder)
    engine = initialize(model, settings())
    for each in range(2):  # again after a step: the parameters are other ones
        prompt = batch(each, dist.get_rank())["input_ids"][:, : 4 + dist.get_rank()]
        mask = torch.ones_like(prompt)
        for more in (GENERATION, {**GENERATION, "num_beams": 2}):
            found = engine.module.generate(prompt, attention_mask=mask, **more)
            assert torch.equal(found, expected.generate(prompt, attention_mask=mask, synced_gpus=False, **more))
        engine.backward(engine(**batch(9, dist.get_rank())).loss)
        engine.step()
        expected.load_state_dict(model.state_dict())
    engine.destroy()
    del config


def case_generate_with_hooks_taken_off_and_all_parameters_gathered() -> None:
    """What TRL does around generation, also with a model that is only read."""
    expected = make_llama()
    for with_optimizer in (True, False):
        given = settings() if with_optimizer else {key: settings()[key] for key in settings() if key != "optimizer"}
        given["zero_optimization"]["stage3_param_persistence_threshold"] = 5000
        engine = initialize(make_llama(), given)
        parameters = list(engine.module.parameters())
        assert len(set(map(_C.is_sharded, parameters))) == 2
        offload = getattr(engine.optimizer, "parameter_offload", engine.optimizer)
        with deepspeed.zero.GatheredParameters(parameters):
            assert all(each.ds_status is deepspeed.zero.ZeroParamStatus.AVAILABLE for each in parameters)
            for each in [*parameters, *(each for _, each in offload.module.ds_external_parameters())]:
                each.ds_active_sub_modules.clear()
            for hook in [*offload.forward_hooks, *offload.backward_hooks]:
                hook.remove()
            offload.forward_hooks, offload.backward_hooks = [], []
            prompt = batch(0, dist.get_rank())["input_ids"]
            found = engine.module.generate(prompt, **GENERATION)
            assert torch.equal(found, expected.generate(prompt, synced_gpus=False, **GENERATION))
            offload._register_deepspeed_module(offload.module)
        assert torch.allclose(engine(**batch(0, 0)).loss, expected(**batch(0, 0)).loss)
        engine.destroy()


def lora(model: nn.Module, **more: Any) -> PeftModel:
    torch.manual_seed(6)
    return get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", **more))


def case_lora() -> None:
    base, folder = saved_llama("base")
    losses = []
    for stage in (0, 2, 3):
        config = HfDeepSpeedConfig(settings(stage))
        model = lora(LlamaForCausalLM.from_pretrained(folder))
        assert any(map(_C.is_sharded, model.parameters())) == (stage == 3)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        engine = initialize(model, settings(stage))
        found = []
        for step in range(3):
            loss = engine(**batch(step, dist.get_rank())).loss
            engine.backward(loss)
            engine.step()
            found.append(loss.item())
        losses.append(found)
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name]) == ("lora" not in name), name
        model.save_pretrained(f"{FOLDER}/adapter{stage}-{dist.get_rank()}")
        engine.save_checkpoint(f"{FOLDER}/lora{stage}", exclude_frozen_parameters=True)
        trained = model.state_dict()
        engine.load_checkpoint(f"{FOLDER}/lora{stage}", load_module_strict=False)
        engine.destroy()
        del config
        again = PeftModel.from_pretrained(copy.deepcopy(base), f"{FOLDER}/adapter{stage}-{dist.get_rank()}")
        for name, value in again.state_dict().items():
            assert torch.equal(value, trained[name]), name
    assert torch.allclose(torch.tensor(losses[1:]), torch.tensor(losses[0]), rtol=1e-5), losses


def case_other_adapters() -> None:
    _, folder = saved_llama("kinds")
    for bf16 in (False, True):
        for more in ({"use_dora": True}, {"modules_to_save": ["lm_head"]}):
            given = settings(bf16={"enabled": bf16})
            config = HfDeepSpeedConfig(given)
            model = lora(LlamaForCausalLM.from_pretrained(folder), **more)
            engine = initialize(model, given)
            losses = []
            for _ in range(4):
                loss = engine(**batch(0, dist.get_rank())).loss
                losses.append(loss.item())
                engine.backward(loss)
                engine.step()
            assert losses[-1] < losses[0], (more, losses)
            target = f"{FOLDER}/adapter-{bf16}-{'-'.join(more)}-{dist.get_rank()}"
            model.save_pretrained(target)
            saved = load_file(f"{target}/adapter_model.safetensors")
            state = get_peft_model_state_dict(model)
            assert saved.keys() == state.keys()
            for name, value in saved.items():
                assert value.numel() > 0 and torch.equal(value, state[name].cpu()), name
            engine.destroy()
            del config


def case_adalora_reads_gradients_and_writes_weights() -> None:
    _, folder = saved_llama("ada")
    ranks = AdaLoraConfig(
        init_r=4,
        target_r=2,
        tinit=1,
        tfinal=1,
        deltaT=1,
        total_step=6,
        target_modules=["q_proj"],
        task_type="CAUSAL_LM",
    )
    losses = []
    for stage in (0, 2, 3):
        config = HfDeepSpeedConfig(settings(stage))
        torch.manual_seed(6)
        model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), copy.deepcopy(ranks))
        engine = initialize(model, settings(stage))
        found = []
        for step in range(6):
            loss = engine(**batch(step, dist.get_rank())).loss
            engine.backward(loss)
            model.base_model.update_and_allocate(step)
            engine.step()
            found.append(loss.item())
        losses.append(found)
        engine.destroy()
        del config
    assert torch.allclose(torch.tensor(losses[1:]), torch.tensor(losses[0]), rtol=1e-5), losses


FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 4},
    "falcon": {"new_decoder_architecture": True, "alibi": False},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32, "dropout": 0.0},
    "bloom": {"n_layer": 2, "n_head": 4, "hidden_dropout": 0.0, "attention_dropout": 0.0},
    "gpt_neox": {},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 4},
    "gemma3_text": {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 4},
}


def case_families_equal_stage_zero() -> None:
    for family, more in FAMILIES.items():
        sizes = {**SIZES, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, **more}
        losses, weights = [], []
        for stage in (0, 3):
            torch.manual_seed(5)
            model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes))
            engine = initialize(model, settings(stage))
            found = []
            for step in range(2):
                loss = engine(**batch(step, dist.get_rank())).loss
                found.append(loss.item())
                engine.backward(loss)
                engine.step()
            losses.append(torch.tensor([*found, engine.get_global_grad_norm()]))
            weights.append(model.state_dict())
            engine.destroy()
        assert torch.allclose(*losses, rtol=1e-5), (family, losses)
        for name, value in weights[1].items():
            assert torch.allclose(weights[0][name], value, atol=1e-5), (family, name)


run_cases(globals())

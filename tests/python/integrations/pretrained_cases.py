"""`deepspeed.zero.load_pretrained` on two ranks: equal to `from_pretrained`, and each rank reads its share; started by
integrations_test.py."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from case_support import FOLDER, initialize, message, run_cases
from hf_support import SIZES, assert_third_layer_is_fresh, batch, llama_config, make_llama
from safetensors.torch import save_file
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaForCausalLM,
    LlamaModel,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.integrations import HfDeepSpeedConfig, is_deepspeed_zero3_enabled

import deepspeed
from deepspeed import _C
from deepspeed import comm as dist
from deepspeed.runtime.zero import construction_context
from deepspeed.zero import load_pretrained


def settings(**more: Any) -> dict[str, Any]:
    zero = {"stage": 3, "stage3_param_persistence_threshold": 0}
    optimizer = {"type": "AdamW", "params": {"lr": 1e-2}}
    return {"train_micro_batch_size_per_gpu": 2, "zero_optimization": zero, "optimizer": optimizer, **more}


def saved(name: str, model: Any, **kwargs: Any) -> str:
    folder = str(FOLDER / name)
    if dist.get_rank() == 0:
        model.save_pretrained(folder, **kwargs)
    dist.barrier()
    return folder


def written(name: str, state: dict[str, torch.Tensor]) -> str:
    folder = FOLDER / name
    if dist.get_rank() == 0:
        folder.mkdir()
        save_file(state, folder / "model.safetensors")
    dist.barrier()
    return str(folder)


def assert_same(found: nn.Module, expected: nn.Module, kind: torch.dtype | None = None) -> None:
    """Parameters, which `kind` is for, and all buffers, non-persistent ones too."""
    parameters = dict(expected.named_parameters(remove_duplicate=False))
    wanted = {**expected.state_dict(), **dict(expected.named_buffers())}
    state = {**found.state_dict(), **dict(found.named_buffers())}
    assert state.keys() == wanted.keys()
    for name, value in state.items():
        cast = wanted[name].to(kind) if kind is not None and name in parameters else wanted[name]
        assert value.dtype == cast.dtype and torch.equal(value, cast), name


def assert_sharded(model: nn.Module) -> None:
    for parameter in model.parameters():
        assert _C.is_sharded(parameter) and parameter.ds_shape == parameter.shape
        assert parameter.ds_status is deepspeed.zero.ZeroParamStatus.NOT_AVAILABLE


def train(model: nn.Module, steps: int = 2, **more: Any) -> list[float]:
    engine = initialize(model, settings(**more))
    model.train()
    losses = []
    for step in range(steps):
        loss = engine(**batch(step, dist.get_rank())).loss
        losses.append(loss.item())
        engine.backward(loss)
        engine.step()
    engine.destroy()
    return losses


def case_several_files_equal_from_pretrained_and_train_alike() -> None:
    for tied in (False, True):
        folder = saved(f"llama{tied}", make_llama(tie_word_embeddings=tied), max_shard_size="20KB")
        assert len(list(Path(folder).glob("*.safetensors"))) > 2
        model, info = load_pretrained(LlamaForCausalLM, folder, output_loading_info=True)
        assert type(model) is LlamaForCausalLM and not info["missing_keys"] and not info["unexpected_keys"]
        assert_sharded(model)
        assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
        keep = HfDeepSpeedConfig(settings())
        expected = LlamaForCausalLM.from_pretrained(folder)
        assert_same(model, expected)
        assert model.training == expected.training and model.config.to_dict() == expected.config.to_dict()
        assert model.generation_config.to_dict() == expected.generation_config.to_dict()
        del keep
        assert train(model) == train(expected)
        assert_same(model, expected)


def case_each_rank_reads_its_share() -> None:
    model = make_llama(hidden_size=64, intermediate_size=256)
    folder = saved("share", model, max_shard_size="100KB")
    _, info = load_pretrained(LlamaForCausalLM, folder, output_loading_info=True)
    files = sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
    weights = 4 * sum(parameter.numel() for parameter in model.parameters())
    headers = files - weights
    assert 0 < headers < weights
    assert 0.9 * weights / 2 < info["bytes_read"] - headers < 1.1 * weights / 2


def case_an_alive_config_and_auto_classes() -> None:
    folder = saved("alive", make_llama())
    given = settings(bf16={"enabled": True})
    config = HfDeepSpeedConfig(given)
    with mock.patch.object(deepspeed.zero.Init, "__enter__", side_effect=AssertionError("built whole")):
        model = load_pretrained(AutoModelForCausalLM, folder)
    assert is_deepspeed_zero3_enabled()
    expected = LlamaForCausalLM.from_pretrained(folder)
    assert_sharded(model)
    assert_same(model, expected)
    assert all(each.dtype == torch.bfloat16 for each in model.parameters())
    assert train(model, bf16={"enabled": True}) == train(expected, bf16={"enabled": True})
    del config


def case_types_are_converted() -> None:
    single = make_llama()
    wide, narrow = saved("wide", single), saved("narrow", make_llama().bfloat16())
    enabled = settings(bf16={"enabled": True})
    assert_same(load_pretrained(LlamaForCausalLM, wide, config=enabled), single, torch.bfloat16)
    half = load_pretrained(LlamaForCausalLM, wide, dtype=torch.float16)
    assert half.config.dtype == torch.float16 and half.model.embed_tokens.weight.dtype == torch.float16
    kept = load_pretrained(LlamaForCausalLM, narrow)
    assert kept.config.dtype == torch.bfloat16 and kept.lm_head.weight.dtype == torch.bfloat16
    widened = load_pretrained(LlamaForCausalLM, narrow, dtype=torch.float32)
    assert_sharded(widened)
    for name, value in widened.state_dict().items():
        assert torch.equal(value, single.state_dict()[name].bfloat16().float()), name


def case_what_the_files_lack_is_initialized_equally_on_all_ranks() -> None:
    expected = make_llama()
    folder = saved("lacks", expected)
    torch.manual_seed(dist.get_rank())
    model, info = load_pretrained(
        LlamaForCausalLM, folder, config=settings(), output_loading_info=True, num_hidden_layers=3
    )
    assert len(info["missing_keys"]) == 9 and all("layers.2." in name for name in info["missing_keys"])
    assert_sharded(model)
    assert_third_layer_is_fresh(model, expected)


def case_the_base_prefix_may_be_missing_or_extra() -> None:
    whole = make_llama()
    base = load_pretrained(LlamaModel, saved("whole", whole))
    assert_same(base, whole.model)
    model, info = load_pretrained(LlamaForCausalLM, saved("base", whole.model), output_loading_info=True)
    assert info["missing_keys"] == {"lm_head.weight"}
    assert_same(model.model, whole.model)
    assert_sharded(model)


FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "falcon": {"new_decoder_architecture": True, "alibi": False},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 2, "n_head": 4},
    "gpt_neox": {},
    "qwen3": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 4},
}


def case_families_equal_from_pretrained() -> None:
    for family, more in FAMILIES.items():
        sizes = {**SIZES, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, **more}
        torch.manual_seed(5)
        folder = saved(family, AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes)))
        expected = AutoModelForCausalLM.from_pretrained(folder)
        model = load_pretrained(AutoModelForCausalLM, folder)
        assert_sharded(model)
        assert_same(model, expected)
        with torch.no_grad():
            assert torch.allclose(model(**batch(0, 0)).logits, expected(**batch(0, 0)).logits, atol=1e-5), family


def case_what_transformers_keeps_in_float32_stays() -> None:
    torch.manual_seed(5)
    sizes = {"vocab_size": 64, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    folder = saved("t5", T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0)))
    expected = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float16)
    found = load_pretrained(T5ForConditionalGeneration, folder, dtype=torch.float16)
    types = {name: each.dtype for name, each in expected.named_parameters()}
    assert len(set(types.values())) == 2
    assert all(each.dtype == torch.float16 for each in found.parameters())  # as zero.Init: `dtype` is for all
    half = saved("t5half", expected)
    assert_same(load_pretrained(T5ForConditionalGeneration, half), T5ForConditionalGeneration.from_pretrained(half))


def case_modules_that_exist() -> None:
    expected = make_llama(tie_word_embeddings=True)
    folder = saved("exists", expected)
    torch.manual_seed(dist.get_rank())
    ordinary = LlamaForCausalLM(llama_config(tie_word_embeddings=True))
    before = dict(ordinary.named_parameters())
    assert load_pretrained(ordinary, folder) is ordinary
    assert all(parameter is before[name] for name, parameter in ordinary.named_parameters())
    with torch.device("meta"):
        on_meta = LlamaForCausalLM(llama_config(tie_word_embeddings=True))
    with deepspeed.zero.Init(dtype=torch.float32):
        sharded = LlamaForCausalLM(llama_config(tie_word_embeddings=True))
    for model in (ordinary, load_pretrained(on_meta, folder), load_pretrained(sharded, folder)):
        assert_sharded(model)
        assert model.lm_head.weight is model.model.embed_tokens.weight
        assert_same(model, expected)
    engine = initialize(ordinary, settings())
    assert "live engine" in message(lambda: load_pretrained(ordinary, folder), ValueError)
    engine.destroy()
    bigger = LlamaForCausalLM(llama_config(tie_word_embeddings=True, num_hidden_layers=3))
    own = {name: value.clone() for name, value in bigger.state_dict().items()}
    load_pretrained(bigger, folder)
    mine = own["model.layers.2.mlp.up_proj.weight"]
    dist.broadcast(mine, 0)
    assert torch.equal(bigger.state_dict()["model.layers.2.mlp.up_proj.weight"], mine)


class Plain(nn.Module):
    """Tied weights, a buffer of each kind, an integer parameter."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, width)
        self.block = nn.Linear(width, width)
        self.head = nn.Linear(width, 11, bias=False)
        self.head.weight = self.embed.weight
        self.index = nn.Parameter(torch.arange(3), requires_grad=False)
        self.register_buffer("calls", torch.zeros(2))
        self.register_buffer("table", torch.arange(4.0) / width, persistent=False)


class Scaled(Plain):
    """Has a parameter that nothing but the constructor initializes."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))


def case_any_class_and_its_missing_parameters() -> None:
    torch.manual_seed(3)
    expected = Plain()
    expected.calls += 2
    expected.index += 5
    state = {f"model.{name}": value for name, value in expected.state_dict().items() if name != "head.weight"}
    model = load_pretrained(Plain, written("plain", state))
    assert_same(model, expected)
    assert model.head.weight is model.embed.weight and _C.is_sharded(model.head.weight)
    assert not _C.is_sharded(model.index) and model.table.device.type == "cpu"
    del state["model.block.weight"]
    torch.manual_seed(dist.get_rank())
    partly, info = load_pretrained(Plain, written("partly", state), output_loading_info=True)
    assert info["missing_keys"] == {"block.weight"}
    fresh = partly.block.weight.detach().clone()
    assert bool(fresh.abs().max() > 0) and torch.equal(partly.block.bias, expected.block.bias)
    everyone = [torch.empty_like(fresh) for _ in range(2)]
    dist.all_gather(everyone, fresh)
    assert torch.equal(*everyone)
    assert "reset_parameters" in message(lambda: load_pretrained(Scaled, str(FOLDER / "plain")), ValueError)
    assert bool((load_pretrained(Scaled(), str(FOLDER / "plain")).scale == 1).all())


def case_a_tied_weight_that_the_files_hold_twice_is_tied() -> None:
    single = make_llama(tie_word_embeddings=True)
    both = {**single.state_dict(), "lm_head.weight": single.lm_head.weight.detach().clone()}  # as old files have it
    folder = saved("both", single)
    if dist.get_rank() == 0:
        save_file(both, Path(folder, "model.safetensors"))
    dist.barrier()
    model = load_pretrained(LlamaForCausalLM, folder)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert_same(model, single)
    if dist.get_rank() == 0:
        save_file({**both, "lm_head.weight": both["lm_head.weight"] + 1}, Path(folder, "model.safetensors"))
    dist.barrier()
    apart = load_pretrained(LlamaForCausalLM, folder)  # transformers then ties nothing
    assert torch.equal(apart.lm_head.weight.detach().clone(), single.lm_head.weight + 1)
    assert torch.equal(apart.model.embed_tokens.weight.detach().clone(), single.lm_head.weight)


def case_one_rank_gets_ordinary_parameters() -> None:
    expected = make_llama(tie_word_embeddings=True)
    folder = saved("alone", expected)
    with mock.patch.object(construction_context, "open_shards", lambda *_: (None, torch.device("cpu"))):
        model = load_pretrained(LlamaForCausalLM, folder)
        plain = load_pretrained(Plain, str(FOLDER / "plain"), dtype=torch.bfloat16)
    assert not any(map(_C.is_sharded, model.parameters()))
    assert_same(model, expected)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert plain.block.weight.dtype == torch.bfloat16 and plain.index.dtype == torch.long


def case_what_cannot_be_loaded_is_named() -> None:
    folder = saved("errors", make_llama(), max_shard_size="20KB")
    shape = message(lambda: load_pretrained(LlamaForCausalLM, folder, intermediate_size=96), RuntimeError)
    assert "mlp." in shape and "[64, 32]" in shape and "[96, 32]" in shape, shape
    index = Path(folder, "model.safetensors.index.json")
    one = sorted(set(json.loads(index.read_text())["weight_map"].values()))[0]
    if dist.get_rank() == 0:
        os.truncate(Path(folder, one), 5000)
    dist.barrier()
    torn = message(lambda: load_pretrained(LlamaForCausalLM, folder), RuntimeError)
    assert one in torn and "torn" in torn, torn
    dist.barrier()
    if dist.get_rank() == 0:
        Path(folder, one).unlink()
    dist.barrier()
    assert one in message(lambda: load_pretrained(LlamaForCausalLM, folder), (OSError, RuntimeError))
    pickled = FOLDER / "pickled"
    if dist.get_rank() == 0:
        make_llama().config.save_pretrained(pickled)
        torch.save(make_llama().state_dict(), pickled / "pytorch_model.bin")
    dist.barrier()
    for kind in (LlamaForCausalLM, LlamaForCausalLM(llama_config())):
        assert "pickle" in message(lambda: load_pretrained(kind, str(pickled)), (ValueError, RuntimeError))
    config = AutoConfig.for_model("mixtral", **SIZES, num_local_experts=2)
    experts = saved("experts", AutoModelForCausalLM.from_config(config))
    fused = message(lambda: load_pretrained(AutoModelForCausalLM, experts), NotImplementedError)
    assert "experts" in fused and "from_pretrained" in fused, fused


def case_what_fails_on_one_rank_is_told_on_all() -> None:
    folder = saved("one_rank_fails", make_llama(), max_shard_size="20KB")
    own = f"{folder}{dist.get_rank()}"
    shutil.copytree(folder, own)
    lost = sorted(Path(own).glob("*.safetensors"))[1]
    if dist.get_rank() == 1:
        lost.unlink()
    for source in (LlamaForCausalLM, LlamaForCausalLM(llama_config())):
        told = message(lambda: load_pretrained(source, own), (OSError, RuntimeError))
        assert lost.name in told, told
        assert ("rank 1 failed" in told) == (dist.get_rank() == 0), told
    assert_same(load_pretrained(LlamaForCausalLM, folder), make_llama())


def status_kib(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


class Wide(nn.Module):
    """200 MB in 50 parameters of 4 MB."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(1000, 1000, bias=False) for _ in range(50)])


def case_a_rank_needs_its_shard_and_little_more() -> None:
    here = range(50) if dist.get_rank() == 0 else ()  # who writes
    folder = written("wide_model", {f"layers.{i}.weight": torch.full((1000, 1000), float(i)) for i in here})
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at what is held now
    before = status_kib("VmRSS")
    model, info = load_pretrained(Wide, folder, output_loading_info=True)
    grown = (status_kib("VmHWM") - before) * 1024
    shard = 200e6 / 2
    assert shard <= info["bytes_read"] < 1.01 * shard
    assert grown < shard + 2 * 4e6 + 16e6, grown
    assert all(bool((layer.weight == i).all()) for i, layer in enumerate(model.layers))


run_cases(globals())

"""How many collectives a step takes at stage 3, counted beside FSDP2 on the same models; started by engine_test.py."""

from __future__ import annotations

from typing import Any

import torch
from case_support import config, initialize, run_cases
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.debug import CommDebugMode

from deepspeed import comm as dist

LAYERS, WIDTH, WORDS = 12, 32, 64


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mix = nn.Linear(WIDTH, 3 * WIDTH)
        self.out, self.up, self.down = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.mix(self.before(x)).chunk(3, -1)
        x = x + self.out(nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True))
        return x + self.down(nn.functional.gelu(self.up(self.between(x))))


class Decoder(nn.Module):
    """`ties` as in GPT-2; LLaMA has a head of its own."""

    def __init__(self, ties: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, WORDS, bias=False)
        if ties:
            self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return nn.functional.cross_entropy(self.head(self.norm(x)).flatten(0, 1), tokens.flatten())


def made(ties: bool) -> Decoder:
    torch.manual_seed(1)
    return Decoder(ties)


def batch(step: int) -> torch.Tensor:
    return torch.randint(0, WORDS, (2, 8), generator=torch.Generator().manual_seed(10 * step + dist.get_rank()))


def count_of_fsdp2(ties: bool) -> int:
    """Gathers and reductions of one steady step: a group a block, and one of the rest."""
    model = made(ties)
    mesh = torch.distributed.init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters())
    counter = CommDebugMode()
    for step in range(3):
        if step == 2:
            counter.__enter__()
        model(batch(step)).backward()
        optimizer.step()
        optimizer.zero_grad()
    counter.__exit__(None, None, None)
    counts = {str(operator): count for operator, count in counter.get_comm_counts().items()}
    gathers = sum(count for name, count in counts.items() if "gather" in name)
    reductions = sum(count for name, count in counts.items() if "reduce_scatter" in name)
    assert gathers >= 2 * LAYERS and reductions == LAYERS + 1, counts
    return gathers + reductions


def counts_of_ours(ties: bool, **zero: Any) -> dict[str, int]:
    """The same of ours, at the fifth step."""
    settings = config(3, optimizer={"type": "AdamW", "params": {"lr": 1e-3}})
    settings["zero_optimization"] = {"stage": 3, "stage3_param_persistence_threshold": 0, **zero}
    engine = initialize(made(ties), settings)
    before: dict[str, int] = {}
    for step in range(5):
        before = engine.collectives()
        engine.backward(engine(batch(step)))
        engine.step()
    after = engine.collectives()
    assert len(engine.core.unit_names()) == LAYERS + 1, engine.core.unit_names()
    engine.destroy()
    return {name: after[name] - before[name] for name in after}


def case_stage_three_takes_no_more_collectives_than_fsdp2() -> None:
    for ties in (True, False):
        theirs = count_of_fsdp2(ties)
        for zero in ({}, {"overlap_comm": False}):
            ours = counts_of_ours(ties, **zero)
            total = ours["gathers"] + ours["reductions"]
            print(f"ties {ties}, {zero}: ours {ours}, FSDP2 {theirs}", flush=True)
            assert ours["gathers"] > LAYERS and ours["reductions"] > 0, ours
            assert total <= 1.2 * theirs, (ours, theirs)


if __name__ == "__main__":
    run_cases(globals())

"""torch.compile on engines of every stage, case by case, on two ranks; started by compile_test.py."""

from __future__ import annotations

import os
from typing import Any

from case_support import FOLDER

os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(FOLDER / "inductor")

import torch  # noqa: E402
from case_support import config, initialize, run_cases, tokens  # noqa: E402
from torch import nn  # noqa: E402
from torch._dynamo.utils import counters  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

SLOTS = 2


class Block(nn.Module):
    """Weights that fused kernels read (norm, scale), weights of matrix products, a frozen one."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)
        self.scale = nn.Parameter(torch.full((8,), 0.5))
        self.frozen = nn.Parameter(torch.randn(8), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.tanh(self.up(self.norm(x) * self.frozen))) * self.scale


class Decoder(nn.Module):
    """Embedding tied to the head round equal blocks."""

    def __init__(self, recompute: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.blocks = nn.ModuleList([Block() for _ in range(4)])
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight
        self.recompute = recompute

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.embed(tokens)
        for block in self.blocks:
            hidden = checkpoint(block, hidden, use_reentrant=False) if self.recompute else block(hidden)
        return nn.functional.cross_entropy(self.head(hidden)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def make_decoder(**kwargs: Any) -> Decoder:
    torch.manual_seed(5)
    return Decoder(**kwargs)


def engine_of(net: nn.Module, stage: int) -> Any:
    settings = config(stage, accumulation=2)
    settings["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    trainable = [parameter for parameter in net.parameters() if parameter.requires_grad]
    return initialize(net, settings, optimizer=torch.optim.AdamW(trainable, lr=1e-2))


def losses(engine: Any) -> tuple[list[float], int]:
    """Of four steps of two micro-batches and an evaluation after each; and how many graphs were made after the second."""
    values, graphs = [], 0
    for step in range(4):
        for micro in range(2):
            loss = engine(tokens(step, micro=micro))
            engine.backward(loss)
            engine.step()
            values.append(loss.item())
        with torch.no_grad():
            values.append(engine(tokens(step)).item())
        if step == 1:
            graphs = counters["stats"]["unique_graphs"]
    return values, counters["stats"]["unique_graphs"] - graphs


def eager_losses() -> list[float]:
    engine = engine_of(make_decoder(), 3)
    values, _ = losses(engine)
    engine.destroy()
    return values


def assert_as_eager(engine: Any) -> None:
    torch._dynamo.reset()
    counters.clear()
    values, late_graphs = losses(engine)
    torch.testing.assert_close(values, EAGER, rtol=1e-5, atol=1e-6)
    assert counters["stats"]["unique_graphs"] > 0, "nothing was compiled"
    assert late_graphs == 0, f"{late_graphs} graphs were made after the second step"
    assert not counters["graph_break"], dict(counters["graph_break"])


def case_each_block_compiled() -> None:
    for stage in (0, 1, 2, 3):
        for first in (True, False):
            net = make_decoder()
            if not first:
                engine = engine_of(net, stage)
            for block in net.blocks:
                block.compile()
            if first:
                engine = engine_of(net, stage)
            assert_as_eager(engine)
            engine.destroy()


EAGER: list[float] = []

if __name__ == "__main__":
    import deepspeed

    deepspeed.init_distributed()
    EAGER = eager_losses()
    run_cases(globals())

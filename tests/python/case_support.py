"""What the cases share: a small model, its data, the same training in one process, and the runner.

A file of cases is started once on two ranks with the `deepspeed` command and ends with `run_cases(globals())`, which
writes {case: "ok" or a traceback} of each rank to the folder given as argument.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Callable

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import deepspeed
from deepspeed import comm as dist

FOLDER = Path(sys.argv[-1])
HANGS_AFTER = 380.0  # seconds; before case_launch.py loses its patience, so that a hang shows where it is


class Net(nn.Module):
    """Embedding tied to the head, two equal blocks, a norm with a buffer beside it."""

    def __init__(self, recompute: str = "") -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 8)) for _ in range(2)])
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.recompute = recompute

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.embed(tokens)
        for block in self.blocks:
            if self.recompute and self.training:
                hidden = hidden + checkpoint(block, hidden, use_reentrant=self.recompute == "reentrant")
            else:
                hidden = hidden + block(hidden)
        logits = self.head(self.norm(hidden))
        return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten())


def make_net(**kwargs: Any) -> Net:
    torch.manual_seed(3)
    return Net(**kwargs)


def tokens(step: int, rank: int | None = None, micro: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(100 * step + 10 * micro + (dist.get_rank() if rank is None else rank))
    return torch.randint(0, 11, (2, 6), generator=generator)


def config(stage: int = 2, accumulation: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "train_micro_batch_size_per_gpu": 2,
        "gradient_accumulation_steps": accumulation,
        "zero_optimization": {"stage": stage},
        "gradient_clipping": 0.5,
        **more,
    }


def reference(steps: int, make_optimizer: Callable[[Any], Any], accumulation: int = 1) -> tuple[Net, list[float]]:
    """The same training in one process, rank by rank."""
    net, norms = make_net(), []
    optimizer = make_optimizer(net.parameters())
    for step in range(steps):
        optimizer.zero_grad()
        for rank in range(dist.get_world_size()):
            for micro in range(accumulation):
                (net(tokens(step, rank, micro)) / accumulation / dist.get_world_size()).backward()
        norms.append(float(nn.utils.clip_grad_norm_(net.parameters(), 0.5)))
        optimizer.step()
    return net, norms


def run(engine: Any, steps: int, accumulation: int = 1, start: int = 0) -> list[float]:
    norms = []
    for step in range(start, start + steps):
        for micro in range(accumulation):
            engine.backward(engine(tokens(step, micro=micro)))
            engine.step()
        norms.append(engine.get_global_grad_norm())
    return norms


def assert_same_weights(engine: Any, net: nn.Module, tolerance: float = 1e-5) -> None:
    for (name, ours), (_, theirs) in zip(engine.module.named_parameters(), net.named_parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, msg=lambda text: f"{name}: {text}")


def initialize(net: nn.Module, settings: dict[str, Any], **kwargs: Any) -> Any:
    engine, *_ = deepspeed.initialize(model=net, config=settings, **kwargs)
    return engine


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, weight_decay=0.1),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=1e-2),
    "rmsprop (external)": lambda p: torch.optim.RMSprop(p, lr=1e-3, momentum=0.5),
    "adamax (external)": lambda p: torch.optim.Adamax(p, lr=1e-2),
}


def message(action: Callable[[], Any], kind: type[BaseException]) -> str:
    """What `action` says when it raises `kind`, which it must."""
    try:
        action()
    except kind as error:
        return str(error)
    raise AssertionError(f"expected {kind.__name__}")


def run_cases(names: dict[str, Any]) -> None:
    faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
    deepspeed.init_distributed()
    results = {}
    for name, case in list(names.items()):
        if not name.startswith("case_"):
            continue
        try:
            case()
            results[name] = "ok"
        except BaseException:
            results[name] = traceback.format_exc()
            break  # the ranks may have parted
    (FOLDER / f"rank{dist.get_rank()}.json").write_text(json.dumps(results))
    if any(became != "ok" for became in results.values()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # so that the launcher ends the others, which may wait for this rank in their next case

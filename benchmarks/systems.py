"""The systems that the benchmark compares: each trains the same model with AdamW and clipping, at its best settings.

A system has `forward(batch) -> loss`, `backward(loss)` and `step()`, and `grad_norm()`: the norm over all ranks, before
clipping, of the last step.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from typing import Any

import torch
from torch import nn

LEARNING_RATE = 1e-3
BETAS = (0.9, 0.999)
EPSILON = 1e-8
WEIGHT_DECAY = 0.01
CLIPPING = 1.0

NAMES = ("ours", "deepspeed", "fsdp2", "ddp", "alone")
Batch = tuple[torch.Tensor, torch.Tensor]


def make_system(name: str, model: nn.Module, *, stage: int, dtype: torch.dtype, batch_size: int) -> Any:
    """Takes the model over; the process group exists. `stage` concerns ours, deepspeed and fsdp2 (2 or 3) only."""
    if name in ("ours", "deepspeed"):
        return DeepSpeed(model, deepspeed_config(name, stage, dtype, batch_size))
    if name == "fsdp2":
        return Fsdp2(model, dtype, reshard=stage == 3)
    return {"alone": Alone, "ddp": Ddp}[name](model, dtype)


class System:
    """The torch loop: forward, backward, clip, fused AdamW, no gradients kept."""

    def __init__(self, model: nn.Module, trained: list[torch.Tensor] | None = None) -> None:
        """`trained`: what the optimizer updates where that is not the model's parameters."""
        self.model = model
        self.trained = trained if trained is not None else list(model.parameters())
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=LEARNING_RATE, betas=BETAS, eps=EPSILON, weight_decay=WEIGHT_DECAY, fused=True
        )
        self._norm: Any = None

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.model(*batch)

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def step(self) -> None:
        self._norm = nn.utils.clip_grad_norm_(self.trained, CLIPPING)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def grad_norm(self) -> float:
        return float(self._norm)

    def memory(self) -> dict[str, float] | None:
        """Bytes that the system says it holds on this rank, and what its formula says. None where it says nothing."""
        return None


class Alone(System):
    """No communication: the limit. In bf16 the weights are bf16 with fp32 masters, as in ZeRO."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        self.masters: list[torch.Tensor] | None = None
        self.gradients: list[torch.Tensor] = []
        if dtype != torch.float32:
            self.masters = [parameter.detach().clone() for parameter in model.parameters()]
            self.gradients = [torch.empty_like(master) for master in self.masters]
            model.to(dtype)
        super().__init__(model, self.masters)
        self.weights = list(model.parameters())

    def step(self) -> None:
        if self.masters is None:
            super().step()
            return
        torch._foreach_copy_(self.gradients, [weight.grad for weight in self.weights])
        for master, gradient, weight in zip(self.masters, self.gradients, self.weights):
            master.grad, weight.grad = gradient, None
        super().step()
        with torch.no_grad():
            torch._foreach_copy_(self.weights, self.masters)


class Ddp(System):
    """Gradients are views of the buckets, which saves a copy; bf16 is torch's autocast over fp32 weights."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch 2.13 has a second name for broadcast_buffers
            wrapped = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True, broadcast_buffers=False)
        super().__init__(wrapped)
        device = next(model.parameters()).device.type
        self._cast: Any = contextlib.nullcontext()
        if dtype != torch.float32:
            self._cast = torch.autocast(device, dtype=dtype)

    def forward(self, batch: Batch) -> torch.Tensor:
        with self._cast:
            return self.model(*batch)


class Fsdp2(System):
    """One group a block, the rest in the root's; parameters stay gathered between forward and backward (as ZeRO-2), or
    are gathered twice (`reshard`, as ZeRO-3)."""

    def __init__(self, model: nn.Module, dtype: torch.dtype, reshard: bool) -> None:
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        policy = MixedPrecisionPolicy()
        if dtype != torch.float32:
            policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
        for block in model.blocks:
            fully_shard(block, reshard_after_forward=reshard, mp_policy=policy)
        fully_shard(model, reshard_after_forward=reshard, mp_policy=policy)
        super().__init__(model)

    def grad_norm(self) -> float:
        return float(self._norm.full_tensor())


class DeepSpeed:
    """`import deepspeed`: ours or the peer, whichever this interpreter has; the same lines for both."""

    def __init__(self, model: nn.Module, config: dict[str, Any]) -> None:
        import deepspeed

        self.version = deepspeed.__version__
        self.engine, *_ = deepspeed.initialize(model=model, model_parameters=model.parameters(), config=config)

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.engine(*batch)

    def backward(self, loss: torch.Tensor) -> None:
        self.engine.backward(loss)

    def step(self) -> None:
        self.engine.step()

    def grad_norm(self) -> float | None:
        norm = self.engine.get_global_grad_norm()
        return None if norm is None else float(norm)  # the peer clips at stage 0 in fp32, but keeps no norm there

    def memory(self) -> dict[str, float] | None:
        core = getattr(self.engine, "core", None)  # ours only
        return dict(core.memory()) if core is not None else None


def deepspeed_config(name: str, stage: int, dtype: torch.dtype, batch_size: int) -> dict[str, Any]:
    """One config for both, but for what makes the peer fastest."""
    zero: dict[str, Any] = {"stage": stage, "contiguous_gradients": True}
    if name == "deepspeed":
        zero |= peer_zero(stage)
    return {
        "train_micro_batch_size_per_gpu": batch_size,
        "gradient_accumulation_steps": 1,
        "optimizer": {
            "type": "AdamW",
            "params": {"lr": LEARNING_RATE, "betas": list(BETAS), "eps": EPSILON, "weight_decay": WEIGHT_DECAY},
        },
        "gradient_clipping": CLIPPING,
        "bf16": {"enabled": dtype == torch.bfloat16},
        "zero_optimization": zero,
        "steps_per_print": 1_000_000,
    }


def peer_zero(stage: int) -> dict[str, Any]:
    """The fastest of those tried on two CPU ranks (overlap on and off, buckets of 5e6, 2e7 and 5e8 elements); they
    differ by 5 % at most. BENCH_PEER_ZERO, a JSON object, tries others."""
    fastest = {"overlap_comm": stage == 3, "reduce_bucket_size": 500_000_000 if stage == 3 else 5_000_000}
    return {**fastest, **json.loads(os.environ.get("BENCH_PEER_ZERO", "{}"))}

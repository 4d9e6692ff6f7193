"""A LLaMA-shaped language model in plain torch, 42 M parameters or fewer, and tokens from which it can learn.

Every system of the benchmark trains this module, built from the same seed on the same tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

# Shapes: B batch, T tokens, D hidden, H heads, K head size, V vocabulary.


@dataclass(frozen=True)
class Shape:
    vocabulary: int = 8192
    hidden: int = 512
    heads: int = 8
    feed_forward: int = 2048
    blocks: int = 8
    batch: int = 2  # sequences a rank and step
    sequence: int = 128


SHAPES = {
    "42m": Shape(),
    "10m": Shape(vocabulary=4096, hidden=256, heads=4, feed_forward=1024),
    "tiny": Shape(vocabulary=512, hidden=64, heads=2, feed_forward=128, blocks=2, sequence=32),
}


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.hidden, 3 * shape.hidden, bias=False)
        self.out = nn.Linear(shape.hidden, shape.hidden, bias=False)

    def forward(self, x_BTD: torch.Tensor, cos_TK: torch.Tensor, sin_TK: torch.Tensor) -> torch.Tensor:
        batch, tokens, hidden = x_BTD.shape
        qkv = self.qkv(x_BTD).view(batch, tokens, 3, self.heads, -1).transpose(1, 3)
        q_BHTK, k_BHTK, v_BHTK = qkv.unbind(dim=2)
        mixed = F.scaled_dot_product_attention(
            rotate(q_BHTK, cos_TK, sin_TK), rotate(k_BHTK, cos_TK, sin_TK), v_BHTK, is_causal=True
        )
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, hidden))


class FeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.up = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.down = nn.Linear(shape.feed_forward, shape.hidden, bias=False)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        return self.down(F.silu(self.gate(x_BTD)) * self.up(x_BTD))


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.hidden, eps=1e-5)
        self.attention = Attention(shape)
        self.feed_forward_norm = nn.RMSNorm(shape.hidden, eps=1e-5)
        self.feed_forward = FeedForward(shape)

    def forward(self, x_BTD: torch.Tensor, cos_TK: torch.Tensor, sin_TK: torch.Tensor) -> torch.Tensor:
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), cos_TK, sin_TK)
        return x_BTD + self.feed_forward(self.feed_forward_norm(x_BTD))


class Llama(nn.Module):
    """forward(tokens, targets) -> mean cross entropy, in fp32."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.hidden)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.norm = nn.RMSNorm(shape.hidden, eps=1e-5)
        self.head = nn.Linear(shape.hidden, shape.vocabulary, bias=False)
        angles_TK = rotary_angles(shape.sequence, shape.hidden // shape.heads)
        self.register_buffer("cos_TK", angles_TK.cos(), persistent=False)
        self.register_buffer("sin_TK", angles_TK.sin(), persistent=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens_BT: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
        x_BTD = self.embedding(tokens_BT)
        for block in self.blocks:
            x_BTD = block(x_BTD, self.cos_TK, self.sin_TK)
        logits_BTV = self.head(self.norm(x_BTD))
        return F.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_BT.flatten())


def rotary_angles(sequence: int, head_size: int) -> torch.Tensor:
    """[sequence, head_size / 2]: how far each pair of channels turns at each position."""
    frequencies = 10000.0 ** (-torch.arange(0, head_size, 2, dtype=torch.float32) / head_size)
    return torch.outer(torch.arange(sequence, dtype=torch.float32), frequencies)


def rotate(x_BHTK: torch.Tensor, cos_TK: torch.Tensor, sin_TK: torch.Tensor) -> torch.Tensor:
    first, second = x_BHTK.chunk(2, dim=-1)
    cos, sin = cos_TK.to(first.dtype), sin_TK.to(first.dtype)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


def make_batch(shape: Shape, step: int, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(tokens, next tokens) of one rank and step. Frequent tokens are frequent as in text, so that the loss falls."""
    generator = torch.Generator().manual_seed(1_000_003 * step + rank)
    uniform = torch.rand(shape.batch, shape.sequence + 1, generator=generator)
    text = (torch.exp(uniform * math.log(shape.vocabulary)) - 1).long().clamp_(max=shape.vocabulary - 1)
    return text[:, :-1].contiguous(), text[:, 1:].contiguous()

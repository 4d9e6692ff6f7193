"""Trains a small model with data of each rank's own; says what every rank has in the end."""
import os

import torch

import deepspeed

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
config = {"train_micro_batch_size_per_gpu": 8, "optimizer": {"type": "AdamW", "params": {"lr": 0.01}},
          "zero_optimization": {"stage": 2}}
engine, *_ = deepspeed.initialize(model=model, model_parameters=model.parameters(), config=config)
torch.manual_seed(1 + int(os.environ["RANK"]))
batch = torch.randn(8, 16)
losses = []
for _ in range(20):
    loss = (engine(batch) - batch.sum(dim=1, keepdim=True)).square().mean()
    engine.backward(loss)
    engine.step()
    losses.append(loss.item())
weights = sum(parameter.double().sum().item() for parameter in model.parameters())
print(f"on {os.environ['GLOO_SOCKET_IFNAME']}: {losses[-1] < losses[0]} {weights:.12f}", flush=True)

"""Trains with a global batch that no number of ranks changes, saving every step; begins where the last checkpoint ends.

Usage: elastic.py FOLDER NUM_STEPS [HANG_AT], where ranks of a launch that was never restarted wait for ever at step HANG_AT.
"""
import os
import sys
import time

import torch
import torch.distributed

import deepspeed

GLOBAL_BATCH = 12
folder, num_steps = sys.argv[1], int(sys.argv[2])
hang_at = int(sys.argv[3]) if len(sys.argv) > 3 else None
rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
config = {"train_batch_size": GLOBAL_BATCH, "train_micro_batch_size_per_gpu": 2,
          "optimizer": {"type": "AdamW", "params": {"lr": 0.01}}, "zero_optimization": {"stage": 2}}
engine, *_ = deepspeed.initialize(model=model, model_parameters=model.parameters(), config=config)
_, state = engine.load_checkpoint(folder)
first_step = state["next_step"] if state else 0
if rank == 0:
    print(f"from step {first_step} with {world_size} ranks, {engine.gradient_accumulation_steps()} micro-batches",
          flush=True)
for step in range(first_step, num_steps):
    if step == hang_at and os.environ.get("DEEPSPEED_RESTART_COUNT") == "0":
        print(f"pid{rank} {os.getpid()} ready", flush=True)
        time.sleep(1000)
    generator = torch.Generator().manual_seed(step)
    batch = torch.randn(GLOBAL_BATCH, 16, generator=generator)[rank::world_size]
    total = torch.zeros(1, dtype=torch.float64)
    for micro_batch in batch.split(2):
        loss = (engine(micro_batch) - micro_batch.sum(dim=1, keepdim=True)).square().mean()
        engine.backward(loss)
        engine.step()
        total += loss.detach().double() * len(micro_batch)
    torch.distributed.all_reduce(total)
    engine.save_checkpoint(folder, client_state={"next_step": step + 1})
    if rank == 0:
        print(f"step {step} loss {total.item() / GLOBAL_BATCH:.12f}", flush=True)

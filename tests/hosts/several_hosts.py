"""Two ranks on each of two hosts: torch.distributed over the default backend beside Gloo, a DDP step on both, and how
many bytes this host's network carried for a sum."""
import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import deepspeed

MIB = 2**20


def sent_bytes():
    return int(Path(f"/sys/class/net/{os.environ['GLOO_SOCKET_IFNAME']}/statistics/tx_bytes").read_text())


def train(group):
    torch.manual_seed(0)
    model = DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(64, 512), torch.nn.Linear(512, 64)),
                                    process_group=group)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    torch.manual_seed(1 + dist.get_rank())
    for _ in range(3):
        model(torch.randn(4, 64)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def cost_of_a_sum(group):
    """MiB that this host sends for the sum of 8 MiB a rank."""
    values = torch.ones(2 * MIB)
    dist.barrier(group)
    before = sent_bytes()
    dist.barrier(group)
    dist.all_reduce(values, group=group)
    dist.barrier(group)
    assert values.eq(dist.get_world_size()).all()
    return (sent_bytes() - before) / MIB


deepspeed.init_distributed()
ours, gloo = dist.group.WORLD, dist.new_group(backend="gloo")
assert dist.get_backend() == "shm", dist.get_backend()
difference = (train(ours) - train(gloo)).abs().max().item()
print(f"differs by {difference:.1e}, sends {cost_of_a_sum(ours):.0f} MiB where Gloo sends {cost_of_a_sum(gloo):.0f}", flush=True)

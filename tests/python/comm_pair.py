"""What each of comm_test's two ranks runs; any failed check makes it exit with an error."""

from __future__ import annotations

from datetime import timedelta

import torch

import deepspeed
from deepspeed import comm as dist
from deepspeed.utils import groups


def check(got: object, expected: object) -> None:
    if got != expected:
        raise AssertionError(f"got {got!r}, expected {expected!r}")


def main() -> None:
    deepspeed.init_distributed(timeout=timedelta(seconds=60))
    deepspeed.init_distributed()  # a group that is there is taken
    check(deepspeed.dist is dist, True)
    rank = dist.get_rank()
    check((dist.get_world_size(), dist.get_local_rank(), dist.get_global_rank(None, 1)), (2, rank, 1))
    check(dist.get_all_ranks_from_group(dist.get_world_group()), [0, 1])
    check((groups._get_data_parallel_world_size(), groups._get_sequence_parallel_world_size()), (2, 1))

    values = torch.tensor([float(rank + 1)])
    dist.all_reduce(values, op=dist.ReduceOp.MAX, prof=True, log_name="mine", debug="x")
    check(values.item(), 2.0)
    dist.broadcast(values.fill_(rank), src=1)
    check(values.item(), 1.0)
    whole = torch.zeros(2)
    dist.all_gather_into_tensor(whole, torch.tensor([float(rank)]))
    check(whole.tolist(), [0.0, 1.0])
    part = torch.zeros(1)
    dist.reduce_scatter_tensor(part, torch.tensor([1.0, 2.0]))
    check(part.item(), 2.0 * (rank + 1))
    parts = [torch.zeros(1), torch.zeros(1)]
    dist.all_gather(parts, torch.tensor([float(rank)]))
    check([each.item() for each in parts], [0.0, 1.0])

    pair = [torch.ones(2), torch.ones(3)]
    dist.all_reduce_coalesced(pair)
    check([each.sum().item() for each in pair], [4.0, 6.0])
    outputs = [torch.zeros(2), torch.zeros(4)]
    work = dist.all_gather_coalesced(outputs, [torch.ones(1), torch.ones(2)], async_op=True)
    check(work is not None and work.wait(), True)
    check([each.sum().item() for each in outputs], [2.0, 4.0])

    words = [None, None]
    dist.all_gather_object(words, f"rank {rank}")
    check(words, ["rank 0", "rank 1"])
    if rank == 0:
        dist.send(torch.tensor([7.0]), 1)
    else:
        received = torch.zeros(1)
        dist.recv(received, 0)
        check(received.item(), 7.0)
    dist.barrier()
    alone = dist.new_group([0])
    check(alone is not None, True)
    dist.destroy_process_group()
    check(dist.is_initialized(), False)


if __name__ == "__main__":
    main()

"""runtime/dataloader.py: each rank its part, again and again."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import IterableDataset, TensorDataset

from deepspeed.runtime.dataloader import DeepSpeedDataLoader, RepeatingLoader


def loader_of(rank: int, num_ranks: int = 2, **options: object) -> DeepSpeedDataLoader:
    data = TensorDataset(torch.arange(8))
    return DeepSpeedDataLoader(
        data, 2, True, rank, None, data_parallel_world_size=num_ranks, data_parallel_rank=rank, **options
    )


def test_the_ranks_together_see_everything_once() -> None:
    seen = [value for rank in range(2) for (batch,) in loader_of(rank) for value in batch.tolist()]
    assert sorted(seen) == list(range(8))
    assert len(loader_of(0)) == 2


def test_each_epoch_is_shuffled_anew() -> None:
    loader = loader_of(0, num_ranks=1)
    epochs = [[value for (batch,) in loader for value in batch.tolist()] for _ in range(3)]
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert epochs[0] != epochs[1] or epochs[1] != epochs[2]


def test_a_timer_is_started_before_each_batch() -> None:
    class Timer:
        starts = 0

        def start(self) -> None:
            self.starts += 1

    timer = Timer()
    data = TensorDataset(torch.arange(4))
    loader = DeepSpeedDataLoader(data, 2, False, 0, timer, data_parallel_world_size=1, data_parallel_rank=0)
    next(loader)
    assert timer.starts == 1


def test_an_iterable_dataset_is_read_as_it_comes() -> None:
    class Counting(IterableDataset):  # type: ignore[type-arg]
        def __iter__(self):  # type: ignore[no-untyped-def]
            return iter(range(4))

    loader = DeepSpeedDataLoader(Counting(), 2, False, 0, None)
    assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3]]


def test_a_repeating_loader_never_ends_but_refuses_an_empty_one() -> None:
    repeated = RepeatingLoader([1, 2])
    assert [next(repeated) for _ in range(5)] == [1, 2, 1, 2, 1]
    with pytest.raises(ValueError, match="gave nothing"):
        next(RepeatingLoader([]))

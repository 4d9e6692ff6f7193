"""runtime/dataloader.py: each rank its part, again and again."""

from __future__ import annotations

import random

import numpy
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, RandomSampler, TensorDataset

from deepspeed.runtime import random_state
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


class Noisy(Dataset):  # type: ignore[type-arg]
    """Its items draw from all generators, as augmentations do."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        drawn = torch.rand(()).item() + random.random() + numpy.random.rand()
        return torch.tensor([index, drawn], dtype=torch.float64)


@pytest.mark.parametrize("sampler", [None, RandomSampler])
@pytest.mark.parametrize("given", [0, 1, 3, 4, 5])
def test_a_position_that_is_loaded_goes_on_with_the_same_batches(sampler: object, given: int) -> None:
    def make() -> DeepSpeedDataLoader:
        data = Noisy()
        chosen = None if sampler is None else sampler(data)  # type: ignore[operator]
        return DeepSpeedDataLoader(
            data, 2, False, 0, None, data_sampler=chosen, data_parallel_world_size=1, data_parallel_rank=0
        )

    torch.manual_seed(1)
    first = make()
    repeated = RepeatingLoader(first)
    for _ in range(given):
        next(repeated)
    generators, position = random_state.capture(), first.state_dict()
    expected = two_epochs_of(repeated)
    second = make()
    repeated = RepeatingLoader(second)  # has begun an epoch of its own
    second.load_state_dict(position)
    random_state.restore(generators)
    for ours, theirs in zip(two_epochs_of(repeated), expected, strict=True):
        assert torch.equal(ours, theirs)


def two_epochs_of(loader: RepeatingLoader) -> list[torch.Tensor]:
    return [next(loader) for _ in range(8)]


def test_a_position_at_an_epochs_end_goes_on_with_the_next_epoch() -> None:
    first, second = loader_of(0, num_ranks=1), loader_of(0, num_ranks=1)
    assert len(list(first)) == 4
    second.load_state_dict(first.state_dict())
    for (ours,), (theirs,) in zip(list(second), list(first), strict=True):
        assert torch.equal(ours, theirs)
    inside = loader_of(0, num_ranks=1)
    for _ in zip(range(4), inside):
        pass  # all batches given, but the loop has not asked for a fifth
    second.load_state_dict(inside.state_dict())
    assert list(second) == [] and len(list(second)) == 4


def test_a_repeating_loader_never_ends_but_refuses_an_empty_one() -> None:
    repeated = RepeatingLoader([1, 2])
    assert [next(repeated) for _ in range(5)] == [1, 2, 1, 2, 1]
    with pytest.raises(ValueError, match="gave nothing"):
        next(RepeatingLoader([]))

"""Loaders that give each rank its own part of a dataset."""

from __future__ import annotations

import itertools
from typing import Any, Callable, Iterator

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler, IterableDataset, Sampler

from deepspeed.runtime import random_state


class RepeatingLoader:
    """An endless iterator over `loader`, which starts again whenever it ends."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self._items = iter(loader)

    def __iter__(self) -> RepeatingLoader:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._items)
        except StopIteration:
            self._items = iter(self.loader)
        try:
            return next(self._items)
        except StopIteration:
            raise ValueError("[deepspeed.RepeatingLoader] the loader gave nothing in a whole pass.") from None


class DeepSpeedDataLoader:
    """A DataLoader over this rank's part of `dataset`, shuffled anew in every epoch and alike on all ranks.

    Without `data_sampler` a DistributedSampler cuts the dataset over `data_parallel_world_size` ranks; an iterable
    dataset cuts itself. `tput_timer`, if there is one, is started before each batch.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int,
        pin_memory: bool,
        local_rank: int,
        tput_timer: Any,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        num_local_io_workers: int | None = None,
        data_sampler: Sampler[Any] | None = None,
        data_parallel_world_size: int | None = None,
        data_parallel_rank: int | None = None,
        dataloader_drop_last: bool = False,
        deepspeed_dataloader_config: dict[str, Any] | None = None,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.local_rank = local_rank
        self.tput_timer = tput_timer
        self.data_sampler = data_sampler
        if data_sampler is None and not isinstance(dataset, IterableDataset):
            self.data_sampler = DistributedSampler(dataset, data_parallel_world_size, data_parallel_rank)
        self.data_parallel_world_size = data_parallel_world_size
        self.data_parallel_rank = data_parallel_rank
        self.dataloader = DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=self.data_sampler,
            collate_fn=collate_fn,
            num_workers=num_local_io_workers or 0,
            pin_memory=pin_memory and _has_gpu(),
            drop_last=dataloader_drop_last,
        )
        self._epoch = -1
        self._num_given = 0  # batches of this epoch
        self._items: Iterator[Any] | None = None
        self._generator = torch.get_rng_state()  # as this epoch began: samplers and workers take their seeds from it
        self._has_ended = self._resumes = False

    def __len__(self) -> int:
        return len(self.dataloader)

    def __iter__(self) -> DeepSpeedDataLoader:
        if self._resumes:
            self._go_to_position()
        else:
            self._epoch += 1
            self._num_given = 0
            self._generator = torch.get_rng_state()
            self._begin_epoch()
        return self

    def __next__(self) -> Any:
        if self._items is None:
            iter(self)
        if self.tput_timer is not None:
            self.tput_timer.start()
        try:
            batch = next(self._items)  # type: ignore[arg-type]
        except StopIteration:
            self._has_ended = True
            raise
        self._num_given += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The position: how many batches of which epoch were given, and the generator's state as that epoch began."""
        is_inside = self._resumes or (self._items is not None and not self._has_ended)
        return {
            "epoch": self._epoch,
            "num_given": self._num_given if is_inside else None,
            "generator": self._generator,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next loop goes on where `state` was taken. Batches before it are read again and dropped."""
        self._epoch, self._generator, self._items = state["epoch"], state["generator"], None
        self._resumes = state["num_given"] is not None
        self._num_given = state["num_given"] or 0

    def _begin_epoch(self) -> None:
        if isinstance(self.data_sampler, DistributedSampler):
            self.data_sampler.set_epoch(self._epoch)
        self._items = iter(self.dataloader)
        self._has_ended = False

    def _go_to_position(self) -> None:
        """Begins the epoch as it began then, and leaves the generators as they are now."""
        self._resumes = False
        now = random_state.capture()
        torch.set_rng_state(self._generator)
        self._begin_epoch()
        if sum(1 for _ in itertools.islice(self._items, self._num_given)) < self._num_given:  # type: ignore[arg-type]
            raise ValueError(
                f"[deepspeed.DeepSpeedDataLoader] {self._num_given} batches of epoch {self._epoch} were given before "
                "the checkpoint, but the dataset has fewer now. Load with load_optimizer_states=False, or load the "
                "same dataset."
            )
        random_state.restore(now)


def _has_gpu() -> bool:
    """Pinning helps copies to a GPU only."""
    from deepspeed.accelerator import get_accelerator

    return not get_accelerator().is_synchronized_device()

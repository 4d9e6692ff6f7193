"""Loaders that give each rank its own part of a dataset."""

from __future__ import annotations

from typing import Any, Callable, Iterator

from torch.utils.data import DataLoader, Dataset, DistributedSampler, IterableDataset, Sampler


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
        self._items: Iterator[Any] | None = None

    def __len__(self) -> int:
        return len(self.dataloader)

    def __iter__(self) -> DeepSpeedDataLoader:
        self._epoch += 1
        if isinstance(self.data_sampler, DistributedSampler):
            self.data_sampler.set_epoch(self._epoch)
        self._items = iter(self.dataloader)
        return self

    def __next__(self) -> Any:
        if self._items is None:
            iter(self)
        if self.tput_timer is not None:
            self.tput_timer.start()
        return next(self._items)  # type: ignore[arg-type]


def _has_gpu() -> bool:
    """Pinning helps copies to a GPU only."""
    from deepspeed.accelerator import get_accelerator

    return not get_accelerator().is_synchronized_device()

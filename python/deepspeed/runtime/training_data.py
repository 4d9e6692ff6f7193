"""Loaders of an engine. The functions are methods of DeepSpeedEngine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.utils.data import IterableDataset

from deepspeed.runtime.dataloader import DeepSpeedDataLoader

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine


def deepspeed_io(
    engine: DeepSpeedEngine,
    dataset: Any,
    batch_size: int | None = None,
    route: str = "train",
    pin_memory: bool = True,
    data_sampler: Any = None,
    collate_fn: Any = None,
    num_local_io_workers: int | None = None,
) -> DeepSpeedDataLoader:
    """A loader over this rank's part of `dataset`, in micro-batches."""
    return DeepSpeedDataLoader(
        dataset,
        batch_size or engine.train_micro_batch_size_per_gpu(),
        pin_memory,
        engine.local_rank,
        engine.tput_timer if route == "train" else None,
        collate_fn=collate_fn or engine.collate_fn,
        num_local_io_workers=num_local_io_workers,
        data_sampler=data_sampler,
        data_parallel_world_size=engine.dp_world_size,
        data_parallel_rank=engine.get_data_parallel_rank(),
        dataloader_drop_last=bool(engine.dataloader_drop_last()),
    )


def is_map_style_dataset(obj: object) -> bool:
    return hasattr(obj, "__getitem__") and hasattr(obj, "__len__")


def is_iterable_style_dataset(obj: object) -> bool:
    return isinstance(obj, IterableDataset)

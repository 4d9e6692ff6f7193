"""Which rank an engine is on and how many share what: all ranks share the data, and no model is split yet."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from deepspeed import comm
from deepspeed.utils import groups

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine


class Topology:
    """A mixin: the attributes and questions about ranks and groups."""

    mpu: Any
    global_rank: int
    local_rank: int
    world_size: int
    data_parallel_group: Any
    dp_world_size: int
    num_experts: list[int]
    expert_parallel_group: dict[str, Any]
    expert_data_parallel_group: dict[str, Any]

    mp_world_size = 1
    sequence_parallel_size = 1
    pipeline_parallelism = False
    has_moe_layers = False

    @property
    def seq_dp_world_size(self) -> int:
        """The ranks that average gradients together."""
        return self.dp_world_size

    @property
    def seq_data_parallel_group(self) -> Any:
        return self.data_parallel_group

    def get_data_parallel_rank(self) -> int:
        return comm.get_rank(self.data_parallel_group)

    def get_model_parallel_rank(self) -> int:
        return 0

    get_tensor_parallel_rank = get_model_parallel_rank

    def get_sequence_parallel_group(self) -> Any:
        """None: no sequence is split."""
        return None


def take_ranks(engine: DeepSpeedEngine, args: Any, mpu: Any) -> None:
    """Fills in what Topology declares; the process group exists."""
    engine.mpu = mpu
    engine.global_rank = comm.get_rank()
    engine.local_rank = int(os.environ.get("LOCAL_RANK", getattr(args, "local_rank", None) or 0))
    engine.data_parallel_group = (groups if mpu is None else mpu).get_data_parallel_group()
    engine.dp_world_size = comm.get_world_size(engine.data_parallel_group)
    engine.world_size = comm.get_world_size()
    if engine.dp_world_size != engine.world_size:
        raise NotImplementedError(
            f"[deepspeed.initialize] mpu: its data-parallel group has {engine.dp_world_size} of {engine.world_size} "
            "ranks. Models that are split over ranks have not landed: gradient norms would lack the other parts. Use "
            "an mpu whose data-parallel group holds all ranks, or none."
        )
    engine.num_experts = []
    engine.expert_parallel_group = {}
    engine.expert_data_parallel_group = {}

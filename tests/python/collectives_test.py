"""torch.distributed over shared memory: the same cases on Gloo beside it, on 2 and 3 ranks; 8 ranks of which one is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from case_launch import DEEPSPEED, assert_case, cases_of

CASES = Path(__file__).with_name("collectives_cases.py")

KILLED = """
import os, signal, time, torch, deepspeed
from deepspeed import comm as dist
deepspeed.init_distributed(verbose=False)
rank, world = dist.get_rank(), dist.get_world_size()
values = torch.full((300_000,), float(rank))
dist.all_reduce(values)
assert values[0] == sum(range(world)), values[0]
if rank == 3:
    os.kill(os.getpid(), signal.SIGKILL)
start = time.monotonic()
try:
    dist.all_reduce(values)
except RuntimeError as error:
    print(f"{time.monotonic() - start < 10} {error}", flush=True)
    os._exit(0)
"""


@pytest.mark.native
@pytest.mark.parametrize("ranks", ["2", "3"])
@pytest.mark.parametrize(("file", "case"), cases_of([CASES]))
def test_as_on_gloo(file: Path, case: str, ranks: str) -> None:
    launch = tuple(ranks if word == "2" else word for word in DEEPSPEED)
    assert_case(file, case, launch)


@pytest.mark.native
def test_a_killed_rank_is_named_by_all_others(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    shared = {**os.environ, "WORLD_SIZE": "8", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port()}
    start = time.monotonic()
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script)],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(8)
    ]
    outputs = [rank.communicate(timeout=180)[0] for rank in ranks]
    assert time.monotonic() - start < 180
    for rank, output in enumerate(outputs):
        if rank != 3:
            assert output.startswith("True") and "rank 3 has ended" in output, f"rank {rank}: {output}"


def _free_port() -> str:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.parametrize("order", ["import deepspeed; import torch", "import torch; import deepspeed"])
def test_an_import_makes_the_backend_known_by_name(order: str) -> None:
    script = f"{order}; assert 'shm' in torch.distributed.Backend.backend_list; assert torch.distributed.Backend.SHM == 'shm'"
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})

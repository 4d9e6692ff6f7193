"""deepspeed.comm: one pair of processes runs every operation; the rest needs none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deepspeed import comm
from deepspeed.comm import rendezvous

PAIR = Path(__file__).with_name("comm_pair.py")


def test_a_call_before_there_is_a_group_says_what_to_call() -> None:
    with pytest.raises(RuntimeError, match="init_distributed"):
        comm.get_rank()
    with pytest.raises(RuntimeError, match="all_reduce.*init_distributed"):
        comm.all_reduce(None)


def test_two_ranks_agree_on_every_operation() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared["PYTHONPATH"] = ":".join(sys.path)
    ranks = [
        subprocess.Popen([sys.executable, str(PAIR)], env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]


@pytest.mark.parametrize(
    "variables",
    [
        {
            "OMPI_COMM_WORLD_RANK": "1",
            "OMPI_COMM_WORLD_SIZE": "2",
            "OMPI_COMM_WORLD_LOCAL_RANK": "1",
            "MASTER_ADDR": "h",
        },
        {"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"},
    ],
)
def test_an_mpi_launchers_variables_are_found(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    environment = dict(variables)
    monkeypatch.setattr(os, "environ", environment)
    rendezvous.mpi_discovery(distributed_port=1234)
    assert {name: environment[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT")} == {
        "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_PORT": "1234",
    }  # fmt: skip
    assert environment["MASTER_ADDR"] == variables.get("MASTER_ADDR", "127.0.0.1")


def test_mpi_over_hosts_without_an_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"PMI_RANK": "0", "PMI_SIZE": "8"})
    with pytest.raises(RuntimeError, match="MASTER_ADDR"):
        rendezvous.mpi_discovery()


def test_what_the_launcher_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "9", "RANK": "0", "MASTER_ADDR": "h"}
    monkeypatch.setattr(os, "environ", environment)
    rendezvous.mpi_discovery()
    assert environment["RANK"] == "0"

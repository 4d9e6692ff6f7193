"""`ds_bench`: its figures and pictures, that a wrong answer is noticed, and two real ranks."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as torch_dist

from deepspeed import comm
from deepspeed.comm import bench
from deepspeed.comm.bench_report import Figure, bar, picture, readable_bytes, readable_seconds, table

DS_BENCH = Path(sysconfig.get_path("scripts")) / "ds_bench"


def figures() -> list[Figure]:
    return [
        Figure("all_reduce", 1 << 20, 1e-3, 4),
        Figure("all_reduce", 1 << 24, 8e-3, 4),
        Figure("broadcast", 1 << 10, 2e-5, 4),
    ]


def test_bus_bandwidth_is_what_each_ranks_link_carries() -> None:
    seconds, size = 0.5, 1 << 30
    ring = Figure("all_reduce", size, seconds, 4)
    assert ring.algorithm_bandwidth == size / seconds
    assert ring.bus_bandwidth == size / seconds * 2 * 3 / 4
    assert Figure("all_gather", size, seconds, 4).bus_bandwidth == size / seconds * 3 / 4
    assert Figure("broadcast", size, seconds, 4).bus_bandwidth == size / seconds


def test_the_table_aligns_and_separates_operations() -> None:
    lines = table(figures(), "GBps").splitlines()
    assert [line.split()[0] for line in lines if line] == ["operation", "all_reduce", "all_reduce", "broadcast"]
    ends = {line.index(cell) + len(cell) for line, cell in zip([lines[0], lines[2], lines[3]], ["size", "1 MiB", "16 MiB"])}
    assert len(ends) == 1
    assert "1.049" in lines[2] and "1.573" in lines[2]
    assert "8.389" in table(figures(), "Gbps").splitlines()[2]
    assert lines[3].endswith(bar(1.0)) and lines[2].endswith(bar(0.5))


@pytest.mark.parametrize(("share", "length"), [(0.0, 0), (0.5, 12), (1.0, 24), (7.0, 24)])
def test_bars(share: float, length: int) -> None:
    assert len(bar(share)) == length


def test_readable_numbers() -> None:
    assert [readable_bytes(n) for n in (1, 1024, 1536, 1 << 26, 3 << 30)] == ["1 B", "1 KiB", "1.5 KiB", "64 MiB", "3 GiB"]
    assert [readable_seconds(s) for s in (2.5e-6, 0.004, 2.0)] == ["2.5 us", "4.0 ms", "2.00 s"]


def test_the_picture_has_a_curve_for_each_operation_inside_its_frame() -> None:
    root = ElementTree.fromstring(picture(figures(), "GBps", "<4 ranks & more>"))
    name = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{name}polyline")) == 2 and len(root.findall(f"{name}circle")) == 3
    assert "<4 ranks & more>" in [text.text for text in root.findall(f"{name}text")]
    for circle in root.findall(f"{name}circle"):
        assert 76 <= float(circle.get("cx", "0")) <= 610 and 56 <= float(circle.get("cy", "0")) <= 368


def test_launch_words_go_to_the_launcher_and_the_others_to_the_ranks() -> None:
    for_launcher, for_ranks = bench.launch_words(
        ["-H", "hosts.txt", "--all_reduce", "--num_gpus=2", "--maxsize", "12", "--no_ssh", "--launcher_args", "-p 22"]
    )
    assert for_launcher == ["--hostfile=hosts.txt", "--num_gpus=2", "--launcher_args=-p 22", "--no_ssh"]
    assert for_ranks == ["--all_reduce", "--maxsize", "12"]


@pytest.mark.parametrize("words", [["--minsize", "9", "--maxsize", "8"], ["--trials", "0"], ["--dtype", "float31"], ["--num_gpu=2"]])
def test_nonsense_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        bench.parse(words)
    assert refusal.value.code == 2


class _Pair:
    """Two ranks of which this is the first; nothing is sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **collectives: Any) -> None:
        monkeypatch.setattr(torch_dist, "get_rank", lambda: 0)
        monkeypatch.setattr(torch_dist, "get_world_size", lambda: 2)
        for name, function in collectives.items():
            for module in (torch_dist, comm):
                monkeypatch.setattr(module, name, function)


def call(operation: str) -> bench.Call:
    return bench.Call(operation, 64, torch.float32, torch.device("cpu"))


def test_a_collective_that_does_nothing_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("all_reduce", "all_gather_into_tensor", "reduce_scatter_tensor", "all_to_all_single")
    _Pair(monkeypatch, **{name: lambda *_: None for name in names})
    for operation in ("all_reduce", "all_gather", "reduce_scatter", "all_to_all"):
        assert not call(operation).is_right(), operation


def test_a_sum_that_takes_one_ranks_part_twice_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    _Pair(monkeypatch, all_reduce=lambda tensor: tensor.mul_(2))
    assert not call("all_reduce").is_right()


@pytest.mark.native
def test_two_ranks(tmp_path: Path) -> None:
    figures_file, picture_file = tmp_path / "bench.json", tmp_path / "bench.svg"
    words = ["--num_gpus", "2", "--minsize", "8", "--maxsize", "12", "--trials", "1"]
    done = subprocess.run(
        [DS_BENCH, *words, "--json", figures_file, "--svg", picture_file], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "all_to_all" in done.stdout, done.stderr
    found = json.loads(figures_file.read_text())
    assert found["wrong"] == [] and found["title"].startswith("2 ranks, ")
    assert [row["bytes"] for row in found["figures"] if row["operation"] == "all_reduce"] == [256, 1024, 4096]
    assert {row["operation"] for row in found["figures"]} == set(bench.BUS_FACTORS)
    assert picture_file.read_text().startswith("<svg")

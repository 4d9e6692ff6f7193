"""`ds_bench`: how fast the collectives of torch.distributed are between the ranks that you would train on."""

from __future__ import annotations

import argparse
import json
import os
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any, Callable

from deepspeed.comm.bench_report import BUS_FACTORS, UNITS, Figure, picture, readable_bytes, table

_OPERATIONS = tuple(BUS_FACTORS)
_DTYPES = ("float32", "bfloat16", "float16", "float64", "int32", "int64", "uint8")
# Flags of the `deepspeed` command that are passed on to it, with whether a value follows.
_LAUNCH_FLAGS = {
    "-H --hostfile": True, "-i --include": True, "-e --exclude": True, "--num_nodes": True, "--num_gpus": True,
    "--master_addr": True, "--master_port": True, "--launcher": True, "--launcher_args": True, "--ssh_port": True,
    "--node_rank": True, "--no_ssh": False, "--bind_cores_to_rank": False, "--bind_core_list": True,
}  # fmt: skip
_MODULE = "deepspeed.comm.bench"


def main(words: list[str] | None = None) -> int:
    """Started by hand it starts itself on every rank, as `deepspeed` would; as a rank it measures."""
    words = sys.argv[1:] if words is None else words
    arguments = parse(words)
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return measure(arguments)
    for_launcher, for_ranks = launch_words(words)
    program = Path(sysconfig.get_path("scripts")) / "deepspeed"
    if not program.exists():
        sys.exit(f"[ds_bench] {program} is missing. Install the package again: pip install deepspeed")
    os.execv(program, [str(program), *for_launcher, "--no_local_rank", "--module", _MODULE, *for_ranks])


def launch_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    where = parser.add_argument_group("where (as for the deepspeed command)")
    for names, has_value in _LAUNCH_FLAGS.items():
        where.add_argument(*names.split(), **({} if has_value else {"action": "store_true"}))  # type: ignore[arg-type]
    return parser


def launch_words(words: list[str]) -> tuple[list[str], list[str]]:
    """The launcher's words, and the others."""
    where, others = launch_parser().parse_known_args(words)
    found = []
    for name, value in vars(where).items():
        if value is True:
            found.append(f"--{name}")
        elif value not in (None, False):
            found.append(f"--{name}={value}")
    return found, others


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ds_bench",
        parents=[launch_parser()],
        description="Measures collectives between ranks: latency, algorithm bandwidth (bytes over time) and bus "
        "bandwidth (what each rank's link carries, which compares between operations and numbers of ranks), as a table "
        "and a picture.",
        epilog="examples: ds_bench --num_gpus 2    ds_bench -H hostfile.txt --all_reduce --maxsize 28 --svg net.svg",
        allow_abbrev=False,
    )
    which = parser.add_argument_group("operations (all without one)")
    for operation in _OPERATIONS:
        which.add_argument(*dict.fromkeys([f"--{operation}", f"--{operation.replace('_', '-')}"]), action="store_true")
    how = parser.add_argument_group("measurement")
    how.add_argument("--minsize", type=int, default=10, metavar="P", help="the least size is 2^P bytes (10)")
    how.add_argument("--maxsize", type=int, default=26, metavar="P", help="the greatest size is 2^P bytes (26: 64 MiB)")
    how.add_argument("--step", type=int, default=2, metavar="P", help="each size is 2^P times the one before (2)")
    how.add_argument("--trials", type=int, default=5, help="calls that are counted (5; at least 20 up to 1 MiB)")
    how.add_argument("--warmups", type=int, default=2, help="calls before them that are not (2)")
    how.add_argument("--dtype", choices=_DTYPES, default="float32")
    how.add_argument("--backend", help="of torch.distributed; without it nccl on GPUs and shm on CPUs")
    show = parser.add_argument_group("output")
    show.add_argument("--bw_unit", choices=tuple(UNITS), default="GBps", help="gigabytes or gigabits a second")
    show.add_argument("--svg", type=Path, metavar="FILE", help="writes the picture there, on rank 0's host")
    show.add_argument("--json", type=Path, metavar="FILE", help="writes the figures there for programs, unrounded")
    arguments = parser.parse_args(words)
    if not 0 <= arguments.minsize <= arguments.maxsize <= 40:
        got = f"--minsize {arguments.minsize} --maxsize {arguments.maxsize}"
        parser.error(f"{got}: expected 0 <= minsize <= maxsize <= 40")
    for name in ("step", "trials"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} {getattr(arguments, name)}: expected at least 1")
    return arguments


def measure(arguments: argparse.Namespace) -> int:
    import torch
    import torch.distributed as dist

    import deepspeed

    deepspeed.init_distributed(dist_backend=arguments.backend, verbose=False)
    rank, ranks = dist.get_rank(), dist.get_world_size()
    if ranks < 2:
        sys.exit("[ds_bench] one rank has nobody to talk to. Ask for more: ds_bench --num_gpus 2")
    device = torch.device(deepspeed.get_accelerator().current_device_name())
    dtype = getattr(torch, arguments.dtype)
    chosen = [name for name in _OPERATIONS if getattr(arguments, name)] or list(_OPERATIONS)
    figures, checks = [], []
    progress = _Progress(rank == 0, len(chosen) * len(sizes(arguments)))
    for operation in chosen:
        for num_bytes in sizes(arguments):
            progress.show(f"{operation} {readable_bytes(num_bytes)}")
            call = Call(operation, num_bytes, dtype, device)
            if not call.is_right():
                checks.append(f"{operation} of {readable_bytes(call.num_bytes)} on rank {rank}")
            seconds = torch.tensor(timed(call, arguments, device), dtype=torch.float64, device=device)
            dist.all_reduce(seconds, op=dist.ReduceOp.MAX)
            figures.append(Figure(operation, call.num_bytes, seconds.item(), ranks))
    progress.end()
    wrong = [text for texts in gathered(checks, ranks) for text in texts]
    if rank == 0:
        title = f"{ranks} ranks, {dist.get_backend()}, {arguments.dtype}"
        report(figures, arguments, title, wrong)
    dist.barrier()
    dist.destroy_process_group()
    return 1 if wrong else 0


def sizes(arguments: argparse.Namespace) -> list[int]:
    return [2**power for power in range(arguments.minsize, arguments.maxsize + 1, arguments.step)]


def gathered(value: Any, ranks: int) -> list[Any]:
    import torch.distributed as dist

    found: list[Any] = [None] * ranks
    dist.all_gather_object(found, value)
    return found


def report(figures: list[Figure], arguments: argparse.Namespace, title: str, wrong: list[str]) -> None:
    print(f"{title}\n\n{table(figures, arguments.bw_unit)}", end="", flush=True)
    if arguments.svg:
        arguments.svg.write_text(picture(figures, arguments.bw_unit, title), encoding="utf-8")
        print(f"\nThe picture is in {arguments.svg}.", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(for_programs(figures, title, wrong), indent=1) + "\n", encoding="utf-8")
    for text in wrong:
        print(f"[ds_bench] WRONG ANSWER: {text}. Its times mean nothing.", file=sys.stderr, flush=True)


def for_programs(figures: list[Figure], title: str, wrong: list[str]) -> dict[str, Any]:
    """Bytes, seconds, and bytes a second."""
    rows = [
        {
            "operation": figure.operation,
            "bytes": figure.num_bytes,
            "seconds": figure.seconds,
            "algorithm_bandwidth": figure.algorithm_bandwidth,
            "bus_bandwidth": figure.bus_bandwidth,
        }
        for figure in figures
    ]
    return {"title": title, "figures": rows, "wrong": wrong}


class Call:
    """One operation on tensors of its own. In sums each element is 1 on one rank and 0 on the others, so that a part
    that is missing or counted twice shows in every type; elsewhere a rank's elements name it."""

    def __init__(self, operation: str, num_bytes: int, dtype: Any, device: Any) -> None:
        import torch
        import torch.distributed as dist

        self._rank, self._ranks = dist.get_rank(), dist.get_world_size()
        part = max(1, num_bytes // dtype.itemsize // self._ranks)
        self.num_bytes = part * self._ranks * dtype.itemsize
        self._own = torch.full((part,), self._name(self._rank), dtype=dtype, device=device)
        self._whole = torch.full((part * self._ranks,), self._name(self._rank), dtype=dtype, device=device)
        if operation in ("all_reduce", "reduce_scatter"):
            self._whole.zero_()[self._rank :: self._ranks] = 1
            self._own.zero_()
        self._other = torch.zeros_like(self._whole) if operation == "all_to_all" else self._whole
        self._run: Callable[[], Any] = getattr(self, f"_{operation}")
        self._expected: Callable[[], Any] = getattr(self, f"_{operation}_is_right")

    @staticmethod
    def _name(rank: int) -> int:
        return rank % 100 + 1

    def _names_in_order(self, whole: Any) -> bool:
        return all(part.eq(self._name(rank)).all() for rank, part in enumerate(whole.chunk(self._ranks)))

    def __call__(self) -> None:
        self._run()

    def is_right(self) -> bool:
        """Runs it once; on fresh tensors only."""
        self._run()
        return bool(self._expected())

    def _all_reduce(self) -> None:
        import torch.distributed as dist

        dist.all_reduce(self._whole)

    def _all_reduce_is_right(self) -> Any:
        right = self._whole.eq(1).all()
        self._whole.zero_()  # sums of sums stay what they are
        return right

    def _all_gather(self) -> None:
        from deepspeed import comm

        comm.all_gather_into_tensor(self._whole, self._own)

    def _all_gather_is_right(self) -> Any:
        return self._names_in_order(self._whole)

    def _reduce_scatter(self) -> None:
        from deepspeed import comm

        comm.reduce_scatter_tensor(self._own, self._whole)

    def _reduce_scatter_is_right(self) -> Any:
        return self._own.eq(1).all()

    def _all_to_all(self) -> None:
        import torch.distributed as dist

        dist.all_to_all_single(self._other, self._whole)

    def _all_to_all_is_right(self) -> Any:
        return self._names_in_order(self._other)

    def _broadcast(self) -> None:
        import torch.distributed as dist

        dist.broadcast(self._whole, src=0)

    def _broadcast_is_right(self) -> Any:
        return self._whole.eq(self._name(0)).all()

    def _pt2pt(self) -> None:
        """From the first rank to the last one, which are on different hosts where there are several."""
        import torch.distributed as dist

        if self._rank == 0:
            dist.send(self._whole, dst=self._ranks - 1)
        elif self._rank == self._ranks - 1:
            dist.recv(self._whole, src=0)

    def _pt2pt_is_right(self) -> Any:
        sender = 0 if self._rank == self._ranks - 1 else self._rank
        return self._whole.eq(self._name(sender)).all()


def timed(call: Call, arguments: argparse.Namespace, device: Any) -> float:
    """Seconds a call of this rank."""
    import torch
    import torch.distributed as dist

    trials = max(arguments.trials, 20) if call.num_bytes <= 2**20 else arguments.trials
    for _ in range(arguments.warmups):
        call()
    dist.barrier()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    begin = time.perf_counter()
    for _ in range(trials):
        call()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return (time.perf_counter() - begin) / trials


class _Progress:
    """A bar on rank 0's terminal."""

    def __init__(self, shows: bool, total: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=total, disable=not (shows and sys.stderr.isatty()), leave=False, desc="ds_bench")
        self._count = 0

    def show(self, what: str) -> None:
        self._bar.set_postfix_str(what)
        if self._count:
            self._bar.update()
        self._count += 1

    def end(self) -> None:
        self._bar.close()


if __name__ == "__main__":
    sys.exit(main())

"""torch.distributed's semantics: every body runs on Gloo and on shared memory with the same expectations, which come from
the values of all ranks, computed here. Values are small integers, so that sums are exact in every type."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any, Callable, Iterator

import torch
import torch.distributed as torch_dist
from case_support import make_net, message, run_cases, tokens
from torch.distributed import ReduceOp
from torch.nn.parallel import DistributedDataParallel

import deepspeed

NUMBERS = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.int32, torch.int64)
ALSO_REDUCED = (torch.int16, torch.bool, torch.complex64, torch.complex128)
ALSO_MOVED = (*ALSO_REDUCED, torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2)
BITWISE = {ReduceOp.BAND: torch.bitwise_and, ReduceOp.BOR: torch.bitwise_or, ReduceOp.BXOR: torch.bitwise_xor}
REDUCTIONS: dict[Any, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    ReduceOp.SUM: torch.add,
    ReduceOp.PRODUCT: torch.mul,
    ReduceOp.MIN: torch.minimum,
    ReduceOp.MAX: torch.maximum,
    **BITWISE,
}
LENGTHS = (0, 1, 7, 5_000, 100_003)  # none, one, odd, over the short path, over a chunk

_groups: dict[str, Any] = {}


def groups() -> Iterator[tuple[str, Any]]:
    """The two implementations over all ranks."""
    if not _groups:
        for name in ("gloo", "shm"):
            _groups[name] = torch_dist.new_group(backend=name, timeout=timedelta(seconds=60))
    yield from _groups.items()


def shm() -> Any:
    return dict(groups())["shm"]


def rank() -> int:
    return torch_dist.get_rank()


def world() -> int:
    return torch_dist.get_world_size()


def values(of: int, dtype: torch.dtype, numel: int, salt: int = 0) -> torch.Tensor:
    """Rank `of`'s."""
    generator = torch.Generator().manual_seed(1000 * salt + of)
    low = 0 if dtype in (torch.uint8, torch.bool) or not (dtype.is_signed or dtype.is_complex) else -3
    high = 2 if dtype == torch.bool else 4
    numbers = torch.randint(low, high, (numel,), generator=generator)
    if dtype.is_complex:
        return torch.complex(numbers.double(), numbers.flip(0).double()).to(dtype)
    return numbers.to(dtype)


def everyones(dtype: torch.dtype, numel: int, salt: int = 0) -> list[torch.Tensor]:
    return [values(each, dtype, numel, salt) for each in range(world())]


def reduced(op: Any, parts: list[torch.Tensor]) -> torch.Tensor:
    if op == ReduceOp.AVG:
        return reduced(ReduceOp.SUM, parts) / len(parts)
    result = parts[0]
    for part in parts[1:]:
        result = REDUCTIONS[op](result, part).to(part.dtype)
    return result


def same(got: torch.Tensor, expected: torch.Tensor, what: object = "") -> None:
    assert got.dtype == expected.dtype and got.shape == expected.shape, (what, got.dtype, got.shape)
    flat = (got.detach().contiguous().view(torch.uint8), expected.contiguous().view(torch.uint8))
    if got.dtype.is_floating_point or got.dtype.is_complex:  # 0 and -0 are the same number
        flat = (got.detach().to(torch.complex128), expected.to(torch.complex128))
    assert torch.equal(*flat), f"{what}: got {got}, expected {expected}"


def reducible() -> Iterator[tuple[str, Any, torch.dtype, Any]]:
    for name, group in groups():
        for dtype in NUMBERS if name == "gloo" else NUMBERS + ALSO_REDUCED:
            for op in REDUCTIONS:
                if op in BITWISE and (dtype.is_floating_point or dtype.is_complex):
                    continue
                if dtype.is_complex and op != ReduceOp.SUM:  # torch refuses them
                    continue
                yield name, group, dtype, op
            if name == "shm" and (dtype.is_floating_point or dtype.is_complex):
                yield name, group, dtype, ReduceOp.AVG


def movable() -> Iterator[tuple[str, Any, torch.dtype]]:
    for name, group in groups():
        for dtype in NUMBERS if name == "gloo" else NUMBERS + ALSO_MOVED:
            yield name, group, dtype


def close(got: torch.Tensor, expected: torch.Tensor, op: Any, what: object) -> None:
    if op == ReduceOp.AVG:
        torch.testing.assert_close(got, expected, msg=lambda text: f"{what}: {text}")
    else:
        same(got, expected, what)


def case_all_reduce() -> None:
    for name, group, dtype, op in reducible():
        for numel in LENGTHS if dtype in (torch.float32, torch.bfloat16) else (0, 7, 5_000):
            mine = values(rank(), dtype, numel)
            torch_dist.all_reduce(mine, op, group)
            close(mine, reduced(op, everyones(dtype, numel)), op, (name, dtype, op, numel))


def case_reduce_to_each_rank() -> None:
    for name, group, dtype, op in reducible():
        root = world() - 1
        for numel in (0, 7, 5_000):
            mine = values(rank(), dtype, numel)
            torch_dist.reduce(mine, root, op, group)
            if rank() == root:
                close(mine, reduced(op, everyones(dtype, numel)), op, (name, dtype, op, numel))


def case_reduce_scatter() -> None:
    for name, group, dtype, op in reducible():
        for numel in (0, 7, 5_000):
            parts = everyones(dtype, numel * world())
            expected = reduced(op, parts).chunk(world())[rank()] if numel else parts[0]
            result = torch.empty(numel, dtype=dtype)
            torch_dist.reduce_scatter_tensor(result, parts[rank()], op, group)
            close(result, expected, op, (name, dtype, op, numel))
            result = torch.empty(numel, dtype=dtype)
            mine = list(parts[rank()].split(numel)) if numel else [parts[0]] * world()
            torch_dist.reduce_scatter(result, mine, op, group)
            close(result, expected, op, (name, dtype, op, numel, "list"))


def case_broadcast() -> None:
    for name, group, dtype in movable():
        for numel in LENGTHS:
            root = numel % world()
            mine = values(rank(), dtype, numel)
            torch_dist.broadcast(mine, root, group)
            same(mine, values(root, dtype, numel), (name, dtype, numel))


def case_all_gather() -> None:
    for name, group, dtype in movable():
        for numel in LENGTHS:
            parts, mine = everyones(dtype, numel), values(rank(), dtype, numel)
            listed = [torch.empty_like(mine) for _ in parts]
            torch_dist.all_gather(listed, mine, group)
            for got, expected in zip(listed, parts, strict=True):
                same(got, expected, (name, dtype, numel))
            if dtype.itemsize == 1 and dtype.is_floating_point:
                continue  # torch cannot concatenate them
            whole = torch.empty(numel * world(), dtype=dtype)
            torch_dist.all_gather_into_tensor(whole, mine, group)
            same(whole, torch.cat([each.view(torch.uint8) for each in parts]).view(dtype), (name, dtype, numel))


def case_gather_and_scatter() -> None:
    for name, group, dtype in movable():
        for numel in (0, 7, 100_003):
            root, parts = numel % world(), everyones(dtype, numel)
            listed = [torch.empty(numel, dtype=dtype) for _ in parts]
            torch_dist.gather(parts[rank()], listed if rank() == root else None, root, group)
            for got, expected in zip(listed, parts, strict=True):
                if rank() == root:
                    same(got, expected, (name, dtype, numel))
            mine = torch.empty(numel, dtype=dtype)
            torch_dist.scatter(mine, parts if rank() == root else None, root, group)
            same(mine, parts[rank()], (name, dtype, numel))


def case_all_to_all() -> None:
    for name, group, dtype in movable():
        for numel in (0, 3, 40_001):
            blocks = [[values(a, dtype, numel, salt=b) for b in range(world())] for a in range(world())]
            expected = [blocks[each][rank()] for each in range(world())]
            whole = torch.empty(numel * world(), dtype=dtype)
            mine = torch.cat([each.view(torch.uint8) for each in blocks[rank()]]).view(dtype)
            torch_dist.all_to_all_single(whole, mine, group=group)
            same(whole, torch.cat([each.view(torch.uint8) for each in expected]).view(dtype), (name, dtype, numel))
            if name == "shm":
                listed = [torch.empty(numel, dtype=dtype) for _ in expected]
                torch_dist.all_to_all(listed, blocks[rank()], group)
                for got, want in zip(listed, expected, strict=True):
                    same(got, want, (name, dtype, numel))


def case_all_to_all_of_uneven_rows() -> None:
    for name, group in groups():
        to = [rank() + each + 1 for each in range(world())]
        mine = torch.arange(sum(to) * 3, dtype=torch.float32).view(-1, 3) + 100 * rank()
        whole = torch.empty(sum(to), 3)
        torch_dist.all_to_all_single(whole, mine, to, to, group)
        for peer, got in enumerate(whole.split(to)):
            rows = [peer + each + 1 for each in range(world())]
            theirs = torch.arange(sum(rows) * 3, dtype=torch.float32).view(-1, 3) + 100 * peer
            same(got, theirs.split(rows)[rank()], (name, peer))


def case_messages_by_tag_and_from_anyone() -> None:
    up, down = (rank() + 1) % world(), (rank() - 1) % world()
    for name, group in groups():
        for numel in (0, 1, 300_001):
            sends = [torch_dist.isend(values(rank(), torch.int64, numel, salt), up, group, tag=salt) for salt in (1, 2)]
            got = {salt: torch.empty(numel, dtype=torch.int64) for salt in (2, 1)}
            for salt, place in got.items():
                torch_dist.recv(place, down, group, tag=salt)
            for work in sends:
                work.wait()
            for salt, place in got.items():
                same(place, values(down, torch.int64, numel, salt), (name, numel, salt))
        if rank() == 0:
            senders = []
            for _ in range(world() - 1):
                place = torch.zeros(5)
                senders.append(torch_dist.recv(place, None, group))
                same(place, torch.full((5,), float(senders[-1])), name)
            assert sorted(senders) == list(range(1, world())), senders
        else:
            torch_dist.send(torch.full((5,), float(rank())), 0, group)


def case_messages_both_ways_at_once() -> None:
    peer = rank() ^ 1
    for name, group in groups():
        if peer >= world():
            continue
        mine, theirs = torch.full((200_000,), float(rank())), torch.empty(200_000)
        pair = [torch_dist.P2POp(torch_dist.isend, mine, peer, group), torch_dist.P2POp(torch_dist.irecv, theirs, peer, group)]
        for work in torch_dist.batch_isend_irecv(pair):
            work.wait()
        same(theirs, torch.full((200_000,), float(peer)), name)


def case_asynchronous_works_and_their_futures() -> None:
    for name, group in groups():
        many = [values(rank(), torch.float32, 10_000, salt) for salt in range(8)]
        works = [torch_dist.all_reduce(each, group=group, async_op=True) for each in many]
        small = values(rank(), torch.float32, 3)
        last = torch_dist.all_reduce(small, group=group, async_op=True)
        doubled = last.get_future().then(lambda done: done.value()[0] * 2)
        same(doubled.wait(), reduced(ReduceOp.SUM, everyones(torch.float32, 3)) * 2, name)
        for salt, (work, each) in enumerate(zip(works, many, strict=True)):
            work.wait()
            assert work.is_completed() and work.is_success(), name
            same(each, reduced(ReduceOp.SUM, everyones(torch.float32, 10_000, salt)), (name, salt))
        work = torch_dist.barrier(group, async_op=True)
        deadline = time.monotonic() + 30
        while not work.is_completed():
            assert time.monotonic() < deadline
        whole = torch.empty(2 * world())
        work = torch_dist.all_gather_into_tensor(whole, torch.full((2,), float(rank())), group, async_op=True)
        torch.futures.wait_all([work.get_future()])
        same(whole, torch.arange(float(world())).repeat_interleave(2), name)


def case_tensors_that_are_not_contiguous() -> None:
    group = shm()
    mine = values(rank(), torch.float32, 600).view(20, 30).t()[::2]
    parts = [each.view(20, 30).t()[::2] for each in everyones(torch.float32, 600)]
    got = mine.clone(memory_format=torch.preserve_format)
    strided = torch.zeros(15, 40)[:, ::2].copy_(mine)
    torch_dist.all_reduce(strided, group=group)
    same(strided, reduced(ReduceOp.SUM, parts))
    work = torch_dist.broadcast(got.t(), 0, group, async_op=True)
    work.wait()
    same(got, parts[0])
    listed = [torch.zeros(15, 40)[:, ::2] for _ in parts]
    torch_dist.all_gather(listed, mine, group)
    for place, part in zip(listed, parts, strict=True):
        same(place, part)
    kept = torch.zeros(8)[::2]
    torch_dist.all_reduce(kept.fill_(1.0), group=group, async_op=True)  # nobody waits for it
    torch_dist.barrier(group)
    deadline = time.monotonic() + 30
    while kept.sum() != 4 * world():
        assert time.monotonic() < deadline


def case_several_tensors_as_one() -> None:
    for name, group in groups():
        sizes = (3, 4_000, 70_001)
        many = [values(rank(), torch.float32, size) for size in sizes]
        with torch_dist._coalescing_manager(group):
            for each in many:
                torch_dist.all_reduce(each, group=group)
        for size, each in zip(sizes, many, strict=True):
            same(each, reduced(ReduceOp.SUM, everyones(torch.float32, size)), name)
        wholes = [torch.empty(size * world()) for size in sizes]
        with torch_dist._coalescing_manager(group, async_ops=True) as manager:
            for whole, size in zip(wholes, sizes, strict=True):
                torch_dist.all_gather_into_tensor(whole, values(rank(), torch.float32, size), group)
        manager.wait()
        parts = [torch.empty(size) for size in sizes]
        with torch_dist._coalescing_manager(group):
            for part, whole in zip(parts, wholes, strict=True):
                torch_dist.reduce_scatter_tensor(part, whole, group=group)
        for size, whole, part in zip(sizes, wholes, parts, strict=True):
            same(whole, torch.cat(everyones(torch.float32, size)), name)
            same(part, values(rank(), torch.float32, size) * world(), name)


def case_objects() -> None:
    for name, group in groups():
        gathered: list[Any] = [None] * world()
        torch_dist.all_gather_object(gathered, {"rank": rank(), "text": "x" * (rank() * 1000)}, group)
        assert [each["rank"] for each in gathered] == list(range(world())), name
        box = [("from", rank())]
        torch_dist.broadcast_object_list(box, world() - 1, group)
        assert box == [("from", world() - 1)], name
        at_root: list[Any] | None = [None] * world() if rank() == 0 else None
        torch_dist.gather_object(rank() * 2, at_root, 0, group)
        assert at_root is None or at_root == [2 * each for each in range(world())], name
        out: list[Any] = [None]
        torch_dist.scatter_object_list(out, [f"for {each}" for each in range(world())], 0, group)
        assert out == [f"for {rank()}"], name


def case_functional_collectives() -> None:
    import torch.distributed._functional_collectives as functional

    for name, group in groups():
        mine = values(rank(), torch.float32, 6)
        same(functional.all_reduce(mine, "sum", group) + 0, reduced(ReduceOp.SUM, everyones(torch.float32, 6)), name)
        whole = functional.all_gather_tensor(mine, 0, group) + 0
        same(whole, torch.cat(everyones(torch.float32, 6)), name)
        same(functional.reduce_scatter_tensor(whole, "sum", 0, group) + 0, mine * world(), name)


def case_groups_of_some_ranks() -> None:
    for backend in ("gloo", "shm"):
        pairs = [[each, (each + 1) % world()] for each in range(world() if world() > 2 else 1)]
        made = [torch_dist.new_group(sorted(pair), backend=backend) for pair in pairs]
        alone = [torch_dist.new_group([each], backend=backend) for each in range(world())]
        for pair, group in zip(pairs, made, strict=True):
            if rank() in pair:
                mine = torch.tensor([float(rank())])
                torch_dist.all_reduce(mine, group=group)
                assert mine.item() == sum(pair), (backend, pair)
                torch_dist.broadcast(mine.fill_(rank()), pair[1], group)
                assert mine.item() == pair[1], (backend, pair)
        own = torch.tensor([5.0, 6.0])
        torch_dist.all_reduce(own, group=alone[rank()])
        torch_dist.barrier(alone[rank()])
        assert own.tolist() == [5.0, 6.0], backend
        for group in (*made, *alone):
            if group is not torch_dist.GroupMember.NON_GROUP_MEMBER:
                torch_dist.destroy_process_group(group)


def case_groups_that_come_and_go_leave_nothing() -> None:
    def once() -> None:
        group = torch_dist.new_group(backend="shm")
        mine = torch.ones(50_000)
        torch_dist.all_reduce(mine, group=group)
        torch_dist.destroy_process_group(group)

    once()
    files, threads = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    for _ in range(20):
        once()
    torch_dist.barrier()
    assert len(os.listdir("/proc/self/fd")) <= files + 1
    assert len(os.listdir("/proc/self/task")) <= threads + 1


def case_what_differs_over_the_ranks_is_an_error_with_both_sides() -> None:
    first = rank() == 0
    differences: list[tuple[Callable[[Any], Any], tuple[str, ...]]] = [
        (
            lambda group: torch_dist.all_reduce(torch.ones(3 if first else 4), group=group),
            ("all_reduce of 3 Float, sum", "all_reduce of 4 Float, sum"),
        ),
        (
            lambda group: torch_dist.all_reduce(torch.ones(3, dtype=torch.int32 if first else torch.float32), group=group),
            ("3 Int", "3 Float"),
        ),
        (
            lambda group: torch_dist.all_reduce(torch.ones(3), ReduceOp.MAX if first else ReduceOp.SUM, group),
            ("maximum", "sum"),
        ),
        (
            lambda group: torch_dist.barrier(group) if first else torch_dist.all_reduce(torch.ones(3), group=group),
            ("barrier", "all_reduce of 3"),
        ),
        (
            lambda group: torch_dist.broadcast(torch.ones(3), 0 if first else 1, group),
            ("from rank 0", "from rank 1"),
        ),
    ]
    for act, sides in differences:
        group = torch_dist.new_group(backend="shm", timeout=timedelta(seconds=60))
        start = time.monotonic()
        text = message(lambda act=act, group=group: act(group), RuntimeError)
        assert time.monotonic() - start < 10
        assert all(side in text for side in sides), text
        text = message(lambda group=group: torch_dist.barrier(group), RuntimeError)  # nothing works after that
        assert all(side in text for side in sides), text
        torch_dist.destroy_process_group(group)
        torch_dist.barrier()


def case_wrong_arguments_are_errors_that_break_nothing() -> None:
    group = shm()
    wrong: list[Callable[[], Any]] = [
        lambda: torch_dist.all_gather_into_tensor(torch.empty(5), torch.empty(5), group),
        lambda: torch_dist.reduce_scatter_tensor(torch.empty(5), torch.empty(5), group=group),
        lambda: torch_dist.all_reduce(torch.ones(2, dtype=torch.uint16), group=group),
        lambda: torch_dist.all_reduce(torch.ones(2), ReduceOp.BAND, group),
        lambda: torch_dist.all_reduce(torch.ones(2, dtype=torch.int32), ReduceOp.AVG, group),
        lambda: torch_dist.all_reduce(torch.eye(2).to_sparse(), group=group),
        lambda: torch_dist.all_to_all_single(torch.empty(world() + 1), torch.empty(world() + 1), group=group),
    ]
    for act in wrong:
        try:
            act()
        except (RuntimeError, ValueError, NotImplementedError) as error:
            assert "[comm.shm]" in str(error) or "[transport.combine]" in str(error), error
        else:
            raise AssertionError("no error")
    mine = torch.ones(2)
    torch_dist.all_reduce(mine, group=group)
    assert mine.tolist() == [world()] * 2


def case_a_rank_that_does_not_come_in_time_is_named() -> None:
    late = world() - 1
    for name in ("gloo", "shm"):
        group = torch_dist.new_group(backend=name, timeout=timedelta(seconds=60))
        deepspeed.comm.monitored_barrier(group, timedelta(seconds=30))
        if rank() == 0:
            act = lambda group=group: deepspeed.comm.monitored_barrier(group, timedelta(seconds=1), wait_all_ranks=True)  # noqa: E731
            assert str(late) in message(act, RuntimeError), name
        elif rank() != late:
            act = lambda group=group: deepspeed.comm.monitored_barrier(group, timedelta(seconds=3))  # noqa: E731
            message(act, RuntimeError)
        torch_dist.barrier()
    group = torch_dist.new_group(backend="shm", timeout=timedelta(seconds=2))
    if rank() == 0:
        text = message(lambda: torch_dist.all_reduce(torch.ones(1), group=group), RuntimeError)
        assert "2 s" in text or "2000 ms" in text, text
    torch_dist.barrier()


def case_a_forked_child_is_told_and_harms_nobody() -> None:
    group = shm()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            torch_dist.all_reduce(torch.ones(1), group=group)
        except RuntimeError as error:
            code = 7 if "forked" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    loader = torch.utils.data.DataLoader(list(range(40)), batch_size=4, num_workers=2)
    total = torch.zeros(1)
    for batch in loader:
        part = batch.sum().float().reshape(1)
        torch_dist.all_reduce(part, group=group)
        total += part
    assert total.item() == 780 * world()


def losses_of(model: Any, group: Any, steps: int = 4) -> list[torch.Tensor]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    losses = []
    for step in range(steps):
        loss = model(tokens(step))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        mean = loss.detach().clone()
        torch_dist.all_reduce(mean, group=group)
        losses.append(mean)
    return losses


def case_ddp_trains_alike() -> None:
    losses = {
        name: torch.stack(losses_of(DistributedDataParallel(make_net(), process_group=group, bucket_cap_mb=0.001), group))
        for name, group in groups()
    }
    torch.testing.assert_close(losses["shm"], losses["gloo"], rtol=1e-6, atol=0)


def case_fsdp2_trains_alike() -> None:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import fully_shard

    losses = {}
    for name, group in groups():
        net = make_net()
        mesh = DeviceMesh.from_group(group, "cpu")
        for block in net.blocks:
            fully_shard(block, mesh=mesh)
        losses[name] = torch.stack(losses_of(fully_shard(net, mesh=mesh), group))
    torch.testing.assert_close(losses["shm"], losses["gloo"], rtol=1e-6, atol=0)


if __name__ == "__main__":
    run_cases(globals())

"""Engines that come and go leave nothing behind, case by case, on two ranks; started by engine_test.py."""

from __future__ import annotations

import ctypes
import gc
import os
import time
from typing import Any

import torch
from case_support import OPTIMIZERS, Net, config, initialize, make_net, run, run_cases
from torch import nn

import deepspeed
from deepspeed import comm as dist

ENGINES, EARLY = 50, 10
HOOKS = (
    "_backward_hooks",
    "_backward_pre_hooks",
    "_forward_hooks",
    "_forward_pre_hooks",
    "_load_state_dict_post_hooks",
    "_load_state_dict_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
)


def settings_of(stage: int) -> dict[str, Any]:
    settings = config(stage)
    settings["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    return settings


class Wide(Net):
    """Large enough for a leak of it to show: a megabyte."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.ModuleList(nn.Linear(256, 256) for _ in range(4))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = torch.ones(2, 256)
        for each in self.wide:
            hidden = each(hidden).tanh()
        return super().forward(tokens) + hidden.pow(2).mean()


def held() -> dict[str, int]:
    """What this process has of everything that can leak."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else it is chance how much freed memory the allocator keeps
    objects = gc.get_objects()
    world = torch.distributed.distributed_c10d._world
    return {
        "resident": int(open("/proc/self/statm").read().split()[1]),
        "tensors": sum(issubclass(type(each), torch.Tensor) for each in objects),
        "objects": len(objects) - len(world.tags_to_pg),  # torch keeps an empty list of each group
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "groups": len(world.pg_map) + len(world.pg_names) + sum(map(len, world.tags_to_pg.values())),
    }


def hooks_of(model: nn.Module) -> list[str]:
    """Whatever still hangs on modules, parameters and the nodes that accumulate their gradients."""
    found = [
        f"{path}.{name}" for path, module in model.named_modules() for name in HOOKS if getattr(module, name, None)
    ]
    for name, parameter in model.named_parameters():
        if parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None):
            found.append(name)
        node = parameter.view_as(parameter).grad_fn.next_functions[0][0]
        if any(key for key in dir(node) if key == "_raw_hooks" and getattr(node, key)):
            found.append(f"the accumulator of {name}")
    return found


def attributes_of(model: nn.Module) -> dict[str, list[str]]:
    found = {path: sorted(vars(module)) for path, module in model.named_modules()}
    return {**found, **{name: sorted(vars(parameter)) for name, parameter in model.named_parameters()}}


def held_at_rest(early: dict[str, int]) -> dict[str, int]:
    """What is held once threads that end by themselves have: the watch over long waits, on a busy machine, has a
    connection of its own for a moment."""
    late = held()
    for _ in range(20):
        if all(late[what] == early[what] for what in ("files", "threads")):
            break
        time.sleep(0.1)
        late = held()
    return late


def assert_flat(early: dict[str, int], late: dict[str, int]) -> None:
    for what in ("tensors", "files", "threads", "groups"):
        assert late[what] == early[what], (what, early, late)
    assert late["objects"] <= early["objects"] + 20, (early, late)
    assert late["resident"] <= early["resident"] * 1.03, (early, late)


def come_and_go(is_destroyed: bool) -> None:
    torch.manual_seed(3)
    kept = Wide()
    attributes, early = attributes_of(kept), {}
    for turn in range(ENGINES):
        model = kept if turn % 2 == 0 else Wide()
        ends_whole = is_destroyed or model is not kept  # nobody makes a dropped stage 3 whole again
        stage = turn // 2 % (4 if ends_whole else 3)
        engine = initialize(model, settings_of(stage), optimizer=OPTIMIZERS["adamw"](model.parameters()))
        run(engine, 2)
        if is_destroyed:
            engine.destroy()
            assert hooks_of(model) == [], (turn, hooks_of(model))
            assert attributes_of(model) == attributes or model is not kept, turn
            assert all(parameter.grad is None for parameter in model.parameters())
        del engine, model
        if turn == EARLY - 1:
            early = held()
    assert_flat(early, held_at_rest(early))
    if is_destroyed:
        loss = kept(torch.zeros(2, 6, dtype=torch.long))
        loss.backward()
        assert all(parameter.grad is not None for parameter in kept.parameters()), "an ordinary model again"


def case_fifty_engines_that_are_destroyed_leave_nothing() -> None:
    come_and_go(is_destroyed=True)


def case_fifty_engines_that_are_dropped_leave_nothing_but_the_last_one() -> None:
    """The next `initialize` of the same model takes its parameters over; those of fresh models go with them."""
    come_and_go(is_destroyed=False)


def case_models_built_under_init_leave_nothing() -> None:
    early: dict[str, int] = {}
    for turn in range(2 * EARLY):
        with deepspeed.zero.Init(dtype=torch.float32):
            model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
        engine = initialize(model, settings_of(3), optimizer=OPTIMIZERS["adamw"](model.parameters()))
        engine.backward(engine(torch.ones(2, 8)).mean())
        engine.step()
        engine.destroy()
        del engine, model
        if turn == EARLY - 1:
            early = held()
    late = held_at_rest(early)
    for what in ("tensors", "files", "threads", "groups"):
        assert late[what] == early[what], (what, early, late)


def case_one_init_serves_several_models() -> None:
    init = deepspeed.zero.Init(dtype=torch.float32)
    with init:  # nothing is sharded yet when another engine comes
        initialize(nn.Linear(8, 8), settings_of(0)).destroy()
        models = [make_net()]
    initialize(models[0], settings_of(3)).destroy()
    with init:  # its first shards were freed
        models.append(make_net())
    initialize(models[1], settings_of(3)).destroy()
    for first, second in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(first, second)


def case_groups_that_the_script_ended_are_no_error() -> None:
    net = make_net()
    engine = initialize(net, settings_of(0), optimizer=OPTIMIZERS["sgd"](net.parameters()))
    run(engine, 1)
    torch.distributed.destroy_process_group(engine.groups.reductions)
    engine.destroy()
    dist.barrier()


if __name__ == "__main__":
    run_cases(globals())

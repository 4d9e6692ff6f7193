"""The rest of DeepSpeed's engine interface, case by case, on two ranks; started by engine_test.py."""

from __future__ import annotations

import contextlib
import gc
import logging
from types import SimpleNamespace
from typing import Any

import torch
from case_support import (
    FOLDER,
    OPTIMIZERS,
    assert_same_weights,
    config,
    initialize,
    make_net,
    message,
    reference,
    run,
    run_cases,
    tokens,
)
from torch import nn

from deepspeed import comm as dist
from deepspeed.ops.adam import FusedAdam
from deepspeed.runtime.not_landed import METHODS
from deepspeed.utils import logger, safe_get_full_grad

SGD = {"type": "SGD", "params": {"lr": 0.1}}


def make_engine(stage: int = 1, accumulation: int = 1, **more: Any) -> Any:
    return initialize(make_net(), config(stage, accumulation, optimizer=SGD, **more))


def plain_gradients(micros: int, ranks: list[int]) -> nn.Module:
    """A net whose `.grad` is the sum over micro-batches of the mean over `ranks`."""
    net = make_net()
    for rank in ranks:
        for micro in range(micros):
            (net(tokens(0, rank, micro)) / len(ranks)).backward()
    return net


def assert_same_gradients(engine: Any, net: nn.Module) -> None:
    for (name, ours), (_, theirs) in zip(engine.module.named_parameters(), net.named_parameters(), strict=True):
        gradient = safe_get_full_grad(ours)
        assert gradient is not None, name
        torch.testing.assert_close(gradient, theirs.grad, rtol=1e-5, atol=1e-6, msg=lambda text: f"{name}: {text}")


def backwards(engine: Any, micros: int, is_plain: bool = False) -> None:
    for micro in range(micros):
        loss = engine(tokens(0, micro=micro))
        loss.backward() if is_plain else engine.backward(loss)


# --- reducing ------------------------------------------------------------------------------------------------------
def case_coalesced_backwards_are_reduced_on_exit() -> None:
    everyone = plain_gradients(3, [0, 1])
    mine = plain_gradients(3, [dist.get_rank()])
    for stage in (0, 1, 2):
        for is_plain in (False, True):
            engine = make_engine(stage, gradient_clipping=0)
            with engine.coalesce_grad_reduction():
                backwards(engine, 3, is_plain)
                assert safe_get_full_grad(engine.module.norm.weight) is None, "nothing is reduced yet"
                if stage < 2:
                    torch.testing.assert_close(engine.module.norm.weight.grad, mine.norm.weight.grad)
                assert "no_sync" in message(engine.step, ValueError)
            assert_same_gradients(engine, everyone)
            ordinary = make_engine(stage, gradient_clipping=0)
            backwards(ordinary, 3, is_plain)
            assert_same_gradients(ordinary, everyone)
            for each in (engine, ordinary):
                each.step()
                assert each.global_steps == 1
            assert_same_weights(engine, ordinary.module, 1e-6)


def case_coalescing_before_the_boundary_loses_nothing() -> None:
    expected, _ = reference(2, OPTIMIZERS["sgd"], accumulation=2)
    for stage in (0, 1, 2):
        net = make_net()
        engine = initialize(net, config(stage, 2), optimizer=OPTIMIZERS["sgd"](net.parameters()))
        for step in range(2):
            for micro in range(2):
                with engine.coalesce_grad_reduction():
                    engine.backward(engine(tokens(step, micro=micro)))
                engine.step()
        assert_same_weights(engine, expected)


def case_an_exception_inside_coalescing_reduces_nothing_and_keeps_what_was_gathered() -> None:
    expected = plain_gradients(2, [0, 1])
    for stage in (0, 1, 2):
        engine = make_engine(stage)
        with contextlib.suppress(KeyError), engine.coalesce_grad_reduction():
            backwards(engine, 1)
            raise KeyError
        assert safe_get_full_grad(engine.module.norm.weight) is None
        engine.backward(engine(tokens(0, micro=1)))
        assert_same_gradients(engine, expected)


def case_backward_without_its_reduction_and_the_reduction_alone() -> None:
    expected = plain_gradients(1, [0, 1])
    for stage in (0, 1, 2):
        engine = make_engine(stage)
        engine.enable_backward_allreduce = False
        backwards(engine, 1)
        assert safe_get_full_grad(engine.module.norm.weight) is None
        with engine.no_sync():
            engine.allreduce_gradients()
        assert safe_get_full_grad(engine.module.norm.weight) is None, "no_sync keeps gradients here"
        engine.buffered_allreduce_fallback()
        assert_same_gradients(engine, expected)


def case_tensors_are_averaged_by_hand() -> None:
    rank, group = dist.get_rank(), dist.get_world_group()
    for more in ({}, {"prescale_gradients": True}, {"gradient_predivide_factor": 4.0}):
        engine = make_engine(**more)
        tensors = [torch.full((2, 3), 1.0 + rank), torch.full((4,), 10.0 * rank), torch.ones(2, dtype=torch.double)]
        flat = engine.allreduce_bucket(tensors[:2], group)
        assert flat.tolist() == [1.5] * 6 + [5.0] * 4 and tensors[0][0, 0] == 1 + rank, more
        engine.buffered_allreduce_fallback(tensors, elements_per_buffer=5)
        assert (tensors[0] == 1.5).all() and (tensors[1] == 5).all() and (tensors[2] == 1).all(), more
    engine = make_engine(gradient_allreduce_op="sum", communication_data_type="bf16")
    assert engine.communication_data_type is torch.bfloat16
    summed = torch.tensor([1.0 + rank, 2.0**-20])
    engine.allreduce_no_retain([summed], group)
    assert summed[0] == 3 and summed.dtype == torch.float32
    engine.communication_data_type = torch.bfloat16
    assert "config" in message(lambda: setattr(engine, "communication_data_type", torch.half), NotImplementedError)
    gathered = engine.sparse_all_gather(torch.full((1 + rank, 2), float(rank)), group)
    assert [each.tolist() for each in gathered] == [[[0, 0]], [[1, 1], [1, 1]]]
    assert [each.item() for each in engine.all_gather_scalar(torch.tensor(rank), group)] == [0, 1]


def case_clipping_by_hand() -> None:
    def norm(net: nn.Module) -> float:
        return float(torch.stack([p.grad.norm() for p in net.parameters()]).norm())

    engine = make_engine(0, gradient_clipping=0.01)
    backwards(engine, 1)
    assert norm(engine.module) > 0.1
    engine.clip_fp32_gradients()
    assert abs(norm(engine.module) - 0.01) < 1e-5
    sharded = make_engine(1, gradient_clipping=0.01)
    backwards(sharded, 1)
    sharded.clip_fp32_gradients()
    for each in (engine, sharded):
        each.step()
    assert_same_weights(engine, sharded.module, 1e-6)
    unclipped = make_engine(0, gradient_clipping=0)
    backwards(unclipped, 1)
    unclipped.clip_fp32_gradients()
    assert norm(unclipped.module) > 0.1, "0 turns clipping off"


# --- numbers -------------------------------------------------------------------------------------------------------
def case_batch_sizes_change_while_training() -> None:
    engine = make_engine(accumulation=2)
    assert [each() for each in engine.get_batch_info()] == [8, 2, 2]
    run(engine, 1, 2)
    assert engine.global_samples == 8
    engine.set_train_micro_batch_size(3)
    assert [each() for each in engine.get_batch_info()] == [12, 3, 2] and engine.tput_timer.batch_size == 12
    run(engine, 1, 2, start=1)
    assert engine.global_samples == 20
    engine.set_train_batch_size(6)
    assert [each() for each in engine.get_batch_info()] == [6, 3, 1]
    run(engine, 1, start=2)
    assert (engine.global_samples, engine.global_steps, engine.micro_steps) == (26, 3, 5)
    assert len(engine.deepspeed_io([torch.zeros(1)] * 12)) == 2
    assert "multiple of 6" in message(lambda: engine.set_train_batch_size(8), ValueError)
    assert "micro_batch_size" in message(lambda: engine.set_train_micro_batch_size(0), ValueError)


def case_what_scripts_read_off_an_engine() -> None:
    engine = make_engine(1)
    assert (engine.world_size, engine.dp_world_size, engine.seq_dp_world_size, engine.mp_world_size) == (2, 2, 2, 1)
    assert engine.sequence_parallel_size == 1 and engine.seq_data_parallel_group is engine.data_parallel_group
    assert (engine.has_moe_layers, engine.num_experts, engine.pipeline_parallelism) == (False, [], False)
    assert engine.expert_parallel_group == {} and engine.get_sequence_parallel_group() is None
    assert engine.get_data_parallel_rank() == engine.global_rank == dist.get_rank()
    assert engine.get_tensor_parallel_rank() == engine.get_model_parallel_rank() == 0
    assert engine.save_non_zero_checkpoint == (dist.get_rank() == 0) and engine.save_zero_checkpoint is True
    assert make_engine(0).save_zero_checkpoint is False
    assert engine.loaded_checkpoint_dp_world_size is None and engine.loaded_checkpoint_mp_world_size is None
    assert engine.flops_profiler is None and engine.checkpoint_engine is None
    assert engine.monitor.enabled is False and engine.get_wall_clock_timers() == {}
    assert engine.communication_data_type is torch.float32 and engine.enable_backward_allreduce is True
    assert engine.is_map_style_dataset([1]) and not engine.is_iterable_style_dataset([1])
    assert engine.get_mom() == [0.0] and engine.get_type() == [None]
    assert not hasattr(engine, "no_such_name")


def case_the_returned_optimizer_has_the_wrappers_names() -> None:
    engine = make_engine()
    engine.optimizer.set_lr(0.5)
    assert engine.optimizer.get_lr() == 0.5 and engine.get_lr() == [0.5] and engine.optimizer.overflow is False
    for call in (engine.optimizer.offload_states, lambda: engine.optimizer.override_loss_scale(2.0)):
        assert "has not landed" in message(call, NotImplementedError)
    assert engine.get_optimizer_configuration({}, True) == (FusedAdam, {"adam_w_mode": True})
    params = {"torch_adam": True, "lr": 1.0}
    assert engine.get_optimizer_configuration(params, False) == (torch.optim.Adam, {"foreach": None})
    assert params == {"lr": 1.0}


def case_progress_is_printed_and_throughput_measured_where_asked() -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    for every, measured in ((2, True), (None, False)):
        lines.clear()
        engine = make_engine(accumulation=2, steps_per_print=every, log_level="info")
        run(engine, 4, 2)
        assert (engine.tput_timer.global_step_count == 4) == measured
        assert (engine.tput_timer.avg_samples_per_sec() > 0) == measured
        steps = [line.split("] ")[1] for line in lines if "step=" in line and "skipped=" in line]
        speeds = [line for line in lines if "RunningAvgSamplesPerSec" in line]
        is_shown = measured and dist.get_rank() == 0
        assert steps == [f"step={n}, skipped=0, lr=[0.1], mom=[0.0]" for n in (2, 4)] * is_shown, lines
        assert len(speeds) == is_shown, "the first steps only warm up"
    logger.removeHandler(handler)
    logger.setLevel(logging.WARNING)


# --- what belongs to later capabilities ------------------------------------------------------------------------------
def case_what_has_not_landed_says_so() -> None:
    engine = make_engine()
    for name, capability in METHODS.items():
        text = message(lambda name=name: getattr(engine, name)(), NotImplementedError)
        assert name in text and capability in text and "has not landed" in text
    assert "DeepCompile" in message(lambda: engine.compile(schedule=[]), NotImplementedError)
    refused = message(lambda: engine.load_checkpoint(str(FOLDER), custom_load_fn=print), NotImplementedError)
    assert "load_module_state_dict" in refused
    assert "Sequence" in message(
        lambda: initialize(make_net(), config(1, optimizer=SGD), mesh_param=(1, 2)), NotImplementedError
    )
    assert engine.is_deepcompile_enabled() is engine.is_deepcompile_active() is False


# --- the module ----------------------------------------------------------------------------------------------------
def case_a_compiled_module_trains_alike() -> None:
    expected, _ = reference(2, OPTIMIZERS["sgd"])
    net = make_net()
    engine = initialize(net, config(2), optimizer=OPTIMIZERS["sgd"](net.parameters()))
    assert engine.is_compiled is False
    engine.compile(backend="eager")
    engine.compile(backend="no such backend")  # a second call changes nothing
    assert engine.is_compiled is True
    run(engine, 2)
    assert_same_weights(engine, expected)


def case_weights_are_loaded_by_name_and_masters_follow() -> None:
    engine = initialize(make_net(), config(2, optimizer=SGD, bf16={"enabled": True}))
    state = {name: torch.full_like(value, 0.5) for name, value in engine.module_state_dict().items()}
    engine.load_module_state_dict({"module": state})
    run(engine, 1)
    assert all((p.float() - 0.5).abs().max() < 0.1 for p in engine.module.parameters()), "the step began elsewhere"
    del state["norm.bias"]
    assert "norm.bias" in message(lambda: engine.load_module_state_dict(state), RuntimeError)
    engine.load_module_state_dict(state, allowed_missing_keys=["norm.bias"])
    assert "norm.bias" in message(
        lambda: engine.load_module_state_dict(state, allowed_missing_keys=["norm.weight"]), RuntimeError
    )
    seen: list[Any] = []
    engine.load_module_state_dict({"module": state}, custom_load_fn=lambda src, dst: seen.extend([src, dst]))
    assert seen[0] is state and seen[1] is engine.module


def case_weights_are_loaded_beside_integer_parameters() -> None:
    net = make_net()
    net.table = nn.Parameter(torch.arange(3), requires_grad=False)
    engine = initialize(net, config(1, optimizer=SGD))
    state = {name: value.clone() for name, value in engine.module_state_dict().items()}
    state["table"] += 4
    state["norm.weight"] += 1
    engine.load_module_state_dict(state)
    assert torch.equal(net.table, state["table"]) and torch.equal(net.norm.weight, state["norm.weight"])


def case_a_data_parallel_group_without_all_ranks_is_refused() -> None:
    groups = [dist.new_group([rank]) for rank in range(2)]
    alone = SimpleNamespace(get_data_parallel_group=lambda: groups[dist.get_rank()])
    everyone = SimpleNamespace(get_data_parallel_group=lambda: dist.new_group([0, 1]))
    assert "1 of 2 ranks" in message(
        lambda: initialize(make_net(), config(1, optimizer=SGD), mpu=alone), NotImplementedError
    )
    engine = initialize(make_net(), config(1, optimizer=SGD), mpu=everyone)
    run(engine, 1)
    assert engine.dp_world_size == 2


def case_a_schedule_that_lacks_a_number_names_it() -> None:
    for section, key in (
        ({"type": "WarmupDecayLR", "params": {"total_num_steps": "auto", "warmup_num_steps": 2}}, "total_num_steps"),
        ({"type": "WarmupDecayLR", "params": {"warmup_num_steps": 2}}, "total_num_steps"),
        ({"type": "StepLR", "params": {"step_size": "auto"}}, "step_size"),
    ):
        said = message(lambda: initialize(make_net(), config(1, optimizer=SGD, scheduler=section)), ValueError)  # noqa: B023
        assert f"scheduler.params.{key}" in said and ("Write a number" in said or "Add it" in said), said


def case_a_loaded_checkpoint_tells_how_many_ranks_wrote_it() -> None:
    engine = make_engine()
    engine.save_checkpoint(str(FOLDER / "ranks"))
    engine.load_checkpoint(str(FOLDER / "ranks"))
    assert (engine.loaded_checkpoint_dp_world_size, engine.loaded_checkpoint_mp_world_size) == (2, 1)


def case_pythons_collector_rests_while_engines_ask_for_it() -> None:
    engines = [make_engine(disable_python_gc=True) for _ in range(2)]
    assert not gc.isenabled()
    assert isinstance(engines[0].collect_python_gc(), int) and not gc.isenabled()
    engines[0].destroy()
    engines[0].destroy()
    assert not gc.isenabled(), "the other engine still asks for it"
    engines.clear()
    gc.collect()
    assert gc.isenabled()
    make_engine()
    assert gc.isenabled()


if __name__ == "__main__":
    run_cases(globals())

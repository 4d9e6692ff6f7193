"""torch.compile on engines of every stage, case by case, on two ranks; started by engine_test.py.

DS_TEST_ALL=1 runs more of them.
"""

from __future__ import annotations

import contextlib
import io
import os
from typing import Any

from case_support import FOLDER

os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(FOLDER / "inductor")

import torch  # noqa: E402
from case_support import config, initialize, run_cases, tokens  # noqa: E402
from torch import nn  # noqa: E402
from torch._dynamo.utils import counters  # noqa: E402
from torch._inductor import config as inductor  # noqa: E402
from torch._inductor.custom_graph_pass import CustomGraphPass  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import deepspeed  # noqa: E402
from deepspeed import comm as dist  # noqa: E402

ALL = os.environ.get("DS_TEST_ALL", "0") == "1"


class Block(nn.Module):
    """Weights that fused kernels read (norm, scale), weights of matrix products, a frozen one."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)
        self.scale = nn.Parameter(torch.full((8,), 0.5))
        self.frozen = nn.Parameter(torch.randn(8), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.tanh(self.up(self.norm(x) * self.frozen))) * self.scale


class Decoder(nn.Module):
    """Embedding tied to the head round equal blocks."""

    def __init__(self, recompute: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.blocks = nn.ModuleList([Block() for _ in range(4)])
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight
        self.recompute = recompute

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.embed(tokens)
        for block in self.blocks:
            hidden = checkpoint(block, hidden, use_reentrant=False) if self.recompute else block(hidden)
        return nn.functional.cross_entropy(self.head(hidden)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def make_decoder(**kwargs: Any) -> Decoder:
    torch.manual_seed(5)
    return Decoder(**kwargs)


def engine_of(net: nn.Module, stage: int) -> Any:
    settings = config(stage, accumulation=2)
    settings["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    trainable = [parameter for parameter in net.parameters() if parameter.requires_grad]
    return initialize(net, settings, optimizer=torch.optim.AdamW(trainable, lr=1e-2))


def losses(engine: Any) -> tuple[list[float], int]:
    """Of four steps of two micro-batches, each with an evaluation after it; and the graphs made after the second."""
    values, graphs = [], 0
    for step in range(4):
        for micro in range(2):
            loss = engine(tokens(step, micro=micro))
            engine.backward(loss)
            engine.step()
            values.append(loss.item())
        with torch.no_grad():
            values.append(engine(tokens(step)).item())
        if step == 1:
            graphs = counters["stats"]["unique_graphs"]
    return values, counters["stats"]["unique_graphs"] - graphs


def run_eagerly() -> None:
    for stage in (0, 1, 2, 3):
        engine = engine_of(make_decoder(), stage)
        EAGER[:], _ = losses(engine)
        SLOTS[stage] = engine.memory()["slots"]
        engine.destroy()


def compile_blocks(net: Decoder, **options: Any) -> None:
    for block in net.blocks:
        block.compile(**options)


def assert_as_eager(engine: Any, may_break: bool = False) -> None:
    torch._dynamo.reset()
    counters.clear()
    values, late_graphs = losses(engine)
    torch.testing.assert_close(values, EAGER, rtol=1e-5, atol=1e-6)
    assert counters["stats"]["unique_graphs"] > 0, "nothing was compiled"
    assert late_graphs == 0, f"{late_graphs} graphs were made after the second step"
    assert may_break or not counters["graph_break"], dict(counters["graph_break"])


def case_each_block_compiled() -> None:
    for stage in (0, 1, 2, 3):
        for before_initialize in (True, False) if ALL or stage == 3 else (False,):
            net = make_decoder()
            if before_initialize:
                compile_blocks(net)
            engine = engine_of(net, stage)
            if not before_initialize:
                compile_blocks(net)
            assert_as_eager(engine)
            assert engine.memory()["slots"] == SLOTS[stage], "a compiled block needs no more slots than an eager one"
            engine.destroy()


def case_whole_model_compiled_without_a_graph_break() -> None:
    for stage in (1, 3) if ALL else (3,):
        engine = engine_of(make_decoder(), stage)
        engine.compile(compile_kwargs={"fullgraph": True})
        assert engine.is_compiled
        assert_as_eager(engine)
        engine.destroy()


def case_whole_model_compiled_before_initialize() -> None:
    net = make_decoder()
    net.compile(fullgraph=True)
    compiled = net._compiled_call_impl
    engine = engine_of(net, 3)
    assert_as_eager(engine)
    engine.destroy()
    assert net._compiled_call_impl is compiled


def case_whole_model_compiled_by_an_earlier_engine() -> None:
    for ends in ("destroyed", "dropped"):
        net = make_decoder()
        engine = engine_of(net, 2)
        engine.compile(compile_kwargs={"fullgraph": True})
        if ends == "destroyed":
            engine.destroy()
        del engine
        engine = engine_of(net, 3)
        assert_as_eager(engine)
        engine.destroy()


def case_wrapped_by_torch_compile_before_initialize() -> None:
    engine = engine_of(torch.compile(make_decoder(), fullgraph=True), 3)
    assert_as_eager(engine)
    engine.destroy()


def case_module_compiled_by_its_own_method() -> None:
    net = make_decoder()
    engine = engine_of(net, 3)
    net.compile()
    assert_as_eager(engine, may_break=True)  # at the root's event, before the first operator
    engine.destroy()


def case_activation_checkpointing_inside_a_compiled_model() -> None:
    engine = engine_of(make_decoder(recompute=True), 3)
    engine.compile()
    assert_as_eager(engine)
    engine.destroy()


def case_backends_without_generated_kernels() -> None:
    engine = engine_of(make_decoder(), 3)
    engine.compile(backend="aot_eager")
    assert_as_eager(engine)
    engine.destroy()


def case_fixed_addresses_run_eagerly_with_one_warning() -> None:
    net = make_decoder()
    compile_blocks(net, mode="reduce-overhead")
    engine = engine_of(net, 3)
    torch._dynamo.reset()
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        values, late_graphs = losses(engine)
    torch.testing.assert_close(values, EAGER, rtol=1e-5, atol=1e-6)
    assert late_graphs == 0
    assert output.getvalue().count("run eagerly") == (dist.get_rank() == 0), output.getvalue()
    engine.destroy()


def case_functions_that_take_weights_read_and_write_them() -> None:
    net = make_decoder()
    engine = engine_of(net, 3)
    scale = net.blocks[3].scale
    losses(engine)  # another unit lies in the slots
    expected = 2 * scale.detach().clone() + 1
    with torch.no_grad():
        assert torch.allclose(torch.compile(lambda weight: 2 * weight + 1)(scale), expected)
        torch.compile(lambda weight: weight.mul_(2).add_(1))(scale)
    engine(tokens(0))
    assert torch.allclose(scale, expected), "what a graph wrote was lost"
    engine.destroy()


def case_passes_of_the_user_run_too() -> None:
    class Count(CustomGraphPass):
        graphs = 0

        def __call__(self, graph: torch.fx.Graph) -> None:
            Count.graphs += 1

        def uuid(self) -> str:
            return "count"

    net = make_decoder()
    engine = engine_of(net, 3)
    compile_blocks(net)
    with inductor.patch(post_grad_custom_post_pass=Count()):
        assert_as_eager(engine)
    assert Count.graphs > 0
    engine.destroy()


EAGER: list[float] = []  # the losses of eager runs
SLOTS: dict[int, float] = {}  # and their bytes, by stage

if __name__ == "__main__":
    deepspeed.init_distributed()
    run_eagerly()
    run_cases(globals())

"""Sharded parameters in the graphs that Inductor compiles (ZeRO stage 3).

Kernels that Inductor generates take addresses and touch nothing, so that the engine would not gather what they read.
A pass over each graph says it in two operators (src/tensor/graph_use.h): `deepspeed::pin` before a stretch of the graph
that uses weights, `deepspeed::unpin` after it. A stretch ends at a matrix product. Inductor fuses little across those
anyway, so that its kernels stay nearly as they were, and what is pinned at once stays small.

Importing this imports Inductor.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Iterator

import torch
from torch import fx
from torch._dynamo.exc import SkipFrame
from torch._guards import TracingContext
from torch._inductor import config, custom_graph_pass
from torch._inductor.lowering import fallback_handler, register_lowering
from torch._inductor.virtualized import V

from deepspeed import _C
from deepspeed.utils.log import log_dist_once

_INPUT = re.compile(r"primals_([1-9]\d*)|arg(\d+)_1")
_PRODUCTS = frozenset(("mm", "addmm", "bmm", "baddbmm", "_scaled_mm", "_int_mm", "convolution", "convolution_backward"))
_VIEWS = frozenset(
    ("t", "permute", "transpose", "view", "reshape", "expand", "slice", "select", "split", "split_with_sizes", "chunk")
    + ("narrow", "unbind", "unsqueeze", "squeeze", "alias", "detach", "as_strided", "numpy_T", "mT")
)
# Newer ones pass `is_inference`, which a pass that was there before may want.
_Pass: Any = getattr(custom_graph_pass, "CustomInferenceAwareGraphPass", custom_graph_pass.CustomGraphPass)


def _lowering_of(operator: Any) -> Any:
    """Inductor computes what reads a changed tensor before it changes, but of a fallback thinks of it too late: after
    the fallback is in its list. So it is told first."""
    fall_back = fallback_handler(operator)

    def lower(weights: list[Any], order: Any, *written: Any) -> Any:
        for changed in (*weights, order):
            V.graph.mark_buffer_mutated(changed.get_name())
        return fall_back(weights, order, *written)

    return lower


for _operator in (torch.ops.deepspeed.pin.default, torch.ops.deepspeed.unpin.default):
    register_lowering(_operator, type_promotion_kind=None)(_lowering_of(_operator))


def install() -> None:
    """Has Inductor run the pass, after those that are there. A second call changes nothing."""
    present = config.post_grad_custom_post_pass
    if not isinstance(present, PinWeights):
        config.post_grad_custom_post_pass = PinWeights(present)


class PinWeights(_Pass):  # type: ignore[misc]
    """Runs the passes that were there before, then pins; does no more where nothing is sharded."""

    def __init__(self, earlier: Any) -> None:
        self._earlier = tuple(earlier) if isinstance(earlier, (list, tuple)) else (earlier,) if earlier else ()

    def uuid(self) -> Any:
        """A graph in Inductor's cache is one with pins or one without; None (no cache) where an earlier pass has no
        name."""
        earlier = [each.uuid() if hasattr(each, "uuid") else None for each in self._earlier]
        if None in earlier:
            return None
        own = custom_graph_pass.get_hash_for_files((__file__,))
        return (own, _C.is_any_sharded(), *earlier)

    def __call__(self, graph: fx.Graph, is_inference: bool = False) -> None:
        for each in self._earlier:
            if _Pass is not custom_graph_pass.CustomGraphPass and isinstance(each, _Pass):
                each(graph, is_inference)
            else:
                each(graph)
        if any(node.target is torch.ops.deepspeed.pin.default for node in graph.nodes):
            return  # a pass of the user's that holds this one ran it
        weights = _weights_of(graph) if _C.is_any_sharded() else {}
        stretches = list(_stretches(graph, weights))
        if not stretches:
            return
        if config.triton.cudagraphs:
            log_dist_once(
                "torch.compile: parts of the model that use sharded parameters run eagerly. Their addresses change at "
                "ZeRO stage 3, and CUDA graphs (mode reduce-overhead, max-autotune) need fixed ones: take the default "
                "mode or max-autotune-no-cudagraphs.",
                ranks=[0],
                level=logging.WARNING,
            )
            raise SkipFrame("sharded parameters have no fixed addresses")
        _insert(graph, stretches)


class _Stretch:
    """Consecutive nodes of a graph, of which the first uses a weight."""

    def __init__(self, first: fx.Node) -> None:
        self.first = self.last = first
        self.weights: dict[fx.Node, bool] = {}  # and whether they are written

    def add(self, uses: dict[fx.Node, bool]) -> None:
        for weight, writes in uses.items():
            self.weights[weight] = writes or self.weights.get(weight, False)


def _weights_of(graph: fx.Graph) -> dict[int, list[fx.Node]]:
    """The inputs that may be sharded parameters or views of them, by the storage of their example values."""
    metadata = getattr(TracingContext.try_get(), "fw_metadata", None)
    if metadata is None:
        return {}
    leaves = {i for i, info in enumerate(metadata.input_info) if info.is_leaf and info.requires_grad}
    weights = leaves.union(metadata.static_input_indices)
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    found: dict[int, list[fx.Node]] = {}
    for node in inputs:
        storage, match = _storage(node), _INPUT.fullmatch(node.name)
        if storage is None:
            continue
        if match is None:
            is_weight = _is_saved_view(node)
        elif match[1]:
            is_weight = int(match[1]) - 1 in weights
        else:  # otherwise the body of a higher-order operator, whose inputs have such names too
            is_weight = len(inputs) == len(metadata.input_info) and int(match[2]) in weights
        if is_weight:
            found.setdefault(storage, []).append(node)
    return found


def _is_saved_view(node: fx.Node) -> bool:
    """Whether the input of a backward graph is a view that forward made, of a weight perhaps."""
    operator = node.meta.get("original_aten")
    return isinstance(operator, torch._ops.OpOverload) and operator._opname in _VIEWS


def _storage(node: fx.Node) -> int | None:
    value = node.meta.get("val")
    return value.untyped_storage()._cdata if isinstance(value, torch.Tensor) else None


def _stretches(graph: fx.Graph, weights: dict[int, list[fx.Node]]) -> Iterator[_Stretch]:
    """From a use of a weight to the next matrix product, that included, or to the graph's end."""
    stretch: _Stretch | None = None
    for node in graph.nodes:
        uses = _uses(node, weights) if node.op == "call_function" else {}
        if uses:
            stretch = stretch or _Stretch(node)
            stretch.add(uses)
        if stretch and _is_product(node):
            stretch.last = node
            yield stretch
            stretch = None
    if stretch:
        stretch.last = graph.output_node().prev
        yield stretch


def _uses(node: fx.Node, weights: dict[int, list[fx.Node]]) -> dict[fx.Node, bool]:
    """The weights whose data the node reads or writes, and whether it writes them. A view does neither."""
    written = _written_arguments(node)
    if not written and _storage(node) in weights:
        return {}
    uses: dict[fx.Node, bool] = {}
    for each in node.all_input_nodes:
        for weight in weights.get(_storage(each) or 0, []):
            uses[weight] = each in written or uses.get(weight, False)
    return uses


def _written_arguments(node: fx.Node) -> set[Any]:
    if not isinstance(node.target, torch._ops.OpOverload) or not node.target._schema.is_mutable:
        return set()
    arguments = enumerate(node.target._schema.arguments)
    return {
        node.args[i] if i < len(node.args) else node.kwargs.get(argument.name)
        for i, argument in arguments
        if argument.alias_info is not None and argument.alias_info.is_write and not _is_list(argument)
    }


def _is_list(argument: Any) -> bool:
    return isinstance(argument.type, torch.ListType)


def _is_product(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._opname in _PRODUCTS


def _insert(graph: fx.Graph, stretches: list[_Stretch]) -> None:
    """All of them change one more tensor, so that no two stretches are made to overlap."""
    operators = torch.ops.deepspeed
    with graph.inserting_before(stretches[0].first):
        order = graph.call_function(torch.ops.aten.empty.memory_format, ([1],), {"device": torch.device("cpu")})
    example = next(iter(stretches[0].weights)).meta["val"]
    with example.fake_mode:
        order.meta["val"] = torch.empty([1], device="cpu")
    for stretch in stretches:
        weights = list(stretch.weights)
        written = [i for i, weight in enumerate(weights) if stretch.weights[weight]]
        with graph.inserting_before(stretch.first):
            graph.call_function(operators.pin.default, (weights, order)).meta["val"] = None
        with graph.inserting_after(stretch.last):
            graph.call_function(operators.unpin.default, (weights, order, written)).meta["val"] = None

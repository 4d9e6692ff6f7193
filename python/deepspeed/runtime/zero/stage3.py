"""How much memory the state of a model takes at stage 3, before it is made: DeepSpeed's estimators, for this engine."""

from __future__ import annotations

from torch import nn

from deepspeed import _C


def estimate_zero3_model_states_mem_needs(
    total_params: int,
    largest_layer_params: int,
    num_gpus_per_node: int = 1,
    num_nodes: int = 1,
    cpu_offload: bool = True,
    cpu_offload_params: bool = True,
    zero_init: bool = True,
    additional_buffer_factor: float = 1.5,
) -> tuple[int, int, int]:
    """(bytes of host memory a node, bytes of device memory a rank, of those the slots) of 16-bit training with Adam.

    `largest_layer_params` counts what is gathered at once: the largest unit, a transformer block most often. Offload,
    which has not landed yet, moves the states (`cpu_offload`) and with them the parameters (`cpu_offload_params`) to
    host memory. `zero_init`: the model is built under zero.Init.
    """
    return _C.estimate_node_memory(
        stage=3,
        numel=total_params,
        largest_unit_numel=largest_layer_params,
        ranks_per_node=num_gpus_per_node,
        nodes=num_nodes,
        offloads_optimizer=cpu_offload,
        offloads_parameters=cpu_offload and cpu_offload_params,
        builds_sharded=zero_init,
        host_factor=additional_buffer_factor,
    )


def estimate_zero3_model_states_mem_needs_all_live(
    model: nn.Module, num_gpus_per_node: int = 1, num_nodes: int = 1, additional_buffer_factor: float = 1.5
) -> None:
    """Prints the estimates for `model` (which may be on device meta), cut into units as an engine would."""
    from deepspeed.runtime.model_description import describe

    total_params, largest_layer_params = _C.count_elements(describe(model, [], "", []))
    estimate_zero3_model_states_mem_needs_all_cold(
        total_params, largest_layer_params, num_gpus_per_node, num_nodes, additional_buffer_factor
    )


def estimate_zero3_model_states_mem_needs_all_cold(
    total_params: int,
    largest_layer_params: int,
    num_gpus_per_node: int = 1,
    num_nodes: int = 1,
    additional_buffer_factor: float = 1.5,
) -> None:
    """The same from the numbers of parameters: with and without offload, with and without zero.Init."""
    print(
        f"Memory for parameters, gradients and optimizer states at ZeRO stage 3: {total_params / 1e6:.0f}M parameters, "
        f"{largest_layer_params / 1e6:.0f}M in the largest unit, {num_nodes} node(s) with {num_gpus_per_node} GPU(s) "
        "each; offload is not in this version\n"
        "  per node |  per GPU | offload_param | offload_optimizer | zero.Init"
    )
    for cpu_offload, cpu_offload_params in ((True, True), (True, False), (False, False)):
        for zero_init in (True, False):
            host, device, _ = estimate_zero3_model_states_mem_needs(
                total_params,
                largest_layer_params,
                num_gpus_per_node,
                num_nodes,
                cpu_offload,
                cpu_offload_params,
                zero_init,
                additional_buffer_factor,
            )
            print(
                f"{host / 2**30:8.2f}GB | {device / 2**30:6.2f}GB | {_device(cpu_offload_params):13} | "
                f"{_device(cpu_offload):17} | {'yes' if zero_init else 'no'}"
            )


def _device(is_offloaded: bool) -> str:
    return "cpu" if is_offloaded else "none"

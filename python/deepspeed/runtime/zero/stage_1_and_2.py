"""How much memory the state of a model takes at stage 2, before it is made: DeepSpeed's estimators, for this engine."""

from __future__ import annotations

from torch import nn

from deepspeed import _C


def estimate_zero2_model_states_mem_needs(
    total_params: int,
    num_gpus_per_node: int = 1,
    num_nodes: int = 1,
    cpu_offload: bool = True,
    additional_buffer_factor: float = 1.5,
) -> tuple[int, int]:
    """(bytes of host memory a node, bytes of device memory a rank) of 16-bit training with Adam at stage 2.

    With `cpu_offload`, which has not landed yet, all but the parameters lies in host memory.
    """
    host, device, _ = _C.estimate_node_memory(
        stage=2,
        numel=total_params,
        ranks_per_node=num_gpus_per_node,
        nodes=num_nodes,
        offloads_optimizer=cpu_offload,
        host_factor=additional_buffer_factor,
    )
    return host, device


def estimate_zero2_model_states_mem_needs_all_live(
    model: nn.Module, num_gpus_per_node: int = 1, num_nodes: int = 1, additional_buffer_factor: float = 1.5
) -> None:
    """Prints the estimate for `model`, with and without offload."""
    total_params = sum(parameter.numel() for parameter in model.parameters())
    estimate_zero2_model_states_mem_needs_all_cold(
        total_params, num_gpus_per_node, num_nodes, additional_buffer_factor
    )


def estimate_zero2_model_states_mem_needs_all_cold(
    total_params: int, num_gpus_per_node: int = 1, num_nodes: int = 1, additional_buffer_factor: float = 1.5
) -> None:
    """The same from the number of parameters."""
    print(
        f"Memory for parameters, gradients and optimizer states at ZeRO stage 2: {total_params / 1e6:.0f}M parameters, "
        f"{num_nodes} node(s) with {num_gpus_per_node} GPU(s) each\n"
        "  per node |  per GPU | offload_optimizer"
    )
    for cpu_offload in (True, False):
        host, device = estimate_zero2_model_states_mem_needs(
            total_params, num_gpus_per_node, num_nodes, cpu_offload, additional_buffer_factor
        )
        print(f"{host / 2**30:8.2f}GB | {device / 2**30:6.2f}GB | {'cpu (not in this version)' if cpu_offload else 'none'}")

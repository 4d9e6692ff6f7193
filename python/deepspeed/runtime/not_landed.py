"""Methods of DeepSpeed's engine that belong to capabilities which have not landed: calling one says so."""

from __future__ import annotations

from typing import Any, Callable, NoReturn

# Method -> what it comes with.
METHODS = {
    "get_autosp_backend": "DeepCompile",
    "get_autotp_backend": "DeepCompile",
    "get_compile_time": "DeepCompile",
    "get_deepcompile_backend": "DeepCompile",
    "get_deepspeed_compile_backend": "DeepCompile",
    "load_moe_state_dict": "mixture of experts",
    "offload_states": "offload",
    "print_forward_breakdown": "mixture of experts",
    "random_ltd_initialize": "data efficiency",
    "register_compile_pass": "DeepCompile",
    "reload_states": "offload",
    "set_custom_curriculum_learning_schedule": "data efficiency",
    "set_data_post_process_func": "data efficiency",
    "sparse_allreduce": "a sparse reduction of gradients",
    "sparse_allreduce_bucket": "a sparse reduction of gradients",
    "sparse_allreduce_no_retain": "a sparse reduction of gradients",
    "swap_tensor_config": "NVMe offload",
}


def fail(name: str, capability: str) -> NoReturn:
    """Raises NotImplementedError for `name`, which belongs to `capability`."""
    raise NotImplementedError(
        f"[deepspeed.engine] {name}: {capability} has not landed in this version of deepspeed (C++ engine)."
    )


class NotLandedMethods:
    """A mixin: one method a row of METHODS, which raises."""


def _raising(name: str, capability: str) -> Callable[..., NoReturn]:
    def method(*args: Any, **kwargs: Any) -> NoReturn:
        fail(name, capability)

    method.__doc__ = f"Belongs to {capability}, which has not landed."
    method.__name__ = name
    return method


for _name, _capability in METHODS.items():
    setattr(NotLandedMethods, _name, _raising(_name, _capability))

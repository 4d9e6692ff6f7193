"""`deepspeed.utils`: the logger, process groups, leaf modules and small helpers."""

from __future__ import annotations

import importlib
from typing import Any

from deepspeed.utils import groups
from deepspeed.utils.attributes import recursive_getattr, recursive_setattr
from deepspeed.utils.leaf_modules import (
    get_z3_leaf_modules,
    set_z3_leaf_module,
    set_z3_leaf_modules,
    set_z3_leaf_modules_by_name,
    set_z3_leaf_modules_by_suffix,
    unset_z3_leaf_modules,
    z3_leaf_module,
    z3_leaf_parameter,
)
from deepspeed.utils.log import log_dist, log_dist_once, logger, set_log_level_from_string
from deepspeed.utils.on_device import OnDevice
from deepspeed.utils.ranges import instrument_w_nvtx

# Names whose modules import more of torch than a bare `import deepspeed.utils` should.
_LAZY = {
    "RepeatingLoader": "deepspeed.runtime.dataloader",
    "is_initialized": "deepspeed.comm",
    **dict.fromkeys(
        [
            "safe_update_full_grad_vectorized",
            "get_full_hp_grad",
            "get_full_hp_param",
            "set_full_hp_grad",
            "set_full_hp_param",
        ],
        "deepspeed.utils.tensor_fragment",
    ),
    **dict.fromkeys(
        [
            f"safe_{verb}_{extent}_{what}"
            for verb in ("get", "set")
            for extent in ("full", "local")
            for what in ("fp32_param", "grad", "optimizer_state")
        ],
        "deepspeed.utils.tensor_fragment",
    ),
}

__all__ = [
    "OnDevice",
    "get_z3_leaf_modules",
    "groups",
    "instrument_w_nvtx",
    "log_dist",
    "log_dist_once",
    "logger",
    "recursive_getattr",
    "recursive_setattr",
    "set_log_level_from_string",
    "set_z3_leaf_module",
    "set_z3_leaf_modules",
    "set_z3_leaf_modules_by_name",
    "set_z3_leaf_modules_by_suffix",
    "unset_z3_leaf_modules",
    "z3_leaf_module",
    "z3_leaf_parameter",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'deepspeed.utils' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)

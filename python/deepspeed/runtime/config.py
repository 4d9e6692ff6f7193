"""The configuration as scripts see it. Reading, checking and resolving are C++."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepspeed.errors import DeepSpeedConfigError as DeepSpeedConfigError

ADAM_OPTIMIZER = "adam"
ADAMW_OPTIMIZER = "adamw"
ADAGRAD_OPTIMIZER = "adagrad"
LAMB_OPTIMIZER = "lamb"
LION_OPTIMIZER = "lion"
DEEPSPEED_OPTIMIZERS = [ADAM_OPTIMIZER, ADAMW_OPTIMIZER, ADAGRAD_OPTIMIZER, LAMB_OPTIMIZER, LION_OPTIMIZER]


class DeepSpeedConfig:
    """The effective values of a config: a dict, a path, JSON text, or base64 of it.

    Attributes are the top-level keys with defaults filled in and the batch sizes resolved for the current world size.
    Raises DeepSpeedConfigError for a wrong config and OSError for a file that cannot be read.
    """

    def __init__(self, config: dict[str, Any] | str | Path, mpu: Any = None, mesh_device: Any = None) -> None:
        from deepspeed import _C, comm

        if mpu is not None:
            self.world_size = mpu.get_data_parallel_world_size()
        else:
            self.world_size = comm.get_world_size() if comm.is_initialized() else 1
        argument = json.dumps(config) if isinstance(config, dict) else str(config)
        raw, effective = _C.resolve_config(argument, self.world_size)
        self._param_dict: dict[str, Any] = config if isinstance(config, dict) else json.loads(raw)
        self._effective: dict[str, Any] = json.loads(effective)

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_effective", {})
        if name in values:
            return values[name]
        raise AttributeError(f"[deepspeed.DeepSpeedConfig] the config has no top-level key {name!r}.")

    def print_user_config(self) -> None:
        """Prints the config as it was given."""
        print(json.dumps(self._param_dict, indent=2, default=str))

    def print(self, name: str) -> None:
        """Prints every effective value under the heading `name`."""
        print(f"{name}:\n{json.dumps(self._effective, indent=2)}")

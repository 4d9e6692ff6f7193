"""Makes `torch.distributed.init_process_group("shm")` known, at once or when torch is imported; imports nothing itself."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_MODULE = "torch.distributed.distributed_c10d"
_NAME = "shm"


def _create(options: Any, _: Any = None) -> Any:
    """What torch calls for a new group, on every rank of it; `options` are its DistributedBackendOptions."""
    from deepspeed import _C

    return _C.make_shared_memory_backend(options.store, options.group_rank, options.group_size, options.timeout)


def _register(module: ModuleType) -> None:
    if _NAME.upper() not in module.Backend._plugins:
        module.Backend.register_backend(_NAME, _create, extended_api=True, devices=["cpu"])


class _Finder(MetaPathFinder):
    """Finds torch's module as the ordinary import system does, once, and registers when it has been run."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path)
        loader: Any = spec.loader if spec is not None else None
        if loader is None:
            return None
        run = loader.exec_module

        def run_and_register(module: ModuleType) -> None:
            run(module)
            _register(module)

        loader.exec_module = run_and_register
        return spec


def install() -> None:
    """Registers now where torch is there, else when it comes."""
    module = sys.modules.get(_MODULE)
    if module is not None:
        _register(module)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())

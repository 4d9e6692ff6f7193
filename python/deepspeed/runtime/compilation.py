"""torch.compile of an engine's module. The functions are methods of DeepSpeedEngine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from deepspeed import _C
from deepspeed.accelerator import get_accelerator
from deepspeed.runtime import not_landed

if TYPE_CHECKING:
    from deepspeed.runtime.engine import DeepSpeedEngine


def compile(  # noqa: A001 (DeepSpeed's name)
    engine: DeepSpeedEngine,
    backend: Any = None,
    compile_kwargs: dict[str, Any] | None = None,
    schedule: Any = None,
    compiled_autograd_enabled: bool = False,
) -> None:
    """Compiles the module in place with torch.compile; a second call changes nothing. The default backend is the
    accelerator's, and `compile_kwargs` go to torch."""
    if schedule is not None:
        not_landed.fail("compile(schedule=...)", "DeepCompile")
    if compiled_autograd_enabled:
        not_landed.fail("compile(compiled_autograd_enabled=True)", "compiled autograd")
    if engine.is_compiled:
        return
    options = {**(compile_kwargs or {}), "backend": backend or get_accelerator().get_compile_backend()}
    engine._forward_events.compile(engine.module, options)
    prepare_inductor()
    engine._is_compiled = True


def prepare_inductor() -> None:
    """Has torch's compiler, once something imported it, heed sharded parameters. Before each forward of a root module:
    the compiler takes more than a second to import, and who does it is not ours to know."""
    if "torch._inductor.config" in sys.modules and _C.is_any_sharded():
        from deepspeed.runtime.zero import graph_pins

        graph_pins.install()


def is_compiled(engine: DeepSpeedEngine) -> bool:
    """Whether `compile` was called."""
    return engine._is_compiled


def is_deepcompile_active(engine: DeepSpeedEngine) -> bool:
    """False: DeepCompile has not landed."""
    return False

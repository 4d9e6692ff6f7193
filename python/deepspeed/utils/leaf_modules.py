"""Leaf modules: subtrees that the engine gathers and reduces as one unit. The mark is the attribute `_z3_leaf`.

Marks count when `initialize` runs, which sets those that `zero_optimization.leaf_module` asks for. A leaf inside a
larger unit (a decoder layer, most often) is a part of that unit.
"""

from __future__ import annotations

from typing import Callable

from torch import Tensor, nn


def z3_leaf_module(model: nn.Module) -> bool:
    """Whether this module is marked."""
    return bool(getattr(model, "_z3_leaf", False))


def z3_leaf_parameter(parameter: Tensor) -> bool:
    """Whether this parameter is in a leaf module of the engine that trains it."""
    from deepspeed.runtime.live_engines import engine_of

    found = engine_of(parameter)  # type: ignore[arg-type]
    return found is not None and any(
        not path or found[1].startswith(path + ".") for path in found[0].core.leaf_modules()
    )


def get_z3_leaf_modules(model: nn.Module) -> list[nn.Module]:
    """All marked modules of the tree."""
    return [module for module in model.modules() if z3_leaf_module(module)]


def set_z3_leaf_module(model: nn.Module, flag: bool = True) -> None:
    """Marks this one module, or takes its mark away."""
    model._z3_leaf = flag  # type: ignore[assignment]


def set_z3_leaf_modules(
    model: nn.Module, leaf_module_classes: list[type | str], raise_if_not_found: bool = True
) -> list[nn.Module]:
    """Marks every module of these classes (types, class names or dotted paths); returns them.

    Raises ValueError where there is none, which is most often a typo.
    """
    return _flag_classes(model, leaf_module_classes, True, raise_if_not_found)


def unset_z3_leaf_modules(
    model: nn.Module, leaf_module_classes: list[type | str], raise_if_not_found: bool = True
) -> list[nn.Module]:
    """Takes the marks of `set_z3_leaf_modules` away."""
    return _flag_classes(model, leaf_module_classes, False, raise_if_not_found)


def set_z3_leaf_modules_by_name(
    model: nn.Module, module_names: list[str], flag: bool = True, raise_if_not_found: bool = True
) -> list[nn.Module]:
    """Marks modules by their full name in `model.named_modules()`."""
    return _flag_named(model, lambda name: name in module_names, module_names, flag, raise_if_not_found)


def set_z3_leaf_modules_by_suffix(
    model: nn.Module, module_name_suffixes: list[str], flag: bool = True, raise_if_not_found: bool = True
) -> list[nn.Module]:
    """Marks modules by the last parts of their name."""

    def ends_so(name: str) -> bool:
        return any(name == suffix or name.endswith("." + suffix) for suffix in module_name_suffixes)

    return _flag_named(model, ends_so, module_name_suffixes, flag, raise_if_not_found)


def _is_one_of(module: nn.Module, classes: list[type | str]) -> bool:
    own = type(module)
    names = {own.__name__, own.__qualname__, f"{own.__module__}.{own.__qualname__}"}
    return any(each in names if isinstance(each, str) else isinstance(module, each) for each in classes)


def _flag_classes(model: nn.Module, classes: list[type | str], flag: bool, raise_if_not_found: bool) -> list[nn.Module]:
    found = [module for module in model.modules() if _is_one_of(module, classes)]
    return _flag(found, classes, flag, raise_if_not_found)


def _flag_named(
    model: nn.Module, matches: Callable[[str], bool], wanted: list[str], flag: bool, raise_if_not_found: bool
) -> list[nn.Module]:
    return _flag([module for name, module in model.named_modules() if matches(name)], wanted, flag, raise_if_not_found)


def _flag(
    found: list[nn.Module], wanted: list[type | str] | list[str], flag: bool, raise_if_not_found: bool
) -> list[nn.Module]:
    if not found and raise_if_not_found:
        raise ValueError(f"[deepspeed.utils] leaf modules: nothing in the model matches {wanted}.")
    for module in found:
        set_z3_leaf_module(module, flag)
    return found

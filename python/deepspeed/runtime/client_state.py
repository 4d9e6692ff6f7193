"""Typed JSON for client state and scheduler state: Python values as JSON that no reader can run.

`encode` and `decode` are inverses for None, bool, int, float, complex, str, bytes, tuple, list, dict with any such
keys, OrderedDict, Counter, set, frozenset, torch.Size, torch.dtype, numpy scalars and arrays, and tensors, which go to
the checkpoint's safetensors under a name. Anything else is a TypeError with its path. docs/checkpoint.md has the forms.
"""

from __future__ import annotations

import base64
import math
from collections import Counter, OrderedDict
from typing import Any, Callable

import numpy
import torch

_INT64 = range(-(2**63), 2**63)


def encode(value: Any, path: str = "client_state") -> tuple[Any, dict[str, torch.Tensor]]:
    """(`value` as JSON-ready objects, the tensors that it refers to by name). The tensors are not copied."""
    encoder = _Encoder()
    return encoder.encode(value, path), encoder.tensors


def decode(encoded: Any, tensors: dict[str, torch.Tensor], path: str = "client_state") -> Any:
    """The value that `encoded` was made of. Raises ValueError with the path of an unknown form or missing tensor."""
    return _Decoder(tensors).decode(encoded, path)


class _Encoder:
    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}

    def encode(self, value: Any, path: str) -> Any:
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind in self._PLAIN:
            return self._PLAIN[kind](self, value, path)
        if isinstance(value, torch.Tensor):
            return {"$tensor": self._keep(value.detach(), path)}
        if isinstance(value, numpy.ndarray):
            return {"$ndarray": self._keep(self._tensor_of(value, path), path)}
        if isinstance(value, (numpy.number, numpy.bool_)):
            return {"$numpy": [value.dtype.name, self.encode(value.item(), path)]}
        raise TypeError(
            f"[checkpoint.client_state] {path}: cannot store a {kind.__module__}.{kind.__qualname__}. "
            "Convert it to numbers, strings, lists, dicts or tensors, or leave it out."
        )

    def _int(self, value: int, path: str) -> Any:
        return value if value in _INT64 else {"$int": str(value)}

    def _float(self, value: float, path: str) -> Any:
        if math.isfinite(value):
            return value
        return {"$float": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}

    def _complex(self, value: complex, path: str) -> Any:
        return {"$complex": [self._float(value.real, path), self._float(value.imag, path)]}

    def _str(self, value: str, path: str) -> str:
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise TypeError(f"[checkpoint.client_state] {path}: {value!r} is not Unicode. Store bytes.") from None
        return value

    def _items(self, value: Any, path: str) -> list[Any]:
        return [self.encode(each, f"{path}[{index}]") for index, each in enumerate(value)]

    def _pairs(self, value: dict[Any, Any], path: str) -> list[list[Any]]:
        return [
            [self.encode(key, f"{path}.key[{index}]"), self.encode(each, f"{path}[{key!r}]")]
            for index, (key, each) in enumerate(value.items())
        ]

    def _dict(self, value: dict[Any, Any], path: str) -> Any:
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {self._str(key, path): self.encode(each, f"{path}.{key}") for key, each in value.items()}
        return {"$dict": self._pairs(value, path)}

    def _keep(self, tensor: torch.Tensor, path: str) -> str:
        name, number = path, 1
        while name in self.tensors:
            number += 1
            name = f"{path}#{number}"
        self.tensors[name] = tensor
        return name

    @staticmethod
    def _tensor_of(array: Any, path: str) -> torch.Tensor:
        try:
            return torch.from_numpy(numpy.ascontiguousarray(array).reshape(array.shape))
        except (TypeError, ValueError) as error:
            raise TypeError(f"[checkpoint.client_state] {path}: cannot store an array of {array.dtype}.") from error

    _PLAIN: dict[type, Callable[[_Encoder, Any, str], Any]] = {
        int: _int,
        float: _float,
        complex: _complex,
        str: _str,
        bytes: lambda self, value, path: {"$bytes": base64.b64encode(value).decode("ascii")},
        list: _items,
        tuple: lambda self, value, path: {"$tuple": self._items(value, path)},
        set: lambda self, value, path: {"$set": self._items(value, path)},
        frozenset: lambda self, value, path: {"$frozenset": self._items(value, path)},
        dict: _dict,
        OrderedDict: lambda self, value, path: {"$ordered_dict": self._pairs(value, path)},
        Counter: lambda self, value, path: {"$counter": self._pairs(value, path)},
        torch.Size: lambda self, value, path: {"$size": list(value)},
        torch.dtype: lambda self, value, path: {"$dtype": str(value).removeprefix("torch.")},
    }


class _Decoder:
    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self._tensors = tensors

    def decode(self, value: Any, path: str) -> Any:
        if isinstance(value, list):
            return self._items(value, path)
        if not isinstance(value, dict):
            return value
        form = next((key for key in value if key.startswith("$")), None)
        if form is None:
            return {key: self.decode(each, f"{path}.{key}") for key, each in value.items()}
        if form not in self._FORMS or len(value) != 1:
            raise ValueError(
                f"[checkpoint.client_state] {path}: the form {form!r} is unknown. Was it saved by a newer version?"
            )
        return self._FORMS[form](self, value[form], path)

    def _items(self, value: list[Any], path: str) -> list[Any]:
        return [self.decode(each, f"{path}[{index}]") for index, each in enumerate(value)]

    def _pairs(self, value: list[list[Any]], path: str) -> dict[Any, Any]:
        return {self.decode(key, path): self.decode(each, path) for key, each in value}

    def _tensor(self, name: str, path: str) -> torch.Tensor:
        if name not in self._tensors:
            raise ValueError(f"[checkpoint.client_state] {path}: the checkpoint has no tensor {name!r}.")
        return self._tensors[name]

    def _dtype(self, name: str, path: str) -> torch.dtype:
        found = getattr(torch, name, None)
        if not isinstance(found, torch.dtype):
            raise ValueError(f"[checkpoint.client_state] {path}: {name!r} is no dtype of this torch.")
        return found

    def _numpy(self, value: list[Any], path: str) -> Any:
        dtype, number = value
        try:
            return numpy.dtype(dtype).type(self.decode(number, path))
        except TypeError as error:
            raise ValueError(f"[checkpoint.client_state] {path}: {dtype!r} is no dtype of this numpy.") from error

    _FORMS: dict[str, Callable[[_Decoder, Any, str], Any]] = {
        "$tuple": lambda self, value, path: tuple(self._items(value, path)),
        "$set": lambda self, value, path: set(self._items(value, path)),
        "$frozenset": lambda self, value, path: frozenset(self._items(value, path)),
        "$dict": _pairs,
        "$ordered_dict": lambda self, value, path: OrderedDict(self._pairs(value, path)),
        "$counter": lambda self, value, path: Counter(self._pairs(value, path)),
        "$numpy": _numpy,
        "$complex": lambda self, value, path: complex(*(self.decode(part, path) for part in value)),
        "$size": lambda self, value, path: torch.Size(value),
        "$float": lambda self, value, path: float(value),
        "$int": lambda self, value, path: int(value),
        "$bytes": lambda self, value, path: base64.b64decode(value, validate=True),
        "$dtype": _dtype,
        "$tensor": _tensor,
        "$ndarray": lambda self, value, path: self._tensor(value, path).numpy(),
    }

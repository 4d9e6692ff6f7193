"""runtime/client_state.py: what goes in comes out, with its types."""

from __future__ import annotations

import json
import math
from collections import Counter, OrderedDict
from typing import Any

import numpy as np
import pytest
import torch

from deepspeed.runtime.client_state import decode, encode


def through_json(value: Any) -> Any:
    encoded, tensors = encode(value)
    return decode(json.loads(json.dumps(encoded, allow_nan=False)), tensors)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1, 2**63 - 1, 2**200, 0.1, -0.0, math.inf, -math.inf, "", "ünï", b"", b"\x00\xff", 1 + 2j,
        (), (1, (2,)), [1, [2]], {}, {"a": 1}, {1: "a", (2, 3): "b"}, {"$tuple": [1]}, {True: 1}, {1.5: None},
        set(), {1, "a"}, frozenset({1}), OrderedDict([(2, 1), (1, 2)]), Counter("aab"), torch.Size([2, 3]),
        torch.bfloat16, np.float32(0.1), np.int64(3), np.bool_(True), np.complex64(1j), np.float64(math.inf),
    ],
)  # fmt: skip
def test_a_value_comes_back_equal_and_of_the_same_type(value: Any) -> None:
    back = through_json({"v": value})["v"]
    assert back == value
    assert type(back) is type(value)


def test_minus_zero_keeps_its_sign_and_nan_stays_nan() -> None:
    assert math.copysign(1, through_json(-0.0)) == -1
    assert math.isnan(through_json(math.nan))


def test_true_and_one_stay_different_keys_types() -> None:
    assert [type(key) for key in through_json({True: 1, 2: 2})] == [bool, int]


def test_tensors_go_beside_the_json_under_their_path() -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    encoded, tensors = encode({"ema": [weight], "n": np.arange(3, dtype=np.int16)})
    assert set(tensors) == {"client_state.ema[0]", "client_state.n"}
    assert tensors["client_state.ema[0]"].data_ptr() == weight.data_ptr()
    back = decode(encoded, tensors)
    assert torch.equal(back["ema"][0], weight)
    assert back["n"].dtype == np.int16 and back["n"].tolist() == [0, 1, 2]


def test_two_tensors_never_share_a_name() -> None:
    value = {"a": {"b": torch.zeros(1)}, "a.b": torch.ones(1)}
    encoded, tensors = encode(value)
    assert len(tensors) == 2
    assert decode(encoded, tensors)["a.b"].item() == 1


def test_a_zero_dimensional_array_keeps_its_shape() -> None:
    assert through_json(np.array(3.0)).shape == ()


@pytest.mark.parametrize("value", [object(), lambda: 1, pytest, np.array(["a"]), torch.device("cpu")])
def test_anything_else_is_refused_with_its_path(value: Any) -> None:
    with pytest.raises(TypeError, match=r"client_state\.outer\[1\]"):
        encode({"outer": [0, value]})


def test_a_subclass_is_refused_rather_than_flattened() -> None:
    class Named(tuple):  # type: ignore[type-arg]
        pass

    with pytest.raises(TypeError, match="Named"):
        encode(Named())


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(TypeError, match="Unicode"):
        encode("\ud800")


@pytest.mark.parametrize("encoded", [{"$future": 1}, {"$tuple": [], "x": 1}, {"$tensor": "gone"}, {"$dtype": "nn"}])
def test_unknown_forms_and_missing_tensors_are_errors_with_the_path(encoded: Any) -> None:
    with pytest.raises(ValueError, match=r"client_state\.k"):
        decode({"k": encoded}, {})

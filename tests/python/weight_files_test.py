"""utils/weight_files.py: a plan that loses no weight and keeps to its limit."""

from __future__ import annotations

import pytest

from deepspeed.utils.weight_files import WeightFiles, parse_bytes


def test_sizes_are_decimal_or_binary() -> None:
    assert [parse_bytes(size) for size in ("5GB", "1.5 MB", "1GiB", 7, "12")] == [5 * 10**9, 1_500_000, 2**30, 7, 12]
    for wrong in ("many", "5 G B", "GB", "-1KB", "5XB"):
        with pytest.raises(ValueError, match="max_shard_size"):
            parse_bytes(wrong)


def test_files_are_filled_in_order_and_a_large_weight_has_its_own() -> None:
    weights = {"a": ("a", 4), "b": ("b", 5), "large": ("large", 30), "c": ("c", 10), "tied": ("a", 4), "d": ("d", 1)}
    plan = WeightFiles.plan(weights, 10, is_safetensors=False)
    assert list(plan.names_of.values()) == [["a", "b", "tied"], ["large"], ["c"], ["d"]]
    assert list(plan.names_of)[1] == "pytorch_model-00002-of-00004.bin"
    assert plan.index is not None and plan.index["metadata"] == {"total_size": 50}
    assert plan.index["weight_map"]["tied"] == "pytorch_model-00001-of-00004.bin" and len(plan.index["weight_map"]) == 6
    assert plan.index_name == "pytorch_model.bin.index.json"


def test_what_fits_is_one_file_without_an_index() -> None:
    for limit in (None, 10, "5GB"):
        plan = WeightFiles.plan({"a": ("a", 4), "b": ("b", 6)}, limit, is_safetensors=True)
        assert plan.names_of == {"model.safetensors": ["a", "b"]} and plan.index is None
    assert WeightFiles.plan({}, 1, is_safetensors=True).names_of == {"model.safetensors": []}

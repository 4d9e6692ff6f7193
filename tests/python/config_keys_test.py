"""docs/config_keys.md against the schema, as far as Python sees it: the keys and defaults of the effective config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator

import pytest

pytestmark = pytest.mark.native

PAGE = Path(__file__).resolve().parents[2] / "docs" / "config_keys.md"
RESOLVED = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps")


def documented() -> dict[str, str]:
    """Key's path -> default as the page shows it ("" for a section)."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    rows = [[cell.strip(" `") for cell in line.split("|")] for line in lines]
    return {key: default for _, key, _, default, *_ in rows}


def values(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key's path and value, sections included."""
    for key, value in section.items():
        yield prefix + key, value
        if isinstance(value, dict):
            yield from values(value, f"{prefix}{key}.")


@pytest.fixture(scope="module")
def effective() -> dict[str, Any]:
    from deepspeed import _C

    return dict(values(json.loads(_C.resolve_config(json.dumps({"train_batch_size": 1}), 1)[1])))


def test_the_page_has_every_key(effective: dict[str, Any]) -> None:
    page = documented()
    assert len(page) > 350
    assert [path for path in effective if path not in page] == []


def test_the_page_has_no_key_that_the_schema_lacks(effective: dict[str, Any]) -> None:
    """Keys of sections that are absent by default cannot be seen here."""

    def may_be_hidden(path: str) -> bool:
        parents = [path[:end] for end in range(len(path)) if path[end] == "."]
        return any(parent in effective and effective[parent] in (None, {}) for parent in parents)

    assert [path for path in documented() if path not in effective and not may_be_hidden(path)] == []


def test_the_pages_defaults_are_the_schemas(effective: dict[str, Any]) -> None:
    page = documented()
    for path, value in effective.items():
        shown = page[path]
        if path in RESOLVED or (isinstance(value, dict) or value is None) and shown == "":
            continue
        if shown.endswith("..."):
            text = json.dumps(value, separators=(",", ":"))
            assert text.startswith(shown.removesuffix("...")), path
        else:
            assert json.loads(shown) == value and isinstance(value, bool) == (shown in ("true", "false")), path

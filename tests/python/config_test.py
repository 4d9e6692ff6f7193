"""runtime/config.py: the effective values of a config, from every form that it may come in."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from deepspeed.runtime.config import DeepSpeedConfig, DeepSpeedConfigError

pytestmark = pytest.mark.native

CONFIG = {"train_batch_size": 8, "gradient_accumulation_steps": 2, "zero_optimization": {"stage": 1}}


def test_a_dict_a_path_and_base64_give_the_same_values(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text("// why\n" + json.dumps(CONFIG))
    coded = base64.urlsafe_b64encode(json.dumps(CONFIG).encode()).decode()
    for form in (CONFIG, str(file), coded):
        config = DeepSpeedConfig(form)
        assert config.train_micro_batch_size_per_gpu == 4
        assert config.gradient_clipping == 1.0


def test_a_typo_is_an_error_that_is_also_a_value_error() -> None:
    with pytest.raises(DeepSpeedConfigError, match="stag"):
        DeepSpeedConfig({**CONFIG, "zero_optimization": {"stag": 1}})
    assert issubclass(DeepSpeedConfigError, ValueError)

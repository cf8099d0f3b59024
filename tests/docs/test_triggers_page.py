"""docs/triggers.md: what it tells to write is read, and means what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_assets.core.decide.agreed.reading import PRESETS
from mlops_assets.core.decide.agreed.triggers import Trigger
from mlops_assets.core.settings import ModelSettings

PAGE = (Path(__file__).parents[2] / "docs" / "triggers.md").read_text(encoding="utf-8")
MODEL = {
    "name": "churn",
    "description": "Whether a customer leaves.",
    "task": "binary",
    "label": {"model": "lbl_churn", "column": "left", "max_delay": "1d"},
    "features": ["feat_churn"],
    "metric": "roc_auc",
    "start": "2024-01-01",
}


def agreed(*entries: Any) -> tuple[Trigger, ...]:
    """The triggers of a model with this list."""
    return ModelSettings.model_validate({**MODEL, "retrain": {"on": list(entries)}}).retrain.on or ()


def table(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    below = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in below.splitlines() if line.startswith("| ")]
    return [re.split(r"(?<!\\) \| ", row.strip("| ")) for row in rows[2:]]


def written(cell: str) -> list[Any]:
    """What stands in backticks, as YAML reads it."""
    return [yaml.safe_load(text) for text in re.findall(r"`([^`]+)`", cell)]


ELSEWHERE = {row[0]: row[2] for row in table("What you would write elsewhere")}


@pytest.mark.parametrize("block", re.findall(r"(?s)```yaml\n(.*?)```", PAGE))
def test_a_block_of_yaml_is_read(block: str) -> None:
    ModelSettings.model_validate({**MODEL, **yaml.safe_load(block)})


@pytest.mark.parametrize("elsewhere", [name for name, here in ELSEWHERE.items() if "POST /" not in here])
def test_what_is_to_be_written_here_is_read(elsewhere: str) -> None:
    assert len(agreed(*written(ELSEWHERE[elsewhere]))) == 1


def test_the_table_names_what_it_should() -> None:
    assert len(ELSEWHERE) >= 9
    assert all(any(name in elsewhere for elsewhere in ELSEWHERE) for name in ("Evidently", "SageMaker", "NannyML"))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_what_the_page_says(preset: str) -> None:
    meaning = next(row[1] for row in table("By name") if row[0] == f"`{preset}`")
    assert agreed(preset) == agreed(*written(meaning))


def kinds_of(trigger: type[Trigger]) -> set[str]:
    below = trigger.__subclasses__()
    return set().union(*map(kinds_of, below)) if below else {trigger.word}


def test_every_trigger_is_listed() -> None:
    listed = {name for row in table("All of them") for name in re.findall(r"^`(\w+)", row[0])}
    assert listed == kinds_of(Trigger)

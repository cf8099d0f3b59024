"""Tables of different shapes: what is proposed for each is short, reads its own rows, and says what it should.

From file to finished replay each of them goes in `benchmarks/onboarding.py`, and one in test_first_model.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from mlops_assets.commands import new_model
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.sources.contract_check import check_frames
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.files import lines_beyond_columns, render
from mlops_assets.onboarding.landing import land
from mlops_assets.onboarding.plan import make_plan
from mlops_assets.steps.land.landed_rows import parse
from tests.onboarding.shapes import SHAPES, Shape
from tests.onboarding.tables import churn

EXPECTED = {
    "churn": ("binary", "roc_auc", "day", ""),
    "airport_weather": ("regression", "rmse", "day", ""),
    "digits": ("multiclass", "log_loss", "day", ""),
    "visits": ("regression", "mae", "month", ""),
    "transactions": ("binary", "pr_auc", "day", "TX ID"),
    "claims": ("regression", "mae", "month", "claim"),
    "sensors": ("multiclass", "log_loss", "day", ""),
}
"""Task, metric, grain and key of each shape."""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_what_is_proposed_reads_its_own_rows(shape: Shape, tmp_path: Path) -> None:
    asked = dict(zip(shape.asked[::2], shape.asked[1::2], strict=True))
    named = {"--label-delay": "delay"}
    is_hourly = asked.get("--grain") == "hour" and bool(asked.pop("--grain"))
    options = {named.get(option, option.removeprefix("--")): value for option, value in asked.items()}
    plan = make_plan(Asked(shape.name, str(shape.write(tmp_path)), is_hourly=is_hourly, **options))  # type: ignore[arg-type]
    assert (plan.label.task, plan.label.metric, plan.calendar.grain, plan.key or "") == EXPECTED[shape.name]
    files = render(plan)
    assert lines_beyond_columns(files) <= 60
    documents = yaml.safe_load_all(next(text for path, text in files.items() if path.name == "defs.yaml"))
    source, model = (next(documents)["attributes"], next(documents)["attributes"])
    settings = SourceSettings.model_validate(source)
    assert ModelSettings.model_validate(model).grain == settings.grain
    landed = land(plan.table, plan.time, settings, tmp_path / "landing")
    assert landed.rows == plan.table.rows
    some = sorted(landed.folder.iterdir())[:12]
    frames = [parse(path.name, path.read_bytes(), settings) for path in some]
    results = check_frames(settings.rules, frames, partitions=[None] * len(frames))
    assert [result.reason for result in results if not result.ok] == []
    assert land(plan.table, plan.time, settings, tmp_path / "landing").written == (), "twice is no news"


def test_a_text_may_be_the_time_whatever_it_is_called(tmp_path: Path) -> None:
    """Parquet keeps texts as they are, where a reader of CSV sees that these are times."""
    file = tmp_path / "signed.parquet"
    churn(300).to_parquet(file, index=False)
    time = make_plan(Asked("signed", str(file))).time
    assert (time.name, time.how, time.has_hours) == ("signed_up", "", True)


def test_the_columns_are_all_told_in_the_order_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "signed.csv"
    rows = churn(300)[["usage", "signed_up", "plan", "churned"]]
    rows.to_csv(file, index=False)
    new_model._say_plan(make_plan(Asked("signed", str(file))))
    told = re.findall(
        r"^  (\w+) +(?:timestamp|double|varchar|boolean) +(\w+)", capsys.readouterr().out, flags=re.MULTILINE
    )
    assert told == [("usage", "numeric"), ("signed_up", "time"), ("plan", "categorical"), ("churned", "left")]


@pytest.mark.parametrize(
    ("name", "values", "entity", "told"),
    [
        ("customer_id", np.arange(1_000) % 200, None, "Without it customer_id is a number to the model"),
        ("customerNo", [f"K-{n % 200}" for n in range(1_000)], None, "`--entity customerNo` adds"),
        ("the shop", [f"shop number {n % 400}" for n in range(1_000)], None, "`--entity 'the shop'` adds"),
        ("customer_id", np.arange(1_000) % 200, "customer_id", None),
        ("customer_id", np.arange(1_000), None, None),
        ("customer_id", np.arange(1_000) % 3, None, None),
        ("town", [f"town {n % 40}" for n in range(1_000)], None, None),
        ("age", np.arange(1_000) % 90, None, None),
    ],
)
def test_whom_rows_may_be_about_is_hinted_at(
    name: str, values: Any, entity: str | None, told: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "t.csv"
    shuffled = np.random.default_rng(13).permutation(np.asarray(values))
    churn(1_000).drop(columns="age").assign(**{name: shuffled}).to_csv(file, index=False)
    warnings = make_plan(Asked("t", str(file), label="churned", entity=entity)).warnings
    hints = [warning for warning in warnings if "--entity" in warning]
    assert len(hints) == (told is not None)
    assert told is None or told in hints[0]
    assert told is None or f"names {len(set(values)):,} things, each in {1_000 / len(set(values)):.1f} rows" in hints[0]


@pytest.mark.parametrize(("every", "grain"), [("D", "day"), ("7D", "week"), ("MS", "month")])
def test_files_are_as_long_as_the_days_lie_apart(every: str, grain: str, tmp_path: Path) -> None:
    rows = churn(400)
    days = pd.date_range("2023-01-02", periods=12, freq=every).strftime("%Y-%m-%d")
    rows.assign(signed_up=np.resize(days, len(rows))).to_csv(tmp_path / "t.csv", index=False)
    plan = make_plan(Asked("t", str(tmp_path / "t.csv")))
    assert plan.calendar.grain == grain
    assert len(plan.calendar.rows) == len(days)
    document = next(yaml.safe_load_all(next(text for path, text in render(plan).items() if path.name == "defs.yaml")))
    assert SourceSettings.model_validate(document["attributes"]).grain == grain


def test_the_shapes_are_all_expected() -> None:
    assert {shape.name for shape in SHAPES} == EXPECTED.keys()
    assert len(SHAPES) >= 6

"""Tables of different shapes: what is proposed for each is short, reads its own rows, and says what it should.

From file to finished replay each of them goes in `benchmarks/onboarding.py`, and one in test_first_model.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.sources.contract_check import check_frames
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.onboarding.files import lines_beyond_columns, render
from mlops_assets.onboarding.landing import land
from mlops_assets.onboarding.plan import Asked, make_plan
from mlops_assets.steps.land.taking_in import parse
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

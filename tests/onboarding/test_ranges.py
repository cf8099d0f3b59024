"""What is proposed for numbers: a range that a changed unit leaves, and none for a column that moves.

What lives here: the proposal and what it catches. What does not: contracts (tests/core), whole tables (`test_shapes`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml

from mlops_assets.core.sources.contract import ContractResult
from mlops_assets.core.sources.contract_check import check_frame
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.files import render
from mlops_assets.onboarding.plan import make_plan
from mlops_assets.onboarding.ranges import widened
from mlops_assets.steps.land.landed_rows import parse

DAYS, ROWS = 60, 50


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceSettings:
    """The proposal for a table with a weight, an outlier in it, a counter that grows, and a flag."""
    rng = np.random.default_rng(5)
    n = DAYS * ROWS
    frame = pd.DataFrame(
        {
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.repeat(np.arange(DAYS), ROWS), unit="D"),
            "weight": rng.normal(70.0, 10.0, n),
            "counter": np.arange(n) * 7.0 + rng.normal(size=n),
            "is_member": rng.integers(0, 2, n),
            "is_late": rng.integers(0, 2, n),
        }
    )
    frame.loc[17, "weight"] = 1e6
    file = tmp_path_factory.mktemp("ranges") / "parcels.csv"
    frame.to_csv(file, index=False)
    files = render(make_plan(Asked("parcels", str(file), label="is_late")))
    document = next(yaml.safe_load_all(next(text for path, text in files.items() if path.name == "defs.yaml")))
    return SourceSettings.model_validate(document["attributes"])


def day(source: SourceSettings, weight: np.ndarray) -> ContractResult:
    frame = pd.DataFrame({"at": "2024-03-01", "weight": weight, "counter": 9e9, "is_member": 1, "is_late": 0})
    raw = parse("parcels_2024-03-01.csv", frame.to_csv(index=False).encode(), source)
    return check_frame(source.rules, raw)


def test_a_range_is_proposed_for_what_keeps_to_one(source: SourceSettings) -> None:
    columns = source.rules.columns
    low, high = columns["weight"].usual or (0.0, 0.0)
    assert (low, columns["weight"].min) == (0.0, 0.0), "no weight was below zero"
    assert 100.0 < high < 200.0, "one odd row widens nothing"
    assert {name for name, column in columns.items() if column.usual} == {"weight"}


def test_a_day_in_another_unit_goes_to_quarantine_and_odd_rows_do_not(source: SourceSettings) -> None:
    weight = np.random.default_rng(6).normal(70.0, 10.0, ROWS)
    assert day(source, weight).ok
    assert day(source, np.where(np.arange(ROWS) < 2, 5e5, weight)).ok
    grams = day(source, 1_000.0 * weight)
    assert not grams.ok
    assert "has a unit changed?" in grams.reason


@pytest.mark.parametrize(
    ("low", "high", "found"), [(-2.58, 2.61, (-7.8, 7.8)), (0.001, 0.0017, (0.0003, 0.0024)), (12, 4893, (-4900, 9800))]
)
def test_the_middle_gets_as_much_again_on_either_side(low: float, high: float, found: tuple[float, float]) -> None:
    assert widened(low, high) == pytest.approx(found)
    assert widened(low, high)[0] <= 2 * low - high
    assert widened(low, high)[1] >= 2 * high - low


@pytest.mark.parametrize(("days", "has_season"), [(366, False), (500, True)])
def test_a_history_of_more_than_a_year_brings_the_season(
    tmp_path_factory: pytest.TempPathFactory, days: int, has_season: bool
) -> None:
    rng = np.random.default_rng(6)
    times = pd.Timestamp("2023-01-01") + pd.to_timedelta(np.arange(2 * days) / 2, unit="D")
    frame = pd.DataFrame({"at": times, "weight": rng.normal(size=2 * days), "is_late": rng.integers(0, 2, 2 * days)})
    file = tmp_path_factory.mktemp("season") / "parcels.csv"
    frame.to_csv(file, index=False)
    files = render(make_plan(Asked("parcels", str(file), label="is_late")))
    sql = next(text for path, text in files.items() if path.name == "feat_parcels.sql")
    assert ("event_day_of_year" in sql) is has_season
    columns = yaml.safe_load(next(text for path, text in files.items() if path.name == "feat_parcels.yml"))
    cycles = {
        column["name"]: column["config"]["meta"]["cycle"]
        for column in columns["models"][0]["columns"]
        if "config" in column
    }
    assert cycles == {"event_weekday": "week", **({"event_day_of_year": "year"} if has_season else {})}
    assert "event_hour" in sql

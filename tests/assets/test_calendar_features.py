"""Features that go by the calendar, lived: a window that holds a part of their cycle leaves them out, and says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from mlops_assets.core.features.catalogue import Catalogue
from mlops_assets.core.time.windows import midnight
from mlops_assets.steps.decide.evidence import consider
from mlops_assets.steps.watch.windows.drift_summary import DriftSummary
from mlops_assets.steps.watch.windows.summaries import folder_of, summaries
from tests.assets.test_agreed_triggers import agreed
from tests.real_slice import COLD_START, World

WEEKDAY = "feat_flight__scheduled_weekday"
"""Nobody has declared it: the reference shows it."""
SEATS = "feat_flight__plane_seats"


def watched(world: World, days: int = 1, *, first: int = 0) -> World:
    end = COLD_START + timedelta(days=days)
    world.home.configure(replace(world.home.settings, until=midnight(end, world.model.timezone)))
    world.watch(COLD_START + timedelta(days=first), end)
    return world


def newest(world: World) -> tuple[DriftSummary, pd.DataFrame]:
    """What is kept of the newest window, and its features by name."""
    summary = summaries(world.platform.lake, world.model.name, "drift", DriftSummary)[-1]
    folder = folder_of(world.platform.lake, world.model.name, "drift", summary.span)
    return summary, pd.read_parquet(folder / "features.parquet").set_index("feature")


@pytest.mark.parametrize("window", ["day", "12h"])
def test_a_weekday_is_no_news_in_a_window_of_a_day_or_less(world: World, window: str) -> None:
    entries = [{"drift": {"psi": 0.2, "features": [WEEKDAY]}}, {"drift": {"psi": 0.2}}]
    short = watched(world.with_settings(monitoring={"window": window, "slices": []}, retrain=agreed(*entries)))
    summary, table = newest(short)
    assert table.loc[WEEKDAY, "psi"] is None or pd.isna(table.loc[WEEKDAY, "psi"])
    inputs = summary.checks[0]
    sentence = f"{WEEKDAY} cannot be judged: it goes by the calendar, and the window holds only a part of the week."
    assert sentence in inputs.sentence
    assert not any(WEEKDAY in finding.features for finding in summary.findings)
    assert WEEKDAY not in summary.prediction_shift["weights"]["reference"]
    alone, all_of_them = sorted(
        (result for result in consider(short.platform, short.model)[1].triggers if result.window == summary.window),
        key=lambda result: -len(result.name),
    )
    cannot = f"It cannot fire: {WEEKDAY}: it goes by the calendar, and the window holds only a part of the week."
    assert (alone.passed, alone.sentence.startswith(cannot)) == (None, True)
    judged = len(table[table["why"].isna() & table.index.str.contains("__")])
    assert f" of {judged} features" in all_of_them.sentence


def test_a_week_compares_it(world: World) -> None:
    _, table = newest(watched(world.with_settings(monitoring={"window": "7d every 1d"}), 7))
    assert pd.isna(table.loc[WEEKDAY, "why"])
    assert table.loc[WEEKDAY, "psi"] < 0.2


def test_a_week_in_the_middle_of_which_predictions_begin_does_not(world: World) -> None:
    entries = [{"drift": {"psi": 0.2, "features": [WEEKDAY]}}]
    weekly = watched(world.with_settings(monitoring={"window": "week"}, retrain=agreed(*entries)), 7, first=4)
    summary, table = newest(weekly)
    assert "it goes by the calendar, and the window has no rows of some weekdays" in table.loc[WEEKDAY, "why"]
    assert not any(WEEKDAY in finding.features for finding in summary.findings)
    (trigger,) = [r for r in consider(weekly.platform, weekly.model)[1].triggers if r.window == summary.window]
    assert (trigger.passed, "cannot fire" in trigger.sentence) == (None, False)
    assert f"{WEEKDAY} cannot be judged: it goes by the calendar" in trigger.sentence


def declared(catalogue: Catalogue, cycles: Mapping[str, Any]) -> Catalogue:
    views = [
        replace(
            view,
            features=tuple(
                replace(feature, cycle=cycles.get(f"{view.name}__{feature.name}", "")) for feature in view.features
            ),
        )
        for view in catalogue.views
    ]
    return replace(catalogue, views=tuple(views))


def test_a_season_that_is_declared_is_left_out_of_a_week(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    weekly = world.with_settings(monitoring={"window": "week"})
    catalogue = declared(weekly.platform.catalogue, {SEATS: "year"})
    monkeypatch.setattr("mlops_assets.world.platform.load_catalogue", lambda _: catalogue)
    summary, table = newest(watched(weekly, 7))
    assert "the window holds only a part of the year" in table.loc[SEATS, "why"]
    assert f"{SEATS} cannot be judged: it goes by the calendar" in summary.checks[0].sentence
    # What is missing still shows.
    assert table.loc[SEATS, "missing_change"] == pytest.approx(0.0, abs=0.1)

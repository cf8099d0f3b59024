"""Evidently's page of a window, drawn when someone asks for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from mlops_assets.steps.watch import evidently_page
from mlops_assets.steps.watch.evidently_page import draw_evidently
from mlops_assets.world.home import Home
from tests.real_slice import World, working_in


@pytest.fixture
def reading(drifting_home: Home):
    with working_in(drifting_home):
        yield World.of(drifting_home)


def test_the_newest_window_is_drawn_beside_its_own_page(reading: World) -> None:
    page = draw_evidently(reading.platform, reading.model)
    assert page.parent.name == "window=2013-02-25T0500"
    assert page.with_name("report.html").exists()
    text = page.read_text(encoding="utf-8")
    moved = pd.read_parquet(page.with_name("features.parquet")).sort_values("psi", ascending=False)
    features = moved.loc[moved["feature"] != "score", "feature"].head(5)
    assert all(f'"column_name": "{name}"' in text for name in features)
    assert '"column_name": "score"' not in text


def test_a_moment_chooses_the_window(reading: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[pd.DataFrame] = []
    monkeypatch.setattr(evidently_page, "drift_report_html", lambda _, current, **__: seen.append(current) or "<html>")
    page = draw_evidently(reading.platform, reading.model, datetime(2013, 2, 20, tzinfo=UTC))
    assert page.parent.name == "window=2013-02-18T0500"
    pd.testing.assert_frame_equal(seen[0], pd.read_parquet(page.with_name("sample.parquet")))


def test_a_window_that_is_not_there_is_named(reading: World) -> None:
    with pytest.raises(LookupError, match=r"window with 2013-06-01 00:00 UTC in it .* newest that has is 2013-02-25"):
        draw_evidently(reading.platform, reading.model, datetime(2013, 6, 1, tzinfo=UTC))


def test_a_window_that_could_not_be_judged_says_why(reading: World) -> None:
    folder = reading.platform.lake.folder("reports", reading.model.name, "drift", "window=2013-02-25T0500")
    told = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["checks"][0]["sentence"]
    drifts = pd.read_parquet(folder / "features.parquet")
    reading.platform.lake.write(drifts.iloc[:0], folder / "features.parquet")
    try:
        with pytest.raises(LookupError, match="could not be judged") as error:
            draw_evidently(reading.platform, reading.model)
    finally:
        reading.platform.lake.write(drifts, folder / "features.parquet")
    assert told in str(error.value)

"""The guard on real flights: the project's views pass; features that peek in each known way are named, with rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import Result

from mlops_assets.core.features.look_ahead import WHOLE_ROW, LookAhead
from mlops_assets.landing.card_payments import CONFIRMATIONS, PAYMENTS, ConfirmationFiles, demo_world, feed
from mlops_assets.steps.features import look_ahead
from mlops_assets.steps.features.look_ahead import CannotGuard, guard
from mlops_assets.world.catalogue import load_catalogue
from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform
from tests.dbt.conftest import PROJECT

PEEKS = {
    # A window that reaches to the next landing.
    "feat_carrier_history": [
        (
            "sum(is_late) as late_flights",
            "max(sum(is_late)) over (partition by carrier order by min(landed_at) rows between current row and 1 "
            "following) as late_flights",
        )
    ],
    # A column of the same row that is known only after the event.
    "feat_flight": [("flights.distance_miles,", "flights.distance_miles + flights.air_minutes as distance_miles,")],
    # A join on the future.
    "feat_origin_weather": [
        (
            "    from weather\n)",
            "    from weather left join later on weather.origin = later.origin and hour = observed_hour_at\n)",
        ),
        (
            "final as (\n",
            "later as (select origin, observed_hour_at - to_hours(3) as hour, humidity_percent as h from weather),\n\n"
            "final as (\n",
        ),
        ("        humidity_percent,", "        later.h as humidity_percent,"),
        ("        origin,\n        obs", "        weather.origin,\n        obs"),
    ],
    # Rows that are there only because of what came later.
    "feat_plane_history": [
        (
            "where {{ in_range('partition') }}",
            "where {{ in_range('partition') }}\n"
            "qualify lead(event_timestamp) over (partition by tailnum order by event_timestamp) is not null",
        )
    ],
}  # fmt: skip
EXPECTED = {
    "feat_carrier_history": ("carrier_late_rate_1d", "flights.arr_delay before it was known"),
    "feat_flight": ("distance_miles", "flights.air_time before it was known"),
    "feat_origin_weather": ("humidity_percent", "rows of weather that came later"),
    "feat_plane_history": (WHOLE_ROW, "flights.arr_delay before it was known"),
}


@pytest.fixture(scope="module")
def landed(raw_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw flights, and three weeks of simulated payments."""
    home = tmp_path_factory.mktemp("landed")
    shutil.copytree(raw_home / "lake", home / "lake")
    raw, files = home / "lake" / "raw", ConfirmationFiles(home / CONFIRMATIONS)
    for day in feed(demo_world(60), 21):
        rows = pd.DataFrame(json.loads(message) for message in day.messages)
        rows["occurred_at"] = pd.to_datetime(rows["occurred_at"]).astype("datetime64[us, UTC]")
        to = raw / PAYMENTS / f"partition={day.day}" / "data.parquet"
        to.parent.mkdir(parents=True)
        rows.to_parquet(to, index=False)
        files.add(day)
    for file in files.folder.glob("*.parquet"):
        to = raw / CONFIRMATIONS / f"partition={file.stem[-10:]}" / "data.parquet"
        to.parent.mkdir(parents=True)
        file.rename(to)
    return home


def guarded(home: Path, project: Path, *views: str) -> dict[str, LookAhead]:
    catalogue, sources = load_catalogue(PROJECT), Platform.of(Home(home)).sources.settings()
    found = guard(Home(home), project, catalogue, sources, views=views, days=2, moments=2)
    return {result.view: result for result in found}


def test_no_feature_of_the_project_looks_ahead(landed: Path) -> None:
    before = sorted((landed / "lake").rglob("*"))
    found = guarded(landed, PROJECT)
    assert set(found) == {path.stem for path in (PROJECT / "models" / "features").glob("*.sql")}
    assert [result.sentence for result in found.values() if not result.passed] == []
    assert all(result.rows > 50 and len(result.moments) == 2 for result in found.values())
    assert sorted((landed / "lake").rglob("*")) == before, "nothing is written"


def test_features_that_peek_are_named_with_rows(
    raw_home: Path, tmp_path: Path, mlops: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "dbt_project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("logs"))
    for view, changes in PEEKS.items():
        path = project / "models" / "features" / f"{view}.sql"
        text = path.read_text()
        for old, new in changes:
            assert old in text, f"{view} has changed, change the mutation too: {old}"
            text = text.replace(old, new)
        path.write_text(text)
    found = guarded(raw_home, project, *PEEKS, "feat_route_history")
    assert [name for name, result in found.items() if result.passed] == ["feat_route_history"]
    for view, (feature, reads) in EXPECTED.items():
        peeks = {peek.feature: peek for peek in found[view].peeks}
        assert reads in peeks[feature].reads
        assert peeks[feature].rows >= len(peeks[feature].sample) >= 1
        for row in peeks[feature].sample:
            assert row["event_timestamp"] <= row["as_of"]
            assert row["known_then"] != row["with_later_data"]
        assert f"{view} looks ahead" in found[view].sentence
    assert [peek.feature for peek in found["feat_flight"].peeks] == ["distance_miles"], "the other features are sound"
    monkeypatch.setattr(look_ahead, "guard", lambda *_, **__: iter(found.values()))
    said = mlops("--home", str(raw_home), "look-ahead")
    assert said.exit_code == 1
    shown = " ".join(said.stdout.split())
    assert "feat_flight.distance_miles" in shown
    assert "feat_route_history: no feature looks ahead" in shown


def test_a_moment_that_is_no_sql_is_named(raw_home: Path) -> None:
    sources = Platform.of(Home(raw_home)).sources.settings()
    broken = {**sources["weather"].moments, "reading": "no_such_column + 1"}
    sources["weather"] = sources["weather"].model_copy(update={"moments": broken, "known_at": "reading"})
    with pytest.raises(CannotGuard, match=r"no_such_column(?s:.*)`moments` of its sources.*weather"):
        list(
            guard(
                Home(raw_home),
                PROJECT,
                load_catalogue(PROJECT),
                sources,
                views=["feat_origin_weather"],
                days=3,
                moments=1,
            )
        )


def test_nothing_landed_is_nothing_compared(tmp_path: Path, mlops: Callable[..., Result]) -> None:
    said = mlops("--home", str(tmp_path), "look-ahead", "feat_origin_weather", "--json")
    (found,) = json.loads(said.stdout)
    assert (said.exit_code, found["passed"], found["rows"]) == (0, None, 0)
    assert "Land data" in found["sentence"]

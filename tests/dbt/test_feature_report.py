"""A change of the dbt project against its main branch: what is built, what is told of it, and what stays untouched."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from typer.testing import Result

from mlops_assets.pages.feature_report_page import feature_report_page, lead
from mlops_assets.steps.features.dbt_ci import NothingToCompare, changed
from mlops_assets.steps.features.report import report
from mlops_assets.world import platform
from mlops_assets.world.dbt_runs import DbtFailed, known_files
from mlops_assets.world.home import Home
from tests.dbt.conftest import PROJECT, git
from tests.real_slice import World

VIEW = Path("models/features/feat_origin_weather")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project in a checkout of its own; on the working tree one feature is halved and another is new."""
    project = tmp_path / "checkout" / "dbt_project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    # What dbt knows of the files, as it lies in a checkout that was parsed before.
    if known_files(PROJECT).exists():
        known_files(project).parent.mkdir(parents=True)
        shutil.copy(known_files(PROJECT), known_files(project))
    (project.parent / ".gitignore").write_text("target\n")
    git(project.parent, "init", "-q", "-b", "main")
    git(project.parent, "add", ".")
    git(project.parent, "commit", "-qm", "as it is")
    sql, yml = (project / VIEW.with_suffix(suffix) for suffix in (".sql", ".yml"))
    new = "humidity_percent / 2 as humidity_percent,\n        temperature_f - dew_point_f as spread_f,"
    sql.write_text(sql.read_text().replace("humidity_percent,", new))
    column = "      - {name: spread_f, description: Dew point spread., data_type: double}\n      - name: wind_speed"
    yml.write_text(yml.read_text().replace("      - name: wind_speed", column, 1))
    return project


@pytest.mark.slow
def test_what_a_change_does_is_told_and_nothing_is_touched(world: World, home: Home, project: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in home.lake.rglob("*.parquet")}
    warehouse = home.warehouse.read_bytes()
    found = report(world.platform, project, "main", start="2013-01-15", rows=4_000)
    (view,) = found.views
    assert (view.view, view.rows[0] == view.rows[1] > 3_000, view.gone, view.added) == (VIEW.name, True, 0, 0)
    assert found.notes[0] == f"Built aside: {VIEW.name}. Everything else was read where it stands."
    features = {one.name: one for one in view.features}
    assert [one.state for one in view.features][:3] == ["new", "changed", "same"]
    assert features["humidity_percent"].changed == view.rows[0]
    assert features["humidity_percent"].psi > 1 > 0.001 > features["temperature_f"].psi
    assert features["spread_f"].missing[0] is None
    assert "agree" in view.online
    assert "no feature looks ahead" in view.guard
    gains = {one.model: one for one in found.models}
    assert gains.keys() == {"flight_delay", "arrival_delay", "carrier_delay"}
    assert gains["flight_delay"].recipe == "the recipe of version 1"
    for one in found.models:
        assert one.against_before is not None
        assert one.against_without is not None
        assert one.against_before.n_blocks >= 8
    page = feature_report_page(found.views, found.models, against="main", notes=found.notes)
    assert not re.findall(r"<script|https?://(?!www\.w3\.org)", page)
    assert {path: path.stat().st_mtime_ns for path in home.lake.rglob("*.parquet")} == files
    assert home.warehouse.read_bytes() == warehouse


@pytest.fixture
def rewritten(project: Path) -> Path:
    """The same features by other words."""
    git(project.parent, "checkout", "-q", ".")
    sql = project / VIEW.with_suffix(".sql")
    sql.write_text(sql.read_text().replace("humidity_percent,", "humidity_percent * 1.0 as humidity_percent,"))
    return project


@pytest.mark.slow
@pytest.mark.parametrize("start", ["2013-01-15", None])
def test_a_change_that_changes_no_value_gains_and_loses_nothing_from_any_day_on(
    world: World, home: Home, rewritten: Path, start: str | None
) -> None:
    """By hand: equal features on equal rows give equal models, so the gain is zero and not about zero."""
    found = report(world.platform, rewritten, "main", start=start, rows=3_000)
    assert {one.state for view in found.views for one in view.features} == {"same"}
    for one in found.models:
        assert one.against_before is not None, one.why
        assert one.against_before.gain == 0.0


@pytest.mark.slow
def test_what_has_landed_and_is_not_built_yet_stands_on_neither_side(world: World, home: Home, project: Path) -> None:
    """The newest three days of weather landed after the last build; a day in the middle has landed anew since."""
    lake, built = world.platform.lake, world.platform.sources.built()
    days = sorted(lake.partitions("features", VIEW.name))
    for day in days[-3:]:
        lake.partitions("features", VIEW.name)[day].unlink()
        del built["weather"][day.isoformat()]
    anew = days[-20]
    built["weather"][anew.isoformat()] = "of an earlier file"
    lake.folder("_built.json").write_text(json.dumps(built))
    left = {*days[-3:], anew}
    counts = lake.row_counts("features", VIEW.name)
    wanted = sum(n for day, n in counts.items() if date(2013, 2, 1) <= day and day not in left)
    found = report(world.platform, project, "main", start="2013-02-01", rows=2_000)
    (view,) = found.views
    assert (view.rows, view.gone, view.added) == ((wanted, wanted), 0, 0)
    assert found.notes[-1].startswith(f"Left out on both sides: 4 partitions of weather, {anew} to {days[-1]}, that")
    assert [(one.name, one.state) for one in view.shown] == [("spread_f", "new"), ("humidity_percent", "changed")]
    assert view.unchanged.startswith("7 features unchanged: temperature_f, dew_point_f, ")
    page = feature_report_page(found.views, found.models, against="main", notes=found.notes)
    assert view.unchanged in page
    assert re.findall(r'<td class="(new|changed|gone|same)">', page) == ["new", "changed"]


@pytest.mark.slow
def test_days_that_one_side_lacks_are_not_judged(world: World, home: Home, rewritten: Path) -> None:
    """Of the home's own view the newest weeks are missing, so hardly a day is left on which both can be held."""
    for day, path in world.platform.lake.partitions("features", VIEW.name).items():
        if day >= date(2013, 2, 3):
            path.unlink()
    found = report(world.platform, rewritten, "main", start="2013-02-03", rows=3_000)
    assert {(one.against_before, one.against_without) for one in found.models} == {(None, None)}
    assert all("no day that was built in this home and with the change" in one.why for one in found.models)


@pytest.mark.slow
def test_from_a_day_after_the_newest_data_nothing_can_be_judged(world: World, home: Home, project: Path) -> None:
    """The home's own rows would stand on both sides, and gain 0.0000 whatever the change is."""
    newest = max(world.platform.lake.partitions("features", VIEW.name))
    found = report(world.platform, project, "main", start="2013-06-01", rows=2_000)
    assert (found.views, found.uncompared) == ((), (VIEW.name,))
    assert found.notes[-1].endswith(f"The newest day with data is {newest}: give a --start on or before it.")
    assert {one.model for one in found.models} == {"flight_delay", "arrival_delay", "carrier_delay"}
    for one in found.models:
        assert (one.against_before, one.against_without) == (None, None)
        assert one.why.endswith(f"Its newest day with data is {newest}: give a --start on or before it.")
    page = feature_report_page(found.views, found.models, against="main", notes=(), uncompared=found.uncompared)
    assert f"Cannot judge {VIEW.name}: no rows to compare." in page


@pytest.mark.slow
def test_a_changed_view_without_data_is_named(world: World, home: Home, rewritten: Path) -> None:
    """The card payments have never landed in this home of flights."""
    sql = rewritten / "models/features/feat_payment.sql"
    sql.write_text(sql.read_text() + "\nlimit 1000000\n")
    found = report(world.platform, rewritten, "main", start="2013-01-15", rows=2_000)
    assert [view.view for view in found.views] == [VIEW.name]
    assert found.uncompared == ("feat_payment",)
    assert found.notes[-1].startswith("feat_payment: this home has no data of its sources from 2013-01-15 on")
    assert "Cannot judge feat_payment" in lead(found.views, found.models, found.uncompared)
    why = {one.model: one.why for one in found.models}
    assert "feat_payment has no day" in why["card_fraud"]
    assert why["flight_delay"] == ""
    feature_report_page(found.views, found.models, against="main", notes=found.notes)


@pytest.mark.slow
def test_only_what_changed_is_built_with_its_tests(
    home: Home, project: Path, mlops: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "DBT_PROJECT", project)
    said = mlops("--home", str(home.root), "dbt-ci", "--start", "2013-03-01")
    assert said.exit_code == 0, said.output
    assert f"Built 1 models, 4 tests passed: {VIEW.name}." in said.stdout, "three tests of the data and a unit test"
    assert f"{VIEW.name}: no feature looks ahead" in said.stdout
    sql = project / VIEW.with_suffix(".sql")
    sql.write_text(sql.read_text().replace("humidity_percent / 2", "humidity_percent * 2"))
    failing = "feat_origin_weather_invariants_hold"
    with pytest.raises(DbtFailed, match=failing), changed(home, project, "main", start="2013-03-01"):
        pass
    with pytest.raises(NothingToCompare, match="--against"), changed(home, project, "no-such-branch"):
        pass


def test_a_home_that_was_never_built_has_nothing_to_defer_to(tmp_path: Path, project: Path) -> None:
    with pytest.raises(NothingToCompare, match="build once"), changed(Home(tmp_path / "new"), project, "main"):
        pass

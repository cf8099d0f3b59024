"""History replayed: the second model, which lives in YAML and SQL alone, over two weeks of real flights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.core.record.entries import JUDGED
from mlops_assets.core.time.windows import window_at
from mlops_assets.landing.nycflights13 import land
from mlops_assets.simulate.lives import Lives
from mlops_assets.simulate.replay import CannotReplay, _Replay, replay, replay_home
from mlops_assets.simulate.replay_settings import ReplaySettings
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import Registry
from mlops_assets.world.platform import Platform
from tests import killing
from tests.moments import Moment
from tests.real_slice import build_once, copy_tree

MODEL = "arrival_delay"
START, END = date(2013, 2, 11), date(2013, 2, 25)
FIRST = date(2013, 1, 14)
FAITHFUL_END = date(2013, 2, 18)
BAD_DAY = date(2013, 2, 21)
SETTINGS = ReplaySettings(model=MODEL, start=START, end=END, every="week", trials=1)
PERIOD = {
    "start": str, "end": str, "rows": int, "labelled_rows": int, "static": float, "auto": float, "always": float,
    "checks": dict, "decision": str, "reason": str, "retrained": bool, "promoted": (bool, type(None)),
    "champion_version": int, "newest": float, "not_judged": type(None), "decision_id": str, "decided_at": str,
}  # fmt: skip
SUMMARY = {
    "static": float, "auto": float, "always": float, "retrains": int, "promotions": int, "rejections": int,
    "seconds": float,
}  # fmt: skip


def landed(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*")}


def without_seconds(report: Path) -> dict[str, Any]:
    told = json.loads((report / "replay.json").read_text())
    told["summary"].pop("seconds")
    return told


def check_types(values: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    assert values.keys() >= wanted.keys()
    assert {k: v for k, v in values.items() if k in wanted and not isinstance(v, wanted[k])} == {}


@pytest.fixture(scope="module")
def forking() -> Iterator[None]:
    with killing.forking():
        yield


@pytest.fixture(scope="module")
def parent(shared_folder: Path) -> Home:
    """A home with landed files and nothing else: every second flight of six weeks; one day has no rows."""

    def build(home: Home) -> None:
        land(home.prepare().landing, END, FIRST)
        for file in (home.landing / "flights").iterdir():
            header, *lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [] if file.stem.endswith(str(BAD_DAY)) else lines[::2]
            file.write_text("".join([header, *kept]), encoding="utf-8")

    return build_once(shared_folder / "parent", build)


@pytest.fixture(scope="module")
def replayed(parent: Home, shared_folder: Path) -> Home:
    """The replay in one pass; its report is in `report`, what landing was before it in `landing.json`."""

    def build(home: Home) -> None:
        home.root.mkdir(parents=True)
        (home.root / "landing.json").write_text(json.dumps(landed(parent.landing)))
        (home.root / "id").write_text(replay_home(parent, SETTINGS).root.name)
        of = replay_home(parent, SETTINGS, resume=(home.root / "id").read_text())
        replay(SETTINGS, home=of, report=home.root / "report")

    return build_once(shared_folder / "replayed", build)


def home_of(parent: Home, replayed: Home) -> Home:
    return Home(parent.replays / (replayed.root / "id").read_text())


@pytest.mark.slow
def test_the_second_model_lives_through_two_weeks(parent: Home, replayed: Home) -> None:
    told = json.loads((replayed.root / "report" / "replay.json").read_text())
    assert (told["model"], told["metric"], told["task"]) == (MODEL, "mae", "regression")
    assert [(p["start"], p["end"]) for p in told["periods"]] == [
        ("2013-02-11", "2013-02-18"), ("2013-02-18", "2013-02-25"),
    ]  # fmt: skip
    for period in told["periods"]:
        check_types(period, PERIOD)
        assert 0 < period["labelled_rows"] <= period["rows"]
        assert set(period["checks"]) >= {"inputs_match_reference", "predictions_match_reference"}
    check_types(told["summary"], SUMMARY)
    for life in ("static", "auto", "always"):
        mean = sum(period[life] for period in told["periods"]) / 2
        assert told["summary"][life] == pytest.approx(mean)
    # The first period is scored by the first champion in every life.
    first = told["periods"][0]
    assert first["static"] == first["auto"] == first["always"]
    assert first["champion_version"] == 1
    assert "<html" in (replayed.root / "report" / "replay.html").read_text()[:200].lower()
    # Neither of the other two lives is ever registered.
    platform = Platform.of(home_of(parent, replayed))
    outcomes = [e for e in platform.ledger.entries(MODEL) if isinstance(e, JUDGED)]
    assert len(platform.registry.versions(MODEL)) == len(outcomes)
    # Its reports are those of a regression: what labels and scores moved by, and how many labels the bounds held.
    reports = platform.lake.folder("reports", MODEL, "performance")
    (newest,) = sorted(reports.glob("window=*/summary.json"))[-1:]
    seen = json.loads(newest.read_text())
    assert seen["label_drift"]["what"] == "mean"
    found = seen["performance"]["metrics"]
    assert found.keys() == {"mae", "rmse", "interval_coverage"}
    assert 0.8 < found["interval_coverage"]["value"] < 0.97


@pytest.mark.slow
def test_a_day_that_breaks_its_contract_is_set_aside_and_the_rest_goes_on(parent: Home, replayed: Home) -> None:
    platform = Platform.of(home_of(parent, replayed))
    assert list(platform.sources.intakes()["flights"].record.quarantined()) == [str(BAD_DAY)]
    (told,) = json.loads((replayed.root / "report" / "replay.json").read_text())["quarantine"]
    assert (told["source"], told["partition"], told["period"]) == ("flights", str(BAD_DAY), "2013-02-18..2013-02-24")
    assert (platform.home.root / told["folder"] / "reason.json").is_file()
    page = (replayed.root / "report" / "replay.html").read_text()
    (link,) = re.findall(r'<a href="([^"]+)">In quarantine</a>', page)
    assert (replayed.root / "report" / link / "reason.json").is_file()
    tables = {("raw", "flights"): "data", ("labels", "lbl_arrival_delay"): "data", ("predictions", MODEL): "batch"}
    for table, file in tables.items():
        days = {day.day for day in platform.lake.partitions(*table, name=file) if day.month == BAD_DAY.month}
        assert {20, 21, 22} & days == {20, 22}
    # Of a period that is in quarantine as a whole, nothing could be scored in any life.
    model, home = platform.models()[MODEL], platform.home
    day = window_at(datetime(2013, 2, 21, 12, tzinfo=UTC), "day", model.timezone)
    with closing(Lives(platform, model, home.root / "lives", trained_at=day.start)) as lives:
        scored = lives._score(day, {"champion_version": 1}, {}, day.end).line
    assert (scored["rows"], scored["static"], scored["auto"], scored["always"]) == (0, None, None, None)
    assert scored["not_judged"] == "it has no rows"


@pytest.mark.slow
def test_the_parents_landing_folder_is_only_read(parent: Home, replayed: Home) -> None:
    assert {k: tuple(v) for k, v in json.loads((replayed.root / "landing.json").read_text()).items()} == landed(
        parent.landing
    )
    assert {path.name for path in parent.lake.iterdir()} == set()


@pytest.mark.slow
def test_period_by_period_gives_the_same_as_one_pass(parent: Home, replayed: Home, tmp_path: Path) -> None:
    faithful = replace(SETTINGS, end=FAITHFUL_END, faithful=True)
    home, one_pass = replay_home(parent, faithful), home_of(parent, replayed)
    replay(faithful, home=home, report=tmp_path / "report")
    for layer in ("features", "labels", f"predictions/{MODEL}"):
        ours, theirs = (
            {
                str(path.relative_to(h.lake)): path.read_bytes()
                for path in (h.lake / layer).rglob("*.parquet")
                if path.parent.name < f"partition={FAITHFUL_END}"
            }
            for h in (home, one_pass)
        )
        assert ours
        assert ours.keys() == theirs.keys()
        assert [name for name in ours if ours[name] != theirs[name]] == []
    periods = [without_seconds(report)["periods"] for report in (tmp_path / "report", replayed.root / "report")]
    assert periods[0] == periods[1][:1]


@pytest.mark.slow
def test_a_killed_replay_resumes_to_the_same_report(
    parent: Home, replayed: Home, tmp_path: Path, forking: None
) -> None:
    home = replay_home(parent, SETTINGS)
    # What the build made is taken over from the undisturbed replay: only the life is lived again.
    for layer in ("raw", "features", "labels", "_built.json"):
        copy_tree(home_of(parent, replayed).lake / layer, home.lake / layer)
    in_the_second_period = Moment(f"predictions/{MODEL}/partition=2013-02-20/batch.parquet")
    killing.killed(home, in_the_second_period, killing.replay, SETTINGS, tmp_path / "report")
    assert not (tmp_path / "report").exists()
    assert len(json.loads((home.root / "lived" / MODEL / "state.json").read_text())["done"]) == 1
    again = replay_home(parent, SETTINGS, resume=home.root.name)
    replay(SETTINGS, home=again, report=tmp_path / "report")
    assert without_seconds(tmp_path / "report") == without_seconds(replayed.root / "report")


def test_a_replay_without_data_says_what_to_land(tmp_path: Path) -> None:
    home = replay_home(Home(tmp_path / "home").prepare(), SETTINGS)
    with pytest.raises(CannotReplay, match=r"nothing has landed before 2013-02-25 .* Land the files first"):
        replay(SETTINGS, home=home, report=tmp_path / "report")


def test_what_lies_before_the_first_champion_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent, told, trained = Home(tmp_path / "home"), list[str](), list[date]()

    def play(home: Home) -> _Replay:
        made = _Replay(SETTINGS, home, None, lambda what, *_: told.append(what))  # type: ignore[arg-type]
        made._bootstrap()
        return made

    monkeypatch.setattr(_Replay, "_retrain", lambda self: trained.append(self.home.settings.until.date()))
    monkeypatch.setattr(Registry, "champion", lambda *_: None)
    with pytest.raises(CannotReplay, match=r"no first champion .* Bring more rows"):
        play(replay_home(parent, SETTINGS))
    trained.clear()
    home = replay_home(parent, SETTINGS)

    def stopped(self: _Replay) -> None:
        trained.append(self.home.settings.until.date())
        if len(trained) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_Replay, "_retrain", stopped)
        play(home)
    # It was promoted when the stop came.
    monkeypatch.setattr(Registry, "champion", lambda *_: object())
    made = play(home)
    assert [period.start.date() for period in made.left_out] == [START]
    assert [period.start.date() for period in made.periods] == [START.replace(day=18)]
    assert trained == [START, START.replace(day=18)]
    assert any("none before 2013-02-11" in what for what in told)


def test_resuming_with_other_settings_is_refused(tmp_path: Path) -> None:
    parent = Home(tmp_path / "home")
    home = replay_home(parent, SETTINGS)
    with pytest.raises(ValueError, match="was started with other settings"):
        replay_home(parent, replace(SETTINGS, end=START.replace(day=18)), resume=home.root.name)

"""Rows of a model on real flights: what may be trained on, what the gate judges, and what is on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import midnight
from mlops_assets.world.home import Home
from mlops_assets.world.lake import content_hash
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL, ModelData
from tests.real_slice import World, working_in

ZONE = "America/New_York"
NewWorld = Callable[..., World]


def data(world: World) -> ModelData:
    return world.platform.data(world.model)


def moment(day: int, hour: int = 0, month: int = 2) -> datetime:
    return midnight(date(2013, month, day), ZONE) + timedelta(hours=hour)


@pytest.fixture
def reading(slice_home: Home) -> Any:
    """The slice itself, for tests that only read."""
    with working_in(slice_home):
        yield World.of(slice_home)


def test_rows_are_chosen_by_the_text_of_a_value_whole_numbers_with_gaps_too(new_world: NewWorld) -> None:
    world = new_world()
    lake = world.platform.lake
    for day, path in lake.partitions("labels", "lbl_flight_delay").items():
        rows = lake.read("labels", "lbl_flight_delay", days=[day])
        region = pd.Series(np.arange(len(rows)) % 3, dtype="Int64").replace(2, pd.NA)
        lake.write(rows.assign(region=region), path, keep_types=True)
    part = data(world.with_settings(label={"only": {"region": "1"}}))
    rows = part.events(date(2013, 2, 18), date(2013, 2, 19), as_of=moment(25))
    everyone = lake.read("labels", "lbl_flight_delay", days=[date(2013, 2, 18)])
    assert len(rows) == (everyone["region"] == 1).sum() > 0
    counted = part.events(date(2013, 2, 18), date(2013, 2, 19), as_of=moment(25), only_times=True)
    assert len(counted) == len(rows)
    assert lake.texts("labels", "lbl_flight_delay", column="region", days=[date(2013, 2, 18)]) == ["0", "1"]


def test_an_event_is_there_before_its_label_is(reading: World) -> None:
    noon = moment(18, hour=12)
    rows = data(reading).events(date(2013, 2, 18), as_of=noon)
    known = rows[LABEL].notna()
    # DuckDB on the file itself counts the same.
    file = reading.platform.lake.file("labels", "lbl_flight_delay", partition="2013-02-18")
    with duckdb.connect() as connection:
        expected, labelled = connection.execute(
            "select count(*), count(*) filter (label_available_at <= $at) from read_parquet($file) "
            "where event_timestamp < $at",
            {"at": noon, "file": str(file)},
        ).fetchall()[0]
    assert (len(rows), int(known.sum())) == (expected, labelled)
    assert 0 < labelled < expected
    assert rows.loc[~known, AVAILABLE_AT].isna().all()
    assert (rows.loc[known, AVAILABLE_AT] <= noon).all()
    assert (rows[EVENT_TIME] < noon).all()


def test_a_training_set_knows_nothing_of_the_gate_window(reading: World) -> None:
    as_of = moment(18)
    gate = data(reading).gate_window(as_of=as_of, not_before=None)
    assert (gate.start, gate.end) == (moment(1), moment(15))  # 14 days that end where 95 % of the labels are known
    rows = data(reading).events(as_of=gate.start)
    wanted = rows[rows[AVAILABLE_AT] < pd.Timestamp(gate.start)]
    assert len(wanted) > 10_000
    assert not gate.contains(wanted[EVENT_TIME]).any()


def test_no_row_of_a_stored_set_was_known_too_late(new_world: NewWorld) -> None:
    world = new_world()
    known_by = moment(8)
    stored = data(world).training_set(known_by=known_by)
    assert (stored.frame[AVAILABLE_AT] < known_by).all()
    assert (stored.frame[EVENT_TIME] < known_by).all()
    late = data(world).events(date(2013, 2, 7), as_of=moment(9))
    on_the_wing = (late[EVENT_TIME] < known_by) & (late[AVAILABLE_AT] >= known_by)
    assert on_the_wing.any()  # the evening's flights land after midnight
    assert not stored.frame["flight_id"].isin(late.loc[on_the_wing, "flight_id"]).any()
    assert stored.frame["flight_id"].is_unique
    assert stored.frame[EVENT_TIME].is_monotonic_increasing


def test_a_rolling_window_forgets(new_world: NewWorld) -> None:
    world = new_world(training={"window": "rolling: 10d"})
    stored = data(world).training_set(known_by=moment(15))
    assert stored.frame[EVENT_TIME].min().tz_convert(ZONE).date() == date(2013, 2, 5)


def test_a_rolling_window_ends_where_labels_do(new_world: NewWorld) -> None:
    """Labels twenty days late: ten days counted back from the clock would hold none."""
    world = new_world(training={"window": "rolling: 10d"})
    for path in world.platform.lake.partitions("labels", world.model.label.model).values():
        rows = pd.read_parquet(path)
        world.platform.lake.write(rows.assign(**{AVAILABLE_AT: rows[AVAILABLE_AT] + pd.Timedelta(days=20)}), path)
    label = world.model.label.model_copy(update={"max_delay": "21d"})
    late = replace(world, model=world.model.model_copy(update={"label": label}))
    rows = data(late).labelled(known_by=moment(1, month=3))
    days = rows[EVENT_TIME].dt.tz_convert(ZONE).dt.date
    assert (days.min(), days.max()) == (date(2013, 1, 30), date(2013, 2, 8))
    assert data(late).window_start(moment(1, month=3)) == date(2013, 2, 19)


def test_the_file_is_named_after_what_a_reader_gets(new_world: NewWorld) -> None:
    world = new_world()
    stored = data(world).training_set(known_by=moment(1))
    assert stored.path.name == f"{stored.sha256}.parquet"
    assert content_hash(pd.read_parquet(stored.path)) == stored.sha256
    before = stored.path.read_bytes()
    again = data(world).training_set(known_by=moment(1))
    assert (again.sha256, again.path.read_bytes()) == (stored.sha256, before)
    assert [path.name for path in stored.path.parent.iterdir()] == [stored.path.name]
    assert data(world).training_set(known_by=moment(2)).sha256 != stored.sha256


def test_a_changed_or_lost_set_is_found_out(new_world: NewWorld) -> None:
    world = new_world()
    stored = data(world).training_set(known_by=moment(1))
    assert data(world).load(stored.sha256, stored.known_by).frame.equals(stored.frame)
    frame = pd.read_parquet(stored.path)
    frame.loc[0, LABEL] = 1 - frame.loc[0, LABEL]
    world.platform.lake.write(frame, stored.path)
    with pytest.raises(ValueError, match=r"was changed after it was written. Delete it and materialize"):
        data(world).load(stored.sha256, stored.known_by)
    stored.path.unlink()
    with pytest.raises(FileNotFoundError, match=r"is gone. Materialize flight_delay/training_set again"):
        data(world).load(stored.sha256, stored.known_by)


def test_the_gate_waits_for_rows_that_the_champion_has_not_seen(reading: World) -> None:
    with pytest.raises(CannotJudge, match="the champion was fitted on rows up to 2013-02-18") as why:
        data(reading).gate_window(as_of=moment(25), not_before=moment(18))
    assert "Wait for labels" in str(why.value)
    gate = data(reading).gate_window(as_of=moment(28), not_before=moment(18))
    assert gate.start == moment(18)


def rewrite_labels(world: World, change: Callable[[pd.DataFrame], pd.DataFrame], first: date, end: date) -> None:
    """Change the label model's files of the days [first, end), as a dbt build would replace them."""
    lake = world.platform.lake
    for day, path in lake.partitions("labels", world.model.label.model).items():
        if first <= day < end:
            lake.write(change(pd.read_parquet(path)), path)


def test_labels_that_never_come_are_waited_for_no_longer_than_agreed(new_world: NewWorld) -> None:
    world = new_world(label={"max_delay": "3d"})
    first, end = date(2013, 2, 4), date(2013, 2, 18)

    def forget(frame: pd.DataFrame) -> pd.DataFrame:
        lost = np.arange(len(frame)) % 2 == 0
        return frame.assign(is_late=frame["is_late"].where(~lost), label_available_at=frame[AVAILABLE_AT].where(~lost))

    rewrite_labels(world, forget, first, end)
    # Half of the labels are missing: a window of these days matures when the longest delay is over.
    assert data(world).gate_window(as_of=moment(18), not_before=None).end <= moment(15)
    assert data(world).gate_window(as_of=moment(21), not_before=moment(4)).end == moment(18)
    rows = data(world).events(first, end, as_of=moment(21))
    assert 0.45 < rows[LABEL].notna().mean() < 0.5
    assert len(rows) == len(data(world).events(first, end, as_of=moment(21, month=3)))


def test_too_few_rows_to_train_say_so(new_world: NewWorld) -> None:
    world = new_world()
    with pytest.raises(
        CannotJudge, match=r"labelled rows of the training window \(.*\) are known before .* 500 are needed to train"
    ) as why:
        data(world).training_set(known_by=midnight(date(2013, 1, 1), ZONE) + timedelta(hours=12))
    assert "Land more history, or lower training.min_rows." in str(why.value)
    assert not (world.home.lake / "training_sets").exists()


def test_features_are_joined_as_of_the_event(reading: World) -> None:
    rows = data(reading).events(date(2013, 2, 18), date(2013, 2, 19), as_of=moment(19))
    joined = data(reading).with_features(rows)
    assert len(joined) == len(rows)
    assert joined["flight_id"].tolist() == rows["flight_id"].tolist()
    times = [name for name in joined.columns if name.endswith(f"__{EVENT_TIME}")]
    assert len(times) == len(reading.model.features)
    for name in times:
        assert (joined[name].dropna() <= joined.loc[joined[name].notna(), EVENT_TIME]).all()


def test_an_empty_lake_has_no_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    world = World.of(Home(tmp_path))
    assert data(world).events(as_of=datetime(2013, 2, 1, tzinfo=UTC)).columns.tolist()[-3:] == [
        EVENT_TIME, LABEL, AVAILABLE_AT,
    ]  # fmt: skip
    with pytest.raises(CannotJudge, match="data is young"):
        data(world).gate_window(as_of=datetime(2013, 2, 1, tzinfo=UTC), not_before=None)
    assert list(tmp_path.iterdir()) == []

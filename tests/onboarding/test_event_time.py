"""Which of several times a row is about, and a time of day that stands beside a day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.plan import Plan, make_plan

ROWS = 1_200
RNG = np.random.default_rng(5)
OPENED = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(RNG.integers(0, 200 * 86_400, ROWS)), unit="s"))
LATER = OPENED + pd.to_timedelta(RNG.integers(60, 9 * 86_400, ROWS), unit="s")
LONG_AGO = OPENED - pd.to_timedelta(RNG.integers(20 * 365, 60 * 365, ROWS), unit="D")


def planned(folder: Path, times: dict[str, pd.Series], time: str | None = None) -> Plan:
    size = RNG.normal(size=ROWS).round(2)
    y = np.where(size + RNG.normal(size=ROWS) > 0, "yes", "no")
    pd.DataFrame({**times, "size": size, "y": y}).to_csv(folder / "t.csv", index=False)
    return make_plan(Asked("t", str(folder / "t.csv"), label="y", time=time))


@pytest.mark.parametrize(
    ("times", "name"),
    [
        ({"closed_at": LATER, "opened": OPENED}, "opened"),
        ({"opened": OPENED, "closed_at": LATER}, "opened"),
        ({"updated_at": LATER, "created_at": OPENED}, "created_at"),
        ({"updated_at": LATER, "seen": LATER + pd.Timedelta("1h"), "created_at": OPENED}, "created_at"),
        # The day of the same moment is no earlier one, and tells less.
        ({"paid_at": OPENED, "day": OPENED.dt.date}, "paid_at"),
        ({"closed_day": LATER.dt.date, "opened_at": OPENED}, "opened_at"),
        # What began long ago is a fact about the row, and no beginning of it.
        ({"born": LONG_AGO.dt.date, "closed_at": LATER, "opened": OPENED}, "opened"),
        ({"born_at": LONG_AGO, "ordered_at": OPENED}, "born_at"),
        # A name that says so is believed.
        ({"event_time": LATER, "opened": OPENED}, "event_time"),
        # Neither comes first in all rows.
        ({"a_at": OPENED, "b_at": LATER.where(LATER.index % 2 == 0, OPENED - pd.Timedelta("1h"))}, "a_at"),
    ],
)
def test_the_time_at_which_a_prediction_is_needed(times: dict[str, pd.Series], name: str, tmp_path: Path) -> None:
    plan = planned(tmp_path, times)
    assert plan.time.name == name
    (said,) = [note for note in plan.notes if note.startswith("A row is about the moment in")]
    assert f"in {name}" in said and "--time names another column" in said
    later = [other for other in times if plan.time.later and other in plan.time.later]
    assert ("since it is never later than" in said) == bool(later)
    assert all(other in said for other in times if other != name)


def test_what_is_asked_for_is_taken(tmp_path: Path) -> None:
    assert planned(tmp_path, {"closed_at": LATER, "opened": OPENED}, time="closed_at").time.name == "closed_at"


def test_a_time_of_day_beside_a_day_is_named_with_the_remedy(tmp_path: Path) -> None:
    plan = planned(tmp_path, {"date": OPENED.dt.date, "time": OPENED.dt.strftime("%H:%M")})
    (said,) = [note for note in plan.notes if "time of day" in note]
    assert said.startswith("A row is about the day in date: the time of day in time is no part of it.")
    whole = f"{OPENED[0]:%Y-%m-%d %H:%M}"
    assert f"write both in one column of the files, such as {whole}, and" in said
    # It names nothing, and is said once.
    assert not [warning for warning in plan.warnings if warning.startswith("time ")]
    joined = planned(tmp_path, {"date": OPENED.dt.strftime("%Y-%m-%d %H:%M")})
    assert joined.time.has_hours and not [note for note in joined.notes if "time of day" in note]


@pytest.mark.parametrize("day", ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d", "%d-%b-%Y"])
@pytest.mark.parametrize("clock", ["%H:%M", "%H:%M:%S", "%I:%M %p", "%H:%M:%S.%f", "%H%M", "%H.%M"])
@pytest.mark.parametrize("as_shown", [True, False])
def test_the_remedy_holds_however_day_and_time_are_written(
    day: str, clock: str, as_shown: bool, tmp_path: Path
) -> None:
    """Joined as the sentence shows it, or as they stand in the file: the moments are those that were meant."""
    days, clocks = OPENED.dt.strftime(day), OPENED.dt.strftime(clock)
    (said,) = [n for n in planned(tmp_path, {"date": days, "time": clocks}).notes if "time of day" in n]
    shown = OPENED.dt.strftime("%Y-%m-%d") + " " + clocks
    assert f"such as {shown[0]}, and" in said
    joined = planned(tmp_path, {"at": shown if as_shown else days + " " + clocks})
    moments = joined.table.connection.sql(f"select {joined.time.sql} as t from {joined.table.relation} order by rowid")
    meant = OPENED.dt.floor("min") if "%S" not in clock else OPENED.dt.floor("s") if "%f" not in clock else OPENED
    assert [row[0].replace(tzinfo=None) for row in moments.fetchall()] == meant.dt.to_pydatetime().tolist()


def test_codes_of_four_digits_are_no_times_of_day(tmp_path: Path) -> None:
    codes = pd.Series(RNG.integers(0, 2_400, ROWS)).astype(str).str.zfill(4)
    assert not [n for n in planned(tmp_path, {"date": OPENED.dt.date, "code": codes}).notes if "time of day" in n]


def test_a_time_of_day_beside_a_moment_is_a_word(tmp_path: Path) -> None:
    plan = planned(tmp_path, {"at": OPENED, "closes": LATER.dt.strftime("%H:%M")})
    assert [warning for warning in plan.warnings if warning.startswith("closes holds times of day, or lengths of time")]
    assert not [note for note in plan.notes if "time of day" in note]

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.core.time.spans import Span
from mlops_assets.steps.land.taking_in import take_in
from mlops_assets.world.home import HomeSettings
from mlops_assets.world.landed import landed_files
from mlops_assets.world.landed import sources as landed_sources
from mlops_assets.world.landed.landed_files import WHOLE
from mlops_assets.world.landed.outlook import Period
from mlops_assets.world.landed.sources import Sources
from tests.landing_home import DAY, HEADER, LandingHome, rows, source, verdict

DAYS = [DAY + timedelta(days=i) for i in range(5)]
SHOPS = source(name="shops", grain="none", files="orders*.csv", start=None, event_time=None)
VISITS = source(name="visits", required=False)


def home(tmp_path: Path, *sources: object) -> tuple[LandingHome, Sources]:
    landing = LandingHome.at(tmp_path / "home", *sources)  # type: ignore[arg-type]
    return landing, landing.all_sources()


def told(periods: list[Period]) -> list[tuple[date | None, date | None, tuple[str, ...]]]:
    return [(p.first, p.last, p.take_in) for p in periods]


def built(sources: Sources, first: date, last: date) -> None:
    sources.mark_built(sources.good(), Span(first, last + timedelta(days=1)))


def test_new_files_are_one_period_until_their_features_are_built(tmp_path: Path) -> None:
    landing, sources = home(tmp_path)
    landing.land_days(DAYS)
    (period,) = sources.pending()
    assert told([period]) == [(DAYS[0], DAYS[-1], ("orders",))]
    assert sources.pending() == [period], "the same tick twice asks for the same run"
    landing.run(DAYS[0], DAYS[-1])
    (after,) = sources.pending()
    assert (after.take_in, after.key) == ((), period.key), "a tick in the middle asks for the run under way"
    built(sources, DAYS[0], DAYS[-1])
    assert sources.pending() == []


def test_a_range_with_a_bad_day_goes_on_without_it_and_ends(tmp_path: Path) -> None:
    landing, sources = home(tmp_path)
    landing.land_days(DAYS)
    landing.land(rows(DAYS[2], n=9), f"orders_{DAYS[2]}.csv")
    (first,) = sources.pending()
    landing.run(DAYS[0], DAYS[-1])
    after = sources.pending()
    assert told(after) == [(DAYS[0], DAYS[1], ()), (DAYS[3], DAYS[4], ())]
    assert first.key not in {period.key for period in after}, "this is another run"
    assert sources.pending() == after
    for period in after:
        assert period.first and period.last
        built(sources, period.first, period.last)
    assert sources.pending() == [], "no endless loop"
    landing.land(rows(DAYS[2]), f"orders_{DAYS[2]}_corrected.csv")
    assert told(sources.pending()) == [(DAYS[2], DAYS[2], ("orders",))]
    landing.carry(sources)
    assert sources.pending() == []


def test_a_released_day_comes_by_a_run_of_its_own_each_time(tmp_path: Path) -> None:
    landing, sources = home(tmp_path)
    landing.land(rows(DAY, n=9))
    (first,) = sources.pending()
    landing.run()
    assert sources.pending() == []
    landing.intake().release(str(DAY), "a sale")
    (second,) = sources.pending()
    assert second.take_in == ("orders",)
    assert second.key != first.key
    landing.run()
    (build,) = sources.pending()
    assert (build.take_in, build.key) == ((), second.key)
    built(sources, DAY, DAY)
    assert sources.pending() == []


def test_a_corrected_file_is_built_again_and_a_bad_correction_changes_nothing(tmp_path: Path) -> None:
    landing, sources = home(tmp_path)
    landing.land_days(DAYS)
    landing.carry(sources)
    landing.land(rows(DAYS[1], n=5), f"orders_{DAYS[1]}.csv")
    assert told(sources.pending()) == [(DAYS[1], DAYS[1], ("orders",))]
    landing.run(DAYS[1])
    assert told(sources.pending()) == [(DAYS[1], DAYS[1], ())]
    built(sources, DAYS[1], DAYS[1])
    assert sources.pending() == []
    landing.land(rows(DAYS[1], n=9), f"orders_{DAYS[1]}.csv")
    landing.run(DAYS[1])
    assert sources.pending() == [], "the old rows stay, and the features stand on them"


def test_a_bad_correction_before_the_build_still_builds_the_good_rows(tmp_path: Path) -> None:
    landing, sources = home(tmp_path)
    landing.land(rows(DAY))
    landing.run()
    landing.land(rows(DAY, n=9))
    landing.run()
    assert told(sources.pending()) == [(DAY, DAY, ())]
    built(sources, DAY, DAY)
    assert sources.pending() == []


def test_a_late_file_of_the_past_is_carried_alone(tmp_path: Path) -> None:
    landing, sources = home(tmp_path)
    landing.land_days([DAYS[0], DAYS[2]])
    assert told(sources.pending()) == [(DAYS[0], DAYS[0], ("orders",)), (DAYS[2], DAYS[2], ("orders",))]
    landing.carry(sources)
    landing.land_days([DAYS[1]])
    assert told(sources.pending()) == [(DAYS[1], DAYS[1], ("orders",))]


def test_a_day_waits_for_required_sources_and_not_for_others(tmp_path: Path) -> None:
    landing, sources = home(tmp_path, source(), source(name="refunds"), VISITS)
    landing.land_days(DAYS[:3])
    landing.land_days(DAYS[:2], source="refunds")
    for name in ("refunds", "visits"):
        (landing.home.landing / name).mkdir(exist_ok=True)
    outlook = sources.outlook()
    assert outlook.periods == [], "no file of refunds has the name that its pattern wants"
    for day in DAYS[:2]:
        landing.land(rows(day), f"orders_{day}.csv", source="refunds")
    outlook = sources.outlook()
    assert told(outlook.periods) == [(DAYS[0], DAYS[1], ("orders", "refunds"))]
    assert outlook.waiting == [f"{DAYS[2]} waits for files of refunds in {landing.home.landing / 'refunds'}."]


def test_days_before_a_source_begins_and_after_its_end_do_not_wait_for_it(tmp_path: Path) -> None:
    late = source(name="refunds", start=str(DAYS[1]), end=str(DAYS[1]))
    landing, sources = home(tmp_path, source(), late)
    landing.land_days(DAYS[:3])
    outlook = sources.outlook()
    assert told(outlook.periods) == [(DAYS[0], DAYS[0], ("orders",)), (DAYS[2], DAYS[2], ("orders",))]
    landing.land(rows(DAYS[1]), f"orders_{DAYS[1]}.csv", source="refunds")
    assert told(sources.pending()) == [(DAYS[0], DAYS[2], ("orders", "refunds"))]
    result = landing.run(DAYS[0], DAYS[2], take_in=["refunds"])
    assert verdict(result)[0], "days on which it has no partitions are not missed"


def test_a_bad_day_of_an_optional_source_stops_nobody_twice(tmp_path: Path) -> None:
    landing, sources = home(tmp_path, source(), VISITS)
    landing.land_days(DAYS[:3])
    for day in DAYS[:3]:
        landing.land(rows(day, n=9 if day == DAYS[1] else 3), f"orders_{day}.csv", source="visits")
    landing.run(DAYS[0], DAYS[2])
    assert told(sources.pending()) == [(DAYS[0], DAYS[2], ())]
    for day in (DAYS[0], DAYS[2]):
        landing.land(rows(day, n=4), f"orders_{day}.csv", source="visits")
    assert told(sources.pending()) == [
        (DAYS[0], DAYS[0], ("visits",)),
        (DAYS[1], DAYS[1], ()),
        (DAYS[2], DAYS[2], ("visits",)),
    ], "the day that is known to be bad is not looked at again"


def test_unpartitioned_tables_go_with_the_first_days_and_later_over_everything(tmp_path: Path) -> None:
    landing, sources = home(tmp_path, source(), SHOPS)
    landing.land_days(DAYS[:2])
    outlook = sources.outlook()
    assert (outlook.periods, len(outlook.waiting)) == ([], 1)
    assert "orders waits for shops. Put orders*.csv into" in outlook.waiting[0]
    landing.land(rows(DAY), "orders.csv", source="shops")
    assert told(sources.pending()) == [(DAYS[0], DAYS[1], ("orders", "shops"))]
    landing.carry(sources)
    assert sources.pending() == []
    landing.land(rows(DAY, n=4), "orders.csv", source="shops")
    landing.land_days([DAYS[2]])
    assert told(sources.pending()) == [(None, None, ("shops",)), (DAYS[2], DAYS[2], ("orders",))]
    landing.run(DAYS[2], take_in=["orders"])
    landing.run(None, take_in=["shops"])
    built(sources, DAYS[2], DAYS[2])
    assert told(sources.pending()) == [(None, None, ())], "the other days still stand on the old table"
    sources.mark_built(sources.good(), None)
    assert sources.pending() == []


def test_a_bad_unpartitioned_table_keeps_the_old_one(tmp_path: Path) -> None:
    landing, sources = home(tmp_path, source(), SHOPS)
    landing.land(rows(DAY, n=9), "orders.csv", source="shops")
    landing.land_days(DAYS[:1])
    landing.run(DAY)
    assert "Its file is in quarantine" in sources.outlook().waiting[0]
    landing.land(rows(DAY), "orders.csv", source="shops")
    landing.carry(sources)
    landing.land(f"{HEADER}\n", "orders.csv", source="shops")
    landing.run(None, take_in=["shops"])
    assert (sources.pending(), sources.outlook().waiting) == ([], [])
    assert len(landing.intake("shops").good()) == 1


def test_each_grain_has_periods_of_its_own(tmp_path: Path) -> None:
    weekly = source(name="visits", grain="week")
    monthly = source(name="bills", grain="month")
    landing, sources = home(tmp_path, source(), weekly, monthly)
    landing.land_days(DAYS[:1])
    for monday in (date(2024, 3, 4), date(2024, 3, 11)):
        landing.land(rows(monday), f"orders_{monday}.csv", source="visits")
    for first in (date(2024, 3, 1), date(2024, 5, 1)):
        landing.land(rows(first), f"orders_{first}.csv", source="bills")
    periods = sources.pending()
    assert [(p.grain, p.first, p.last, p.take_in) for p in periods] == [
        ("day", DAY, DAY, ("orders",)),
        ("week", date(2024, 3, 4), date(2024, 3, 11), ("visits",)),
        ("month", date(2024, 3, 1), date(2024, 3, 1), ("bills",)),
        ("month", date(2024, 5, 1), date(2024, 5, 1), ("bills",)),
    ]
    landing.carry(sources)
    assert sources.pending() == []


def test_days_whose_files_were_archived_before_the_build_are_built(tmp_path: Path) -> None:
    landing, sources = home(tmp_path)
    landing.land_days(DAYS[:2])
    landing.run(DAYS[0], DAYS[1])
    for file in (landing.home.landing / "orders").iterdir():
        file.unlink()
    assert told(sources.pending()) == [(DAYS[0], DAYS[1], ())]


def test_what_the_lake_has_lost_comes_by_a_new_run(tmp_path: Path) -> None:
    landing, sources = home(tmp_path)
    landing.land_days(DAYS[:1])
    (first,) = sources.pending()
    landing.carry(sources)
    file = landing.intake().raw_file(str(DAY))
    file.unlink()
    file.parent.rmdir()
    (again,) = sources.pending()
    assert again.take_in == ("orders",)
    assert again.key != first.key
    landing.carry(sources)
    assert sources.pending() == []


def test_a_replays_time_hides_what_came_later(tmp_path: Path) -> None:
    landing, sources = home(tmp_path)
    landing.land_days(DAYS)
    for day in (2, 4):
        until = datetime(2024, 3, day, tzinfo=UTC)
        landing.home.configure(HomeSettings(clock="data", until=until))
        assert sources.pending()[0].last == date(2024, 3, day - 1)
        landing.carry(sources)
        assert sources.pending() == []
    landing.home.configure(HomeSettings(clock="data", until=datetime(2024, 3, 3, tzinfo=UTC)))
    assert sources.pending() == []


def test_settings_are_read_again_when_the_yaml_changes(tmp_path: Path) -> None:
    landing, sources = home(tmp_path)
    assert sources.settings()["orders"].fresh_for == "36h"
    landing.sources = [source(freshness="100h")]
    landing.all_sources()
    assert sources.settings()["orders"].freshness == "100h"
    assert sources.settings() is not sources.settings(), "nobody's changes reach anybody else"


@pytest.mark.parametrize("known", [True, False])
def test_a_build_of_some_days_counts_for_an_unpartitioned_table_once(tmp_path: Path, known: bool) -> None:
    landing, sources = home(tmp_path, source(), SHOPS)
    landing.home.lake.mkdir(exist_ok=True)
    if known:
        sources.mark_built({"shops": {WHOLE: "old"}}, None)
    sources.mark_built({"shops": {WHOLE: "new"}}, Span(DAY, DAYS[1]))
    assert sources.built()["shops"][WHOLE] == ("old" if known else "new")


# --- groups ------------------------------------------------------------------------------------------------


def test_one_group_waits_for_none_of_the_others(tmp_path: Path) -> None:
    refunds = source(name="refunds")
    landing, sources = home(tmp_path, source(), refunds, SHOPS)
    landing.land_days(DAYS[:1])
    alone, other = frozenset({"orders"}), frozenset({"refunds", "shops"})
    assert sources.outlook().periods == [], "as one group, orders waits for the others"
    outlook = sources.outlook([alone, other])
    assert [(p.sources, p.take_in) for p in outlook.periods] == [(("orders",), ("orders",))]
    assert outlook.waiting == [f"refunds waits for shops. Put orders*.csv into {landing.home.landing / 'shops'}."]


def test_a_table_that_nothing_reads_goes_with_the_first_run_and_later_by_itself(tmp_path: Path) -> None:
    landing, sources = home(tmp_path, source(), SHOPS)
    groups = [frozenset({"orders"}), frozenset({"shops"})]
    landing.land(HEADER + "\n1,2024-03-01T00:00:00Z,north,1\n2,2024-03-01T00:00:00Z,north,1\n", source="shops")
    assert sources.outlook(groups).periods == [], "alone it is no reason for a run before anything is built"
    landing.land_days(DAYS[:1])
    (first,) = sources.pending(groups)
    assert (first.take_in, first.sources) == (("orders", "shops"), ("orders", "shops"))
    landing.run(DAYS[0], take_in=["orders"])
    landing.run(None, take_in=["shops"])
    assert [p.key for p in sources.pending(groups)] == [first.key], "a tick in the middle asks for the run under way"
    built(sources, DAYS[0], DAYS[0])
    assert sources.pending(groups) == []
    landing.land(HEADER + "\n1,2024-03-01T00:00:00Z,south,1\n2,2024-03-01T00:00:00Z,north,1\n", source="shops")
    assert [(p.grain, p.sources) for p in sources.pending(groups)] == [("none", ("shops",))]


def test_a_file_that_nobody_may_read_waits_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    landing, sources = home(tmp_path)
    landing.land_days(DAYS)
    closed = landing.intake().folder / f"orders_{DAYS[2]}.csv"
    # The right itself is not taken: tests may run as root, to whom nothing is refused.
    monkeypatch.setattr(landed_files, "may_read", lambda path: path != closed)
    outlook = sources.outlook()
    assert told(outlook.periods) == [(DAYS[0], DAYS[1], ("orders",)), (DAYS[3], DAYS[4], ("orders",))]
    sentence = f"orders_{DAYS[2]}.csv waits: nobody gave the right to read it. chmod u+r {closed}"
    assert outlook.waiting == [sentence]
    taken = take_in(landing.intake(), [str(day) for day in DAYS])
    assert list(taken.rows) == [str(day) for day in DAYS if day != DAYS[2]]
    assert taken.bad == {str(DAYS[2]): [sentence]}
    assert str(DAYS[2]) not in landing.intake().taken(), "it is not judged: nobody knows what is in it"
    # A correction that nobody may read leaves the rows before it in place.
    again = landing.land(rows(DAYS[0], price=2.5), f"orders_{DAYS[0]}_corrected.csv")
    monkeypatch.setattr(landed_files, "may_read", lambda path: "corrected" not in path.name)
    state = landing.intake().state()
    assert (list(state.no_right), state.pending) == ([str(DAYS[0])], (str(DAYS[2]),)), again
    assert str(DAYS[0]) in state.good


def test_a_folder_that_nobody_may_list_stops_its_own_source_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing, sources = home(tmp_path, source(), source(name="returns", files="returns_{partition}.csv"))
    landing.land_days(DAYS)
    closed = landing.home.landing / "returns"
    closed.mkdir(exist_ok=True)
    monkeypatch.setattr(landed_sources, "may_read", lambda path: path != closed)
    assert sources.damaged() == {"returns": f"Nobody gave the right to list {closed}: chmod u+rx {closed}"}
    assert list(sources.whole()) == ["orders"]


def test_a_damaged_record_stops_its_own_source_alone(tmp_path: Path) -> None:
    landing, sources = home(tmp_path, source(), source(name="refunds"))
    landing.land_days(DAYS[:1])
    record = landing.intake("refunds").record_file
    record.parent.mkdir(parents=True)
    record.write_bytes(b'{"2024-03-01": [')
    outlook = sources.outlook([frozenset({"orders"}), frozenset({"refunds"})])
    assert [p.take_in for p in outlook.periods] == [("orders",)]
    (told,) = outlook.waiting
    assert told.startswith(f"{record} cannot be read")
    assert "Restore it from a backup, or delete it" in told
    assert sources.outlook().periods == [], "as one group, all wait for it"
    landing.run(DAYS[0], take_in=["orders"])
    assert {name: list(of) for name, of in sources.good().items()} == {"orders": [str(DAYS[0])]}

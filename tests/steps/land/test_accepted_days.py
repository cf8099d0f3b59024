"""A landing run against what the lake holds: a changed unit goes to quarantine, a released one is followed."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from mlops_assets.core.sources.contract import Failure
from mlops_assets.core.sources.partition_faults import causes_first
from mlops_assets.core.sources.partition_profile import ColumnShape, Shape
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.pages.replay_wording import set_aside_told
from mlops_assets.steps.land.taking_in import take_in
from tests.landing_home import LandingHome, source, verdict

SEED = 7
FIRST = date(2024, 3, 1)
DAYS = 30
SOURCE = source(
    columns={"price": {"type": "number"}, "shop": {"type": "string"}},
    contract={
        "unique": ["id"],
        "columns": {
            "id": {"type": "integer"},
            "at": {"type": "timestamp"},
            "shop": {"type": "string"},
            "price": {"type": "number"},
        },
    },
)


def day_of(number: int, *, factor: float = 1.0, upper: bool = False, first: int | None = None) -> str:
    """One day of 60 orders; `first` is another id than its own for the first of them."""
    rng = np.random.default_rng([SEED, number])
    day, prices = FIRST + timedelta(days=number), np.exp(rng.normal(3, 1, 60)) * factor
    shops = rng.choice(["north", "south"], 60)
    ids = [number * 100 + i for i in range(60)]
    ids[0] = ids[0] if first is None else first
    lines = [
        f"{key},{day}T{i % 24:02}:30:00Z,{shop.upper() if upper else shop},{price:.4f}"
        for i, (key, shop, price) in enumerate(zip(ids, shops, prices, strict=True))
    ]
    return "\n".join(["id,at,shop,price", *lines]) + "\n"


def home(folder: Path, of: SourceSettings = SOURCE) -> LandingHome:
    one = LandingHome.at(folder, of)
    for number in range(DAYS):
        one.land(day_of(number), f"orders_{FIRST + timedelta(days=number)}.csv")
    assert verdict(one.run(FIRST, FIRST + timedelta(days=DAYS - 1)))[0]
    return one


def land(one: LandingHome, number: int, **change: object) -> tuple[bool, str]:
    day = FIRST + timedelta(days=number)
    one.land(day_of(number, **change), f"orders_{day}.csv")  # type: ignore[arg-type]
    return verdict(one.run(day, day))


def test_a_changed_unit_goes_to_quarantine_until_a_person_lets_it_in(tmp_path: Path) -> None:
    one = home(tmp_path)
    passed, told = land(one, DAYS, factor=100)
    assert not passed
    assert "price is in another unit" in told
    assert "by a factor of 100" in told
    assert str(FIRST + timedelta(days=DAYS)) not in one.intake().good()
    assert land(one, DAYS + 1)[0], "the next day is as before"
    one.intake().release(str(FIRST + timedelta(days=DAYS)), "cents from now on (somebody)")
    assert verdict(one.run(FIRST + timedelta(days=DAYS), FIRST + timedelta(days=DAYS)))[0]
    assert land(one, DAYS + 2, factor=100)[0], "a day like one that was let in"


def test_the_factor_is_said_before_what_follows_from_it(tmp_path: Path) -> None:
    """The replay's page shows the beginning of a reason: it has to be the cause."""
    contract = SOURCE.contract.model_dump(exclude_unset=True)
    contract["columns"]["price"] |= {"usual": [0.1, 2_000.0], "unusual_share": 0.01}
    contract["columns"]["shop"] |= {"allowed": ["north", "south"]}
    one = home(tmp_path, source(columns=contract["columns"], contract=contract))
    land(one, DAYS, factor=1_000, upper=True)
    ((day, entry),) = one.intake().record.quarantined().items()
    order = ["price is in another unit", "shop is spelled", "of shop (", "of price ("]
    places = [entry.reason.find(part) for part in order]
    assert min(places) == 0, entry.reason
    assert places[:2] < places[2:], entry.reason
    told = {"source": "orders", "grain": "day", "partition": day, "reason": entry.reason, "folder": "f"}
    ((sentence, _),) = set_aside_told({"quarantine": [told]})
    assert "price is in another unit, by a factor of 1000" in sentence


def test_what_cannot_be_read_is_said_before_what_has_changed() -> None:
    rules = ["allowed", "changed_unit", "missing_column", "usual", "type", "changed_spelling", "null"]
    ordered = causes_first([Failure(rule, "a", 1, (), rule) for rule in rules])
    assert [each.rule for each in ordered] == [
        "missing_column",
        "type",
        "null",
        "changed_unit",
        "changed_spelling",
        "allowed",
        "usual",
    ]


def test_days_that_land_together_are_judged_in_their_order(tmp_path: Path) -> None:
    one = LandingHome.at(tmp_path, SOURCE)
    for number in range(DAYS + 10):
        factor = 100.0 if number in (DAYS, DAYS + 1) else 1.0
        one.land(day_of(number, factor=factor), f"orders_{FIRST + timedelta(days=number)}.csv")
    one.run(FIRST, FIRST + timedelta(days=DAYS + 9))
    bad = sorted(one.intake().record.quarantined())
    assert bad == [str(FIRST + timedelta(days=number)) for number in (DAYS, DAYS + 1)]


def test_a_day_that_is_held_back_for_a_key_is_no_accepted_day(tmp_path: Path) -> None:
    """A person lets cents in, but the day has the key of another one: the next day in cents does not follow it."""
    one = home(tmp_path)
    days = [str(FIRST + timedelta(days=DAYS + i)) for i in range(2)]
    assert not land(one, DAYS, factor=100, first=0)[0]
    one.intake().release(days[0], "cents from now on (somebody)")
    one.land(day_of(DAYS + 1, factor=100), f"orders_{days[1]}.csv")
    bad = take_in(one.intake(), days).bad
    assert "share their key" in bad[days[0]][0]
    assert "price is in another unit" in bad[days[1]][0]


def test_a_day_that_is_held_back_for_its_unit_takes_no_keys(tmp_path: Path) -> None:
    one = home(tmp_path)
    days = [str(FIRST + timedelta(days=DAYS + i)) for i in range(3)]
    one.land(day_of(DAYS, factor=100), f"orders_{days[0]}.csv")
    one.land(day_of(DAYS + 1, first=DAYS * 100), f"orders_{days[1]}.csv")
    one.land(day_of(DAYS + 2, first=DAYS * 100), f"orders_{days[2]}.csv")
    bad = take_in(one.intake(), days).bad
    assert set(bad) == {days[0], days[2]}
    assert "price is in another unit" in bad[days[0]][0]
    assert f"rows of {days[1]}" in bad[days[2]][0]


def test_rows_without_a_kept_shape_are_looked_at_anew(tmp_path: Path) -> None:
    one = home(tmp_path)
    for file in (one.home.lake / "raw" / "orders").rglob("*.parquet"):
        table = pq.read_table(file, partitioning=None)
        pq.write_table(table.replace_schema_metadata({"mlops.fingerprint": "x"}), file)
    passed, told = land(one, DAYS, upper=True)
    assert not passed
    assert "shop is spelled otherwise: 'NORTH' where it was 'north'" in told


def test_days_in_quarantine_say_that_the_unit_is_still_changed(tmp_path: Path) -> None:
    """Miles as kilometres: no day by itself is surely one, and those in quarantine speak against those after them."""
    one = home(tmp_path)
    days = [str(FIRST + timedelta(days=number)) for number in range(DAYS, DAYS + 12)]
    for number, day in enumerate(days):
        one.land(day_of(DAYS + number, factor=2.2046226), f"orders_{day}.csv")
    take_in(one.intake(), days[:6])
    bad = sorted(one.intake().record.quarantined())
    assert bad[-2:] == days[4:6]
    take_in(one.intake(), days[6:])
    assert set(days[6:]) <= set(one.intake().record.quarantined()), "of another run"
    one.intake().release(days[6], "pounds from now on (somebody)")
    assert verdict(one.run(FIRST + timedelta(days=DAYS + 6), FIRST + timedelta(days=DAYS + 6)))[0]
    assert land(one, DAYS + 12, factor=2.2046226)[0], "a day like one that was let in"


def test_a_day_that_comes_right_is_no_evidence_any_more(tmp_path: Path) -> None:
    one = home(tmp_path)
    assert not land(one, DAYS, factor=100)[0]
    day = FIRST + timedelta(days=DAYS)
    one.land(day_of(DAYS), f"orders_{day}.csv")
    assert verdict(one.run(day, day))[0]
    assert all(not shape.refused for shape in _columns(one, str(day)))
    assert land(one, DAYS + 1)[0]


def _columns(one: LandingHome, day: str) -> list[ColumnShape]:
    (file,) = (one.home.lake / "raw" / "orders").rglob(f"*{day}*/*.parquet")
    shape = Shape.from_json(pq.read_metadata(file).metadata[b"mlops.shape"].decode())
    assert shape is not None
    return list(shape.columns.values())

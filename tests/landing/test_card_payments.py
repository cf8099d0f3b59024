"""The made-up world: its published rates, its changes on their days, the same for the same seed."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.landing.card_payments import CONFIRMATIONS, SCRIPT, ConfirmationFiles, feed
from mlops_assets.landing.card_world import LARGE, Script, World, WorldChange, confirmations

START = date(2013, 1, 1)


def lived(world: World, days: int) -> pd.DataFrame:
    return pd.concat([frame.assign(day=day) for day, frame in world.days(days)], ignore_index=True)


@pytest.fixture(scope="module")
def payments() -> pd.DataFrame:
    """Forty days without changes."""
    return lived(World(START, customers=1500, terminals=3000), 40)


def test_it_pays_as_the_handbook_has_it(payments: pd.DataFrame) -> None:
    """Two payments a customer and day; the share within a day of a normal around noon with 20,000 s; mean 52.5."""
    inside = 0.9692  # P(|Z| < 43,200 / 20,000)
    a_day = len(payments) / 40 / 1500
    assert a_day == pytest.approx(2 * inside, rel=0.06)
    genuine = payments[payments["pattern"] == 0]
    # A normal with a sigma of half its mean is negative in 2.3 % of cases, then uniform with the same mean.
    assert genuine["amount"].mean() == pytest.approx(52.5, rel=0.08)
    hour = payments["occurred_at"].dt.hour
    assert hour.mean() == pytest.approx(11.5, abs=0.3)


def test_three_patterns_of_fraud_at_their_rates(payments: pd.DataFrame) -> None:
    late = payments[payments["day"] >= START + timedelta(days=28)]
    share = late["pattern"].value_counts(normalize=True)
    assert (payments[payments["amount"] > 5 * LARGE]["pattern"] > 0).all()
    # In balance: terminals 2 / 10,000 x 28 days; cards 3 / 5,000 x 14 days, a third of their payments.
    assert share[2] == pytest.approx(28 * 2 / 10_000, rel=0.6)
    assert share[3] == pytest.approx(14 * 3 / 5_000 / 3, rel=0.6)
    assert set(share.index) <= {0, 1, 2, 3}
    assert payments["is_fraud"].eq(payments["pattern"] > 0).all()


def test_a_day_is_the_same_whenever_it_is_drawn() -> None:
    world = World(START, customers=100, terminals=200, seed=3)
    long, short = lived(world, 20), lived(world, 5)
    pd.testing.assert_frame_equal(long[long["day"] < START + timedelta(days=5)], short)
    assert not lived(World(START, customers=100, terminals=200, seed=4), 5).equals(short)
    assert short["transaction_id"].is_unique


def test_changes_hold_on_their_days_and_leave_the_others_alone() -> None:
    days = [START + timedelta(days=n) for n in range(12)]
    script = Script(
        (
            WorldChange("new_pattern", days[2], days[4]),
            WorldChange("season", days[6], days[7]),
            WorldChange("compromised_channel", days[9], days[9]),
        )
    )
    plain = World(START, customers=1500, terminals=3000)
    changed = World(START, customers=1500, terminals=3000, script=script)
    before, after = lived(plain, 12), lived(changed, 12)
    fraud = after.groupby("day")["pattern"].agg(lambda p: sorted(set(p) - {0, 1, 2, 3}))
    assert [fraud[day] for day in days] == [[], [], [4], [4], [4], [], [], [], [], [5], [], []]
    tried = after[after["pattern"] == 4]
    assert tried["amount"].max() <= 8
    assert tried["occurred_at"].dt.hour.between(1, 4).all()
    assert set(tried["channel"]) == {"online"}
    assert set(after[after["pattern"] == 5]["channel"]) == {"contactless"}
    means = after.groupby("day")["amount"].mean() / before.groupby("day")["amount"].mean()
    assert means[days[6]] == pytest.approx(1.4, abs=0.01)
    assert means[days[0]] == means[days[8]] == 1
    assert SCRIPT.holds("renamed_field", date(2013, 4, 8))
    assert not SCRIPT.holds("renamed_field", date(2013, 4, 7))


def test_confirmations_are_late_and_as_sure_as_they_say(payments: pd.DataFrame) -> None:
    found = pd.concat([confirmations(day, seed=0) for _, day in payments.groupby("day")])
    waited = found["confirmed_at"].reset_index(drop=True) - payments["occurred_at"]
    assert waited.min() >= timedelta(days=7)
    assert waited.max() < timedelta(days=7.5)
    sure = found["confidence"] > 0.95
    assert sure.mean() == pytest.approx(0.9, abs=0.005)
    wrong = found["is_fraud"].to_numpy() != payments["is_fraud"].to_numpy()
    assert not wrong[sure].any()
    # Uniform from 0.5 to 0.95, and wrong as often as that admits.
    assert wrong[~sure].mean() == pytest.approx(1 - 0.725, abs=0.02)


def test_messages_and_files(tmp_path: Path) -> None:
    world = World(START, customers=50, terminals=200, script=Script((WorldChange("renamed_field", date(2013, 1, 3)),)))
    files = ConfirmationFiles(tmp_path)
    days = []
    for day in feed(world, 20):
        days.append(day)
        files.add(day)
    first, third = json.loads(days[0].messages[0]), json.loads(days[2].messages[0])
    assert {"transaction_amount"} == first.keys() - third.keys()
    assert {"amount"} == third.keys() - first.keys()
    assert days[0].keys[0].decode() == first["customer_id"]
    assert all(np.diff(days[0].sent_ms) >= 0)
    landed = {file.stem.removeprefix(f"{CONFIRMATIONS}_"): pd.read_parquet(file) for file in tmp_path.glob("*.parquet")}
    assert min(landed) == "2013-01-08"
    for name, frame in landed.items():
        assert set(frame["confirmed_at"].dt.strftime("%Y-%m-%d")) == {name}
    known = [row for frame in landed.values() for row in frame["transaction_id"]]
    assert len(known) == len(set(known))
    times = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.parquet")}
    again = ConfirmationFiles(tmp_path)
    for day in days:
        again.add(day)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.parquet")} == times

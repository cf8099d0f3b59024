"""Requests counted in the service and read by the rollout: by version, arm, outcome and time."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.core.models.row_scoring import RowScorer
from mlops_assets.serving.engine.arms import CANARY, CHAMPION, Arm
from mlops_assets.serving.engine.request_counts import Tally
from mlops_assets.steps.predict.answer_counts import answering, files, live_folder
from mlops_assets.world.clock import NoDataYet
from mlops_assets.world.home import Home
from mlops_assets.world.lake import Lake
from tests.serving.conftest import MODEL, contract, make_model

NOW = datetime(2013, 3, 4, 17, 0, 30, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(root=str(Home(tmp_path).root))


@pytest.fixture(scope="module")
def canary() -> Arm:
    return Arm(CANARY, 2, "b", RowScorer(make_model(2)))


def read(lake: Lake, version: int = 2, arm: str = CANARY, since: datetime = NOW) -> tuple[dict[int, int], int]:
    found = answering(lake, MODEL, version, [arm], since=since, day=since.date())
    return dict(found.times), found.errors


def test_nothing_yet(lake: Lake) -> None:
    assert read(lake) == ({}, 0)


def test_counts_add_up_over_processes_and_minutes(lake: Lake, canary: Arm) -> None:
    moments = [NOW]
    services = [Tally({MODEL: contract()}, lambda settings: moments[-1]) for _ in range(2)]
    for service in services:
        service.note(MODEL, canary, 0.00009)
        service.note(MODEL, canary, 0.00009)
        service.note(MODEL, canary, 0.2, failed=True)
        service.note(MODEL, Arm(CHAMPION, 1, "a", canary.scorer), 0.00009)
        service.write(lake)
        service.write(lake)
    assert read(lake) == ({0: 4}, 2)
    assert read(lake, version=1, arm=CHAMPION) == ({0: 2}, 0)
    assert read(lake, version=1) == ({}, 0)
    moments.append(NOW + timedelta(minutes=1))
    services[0].note(MODEL, canary, 0.00009)
    services[0].write(lake)
    assert read(lake) == ({0: 5}, 2)
    assert read(lake, since=moments[-1]) == ({0: 1}, 0)
    moments.append(NOW + timedelta(days=1))
    services[0].note(MODEL, canary, 0.00009)
    services[0].write(lake)
    assert read(lake) == ({0: 6}, 2)
    assert len(files(lake, MODEL, NOW.date())) == 3


def test_an_answer_is_seen_before_it_is_in_the_lake_and_once(lake: Lake, canary: Arm) -> None:
    service = Tally({MODEL: contract()}, lambda settings: NOW)
    service.note(MODEL, canary, 0.00009)
    service.publish(lake)
    assert files(lake, MODEL, NOW.date()) == []
    assert read(lake) == ({0: 1}, 0)
    service.write(lake)
    service.note(MODEL, canary, 0.00009)
    service.publish(lake)
    assert read(lake) == ({0: 2}, 0), "one in the lake, one live"
    live = (live_folder(lake) / f"{service._writer}.json").read_bytes()
    service.write(lake)
    (live_folder(lake) / f"{service._writer}.json").write_bytes(live)
    assert read(lake) == ({0: 2}, 0), "killed between the two files, and read between them"


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_published_is_counted_once_in_any_order(lake: Lake, canary: Arm, seed: int) -> None:
    """Two processes, one of which is killed and started anew; the sum is the number of calls, by hand."""
    chance, moments, told = random.Random(seed), [NOW], 0
    services = [Tally({MODEL: contract()}, lambda settings: moments[-1]) for _ in range(2)]
    counted = [0, 0]
    for _ in range(50):
        who = chance.randrange(2)
        match chance.choice(["note", "note", "note", "publish", "write", "minute", "kill"]):
            case "note":
                services[who].note(MODEL, canary, 0.00009)
                counted[who] += 1
            case "minute":
                moments.append(moments[-1] + timedelta(minutes=1))
            case "kill":
                services[who], counted[who] = Tally({MODEL: contract()}, lambda settings: moments[-1]), 0
            case how:
                getattr(services[who], how)(lake)
                told, counted[who] = told + counted[who], 0
                assert read(lake) == ({0: told} if told else {}, 0)


def test_what_cannot_be_written_is_kept(lake: Lake, canary: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    service = Tally({MODEL: contract()}, lambda settings: NOW)
    service.note(MODEL, canary, 0.00009)
    with monkeypatch.context() as patch:
        patch.setattr("mlops_assets.steps.predict.answer_counts.write", full)
        with pytest.raises(OSError, match="No space"):
            service.write(lake)
    service.write(lake)
    assert read(lake) == ({0: 1}, 0)


def test_without_a_clock_it_waits(lake: Lake, canary: Arm) -> None:
    moments: list[datetime] = []

    def clock(settings: object) -> datetime:
        if not moments:
            raise NoDataYet("the data clock stands")
        return moments[-1]

    service = Tally({MODEL: contract()}, clock)
    service.note(MODEL, canary, 0.00009)
    service.write(lake)
    assert read(lake) == ({}, 0)
    moments.append(NOW)
    service.write(lake)
    assert read(lake) == ({0: 1}, 0)


def test_a_round_has_one_minute(lake: Lake, canary: Arm) -> None:
    """Asked anew for each count, a data clock would look at its files as often, and could answer with two minutes."""
    asked: list[datetime] = []

    def clock(settings: object) -> datetime:
        asked.append(NOW + timedelta(minutes=len(asked)))
        return asked[-1]

    service = Tally({MODEL: contract()}, clock)
    for seconds in (0.00009, 0.2, 0.9):
        service.note(MODEL, canary, seconds)
    service.write(lake)
    assert len(asked) == 1
    assert sum(read(lake)[0].values()) == 3
    assert read(lake, since=NOW + timedelta(minutes=1)) == ({}, 0)


def test_files_of_many_models_are_written_a_few_at_a_time_and_nothing_is_missed_meanwhile(
    lake: Lake, canary: Arm
) -> None:
    names = [f"m{number}" for number in range(5)]
    tally = Tally(dict.fromkeys(names, contract()), lambda settings: NOW)
    for name in names:
        tally.note(name, canary, 0.00009)
    written = []
    for left in (True, True, False):
        assert tally.write(lake, most=2) == left
        written.append([name for name in names if files(lake, name, NOW.date())])
        for name in names:
            assert answering(lake, name, 2, [CANARY], since=NOW, day=NOW.date()).answers == 1
    assert written == [names[:2], names[:4], names]

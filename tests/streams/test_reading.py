"""A topic becomes files: nothing lost, nothing doubled, whatever is killed when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.steps.land.stream_consumer import StreamBroken, StreamReader
from mlops_assets.steps.land.stream_decoding import NotConfigured
from mlops_assets.steps.land.stream_lag import Lag, pace, read_lag
from mlops_assets.steps.land.stream_landing import StreamLanding
from mlops_assets.steps.land.stream_log import AlreadyRead, Segment, StreamLog
from mlops_assets.steps.land.taking_in import take_in
from mlops_assets.world.home import HomeSettings
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.intake import Intake
from tests.streams.feed import SERVERS, Topic, files, home_of, killed, landed, read, sale, sales, source

NewTopic = Callable[[], Topic]


def test_days_that_are_over_land_whole(topic: NewTopic, tmp_path: Path) -> None:
    sent = topic()
    sent.send(sales([1, 2, 3]))
    home = home_of(tmp_path)
    read(home, source(sent.name))
    # The third day goes on, as far as anybody knows.
    assert landed(home) == {f"sales_2024-01-0{d}.parquet": [s["sale_id"] for s in sales([d])] for d in (1, 2)}
    sent.send([sale(400, "2024-01-04T00:09:59Z")])
    read(home, source(sent.name))
    assert len(landed(home)) == 2, "ten minutes are waited for what is late"
    sent.send([sale(401, "2024-01-04T00:10:00Z")])
    read(home, source(sent.name))
    assert len(landed(home)) == 3


def test_hours_that_are_over_land_before_the_day_is(topic: NewTopic, tmp_path: Path) -> None:
    sent, home = topic(), home_of(tmp_path)
    sent.send([sale(1, "2024-01-01T08:00:00Z"), sale(2, "2024-01-01T08:59:59Z"), sale(3, "2024-01-01T10:00:00Z")])
    read(home, source(sent.name, files_by="hour"))
    # The ninth hour had no message; the tenth goes on.
    assert landed(home) == {"sales_2024-01-01T08.parquet": ["s0001", "s0002"]}
    sent.send([sale(4, "2024-01-01T11:09:59Z")])
    read(home, source(sent.name, files_by="hour"))
    assert len(landed(home)) == 1, "ten minutes are waited for what is late"
    sent.send([sale(5, "2024-01-01T11:10:00Z"), sale(6, "2024-01-01T08:30:00Z")])
    read(home, source(sent.name, files_by="hour"))
    assert landed(home) == {
        "sales_2024-01-01T08.parquet": ["s0001", "s0002", "s0006"],
        "sales_2024-01-01T10.parquet": ["s0003"],
    }


def test_an_hour_of_a_stream_moves_the_clock_and_is_a_part_of_its_day(topic: NewTopic, tmp_path: Path) -> None:
    sent, home = topic(), home_of(tmp_path)
    sent.send([sale(1, "2024-01-01T08:00:00Z"), sale(2, "2024-01-01T09:10:00Z"), sale(3, "2024-01-01T10:10:00Z")])
    settings = source(sent.name, files_by="hour")
    read(home, settings)
    intake = Intake(lake=Lake(root=str(home.root)), source=settings)
    assert take_in(intake, ["2024-01-01"]).rows == {"2024-01-01T08": 1, "2024-01-01T09": 1}
    assert intake.newest_end() == datetime(2024, 1, 1, 10, tzinfo=UTC)
    sent.send([sale(4, "2024-01-01T09:30:00Z"), sale(5, "2024-01-01T11:10:00Z")])
    read(home, settings)
    assert take_in(intake, ["2024-01-01"]).rows == {"2024-01-01T09": 2, "2024-01-01T10": 1}
    assert intake.newest_end() == datetime(2024, 1, 1, 11, tzinfo=UTC)


def test_hours_are_parts_of_days_and_not_of_weeks() -> None:
    with pytest.raises(ValueError, match="needs grain day, not week"):
        by_hour = {**source("sales").model_dump(exclude={"files"}), "stream": {"topic": "sales", "files_by": "hour"}}
        StreamSettings.model_validate({**by_hour, "grain": "week"})


def test_what_comes_late_finds_the_others_of_its_day(topic: NewTopic, tmp_path: Path) -> None:
    sent = topic()
    sent.send(sales([1, 2]))
    home = home_of(tmp_path)
    read(home, source(sent.name))
    sent.send(sales([3, 4]))
    read(home, source(sent.name))
    untouched = (home.landing / "sales" / "sales_2024-01-02.parquet").stat().st_mtime_ns
    sent.send([sale(199, "2024-01-01T23:00:00Z"), *sales([5])])
    read(home, source(sent.name))
    assert landed(home)["sales_2024-01-01.parquet"] == [*(s["sale_id"] for s in sales([1])), "s0199"]
    assert (home.landing / "sales" / "sales_2024-01-02.parquet").stat().st_mtime_ns == untouched


def test_reading_twice_is_no_news(topic: NewTopic, tmp_path: Path) -> None:
    sent = topic()
    sent.send(sales([1, 2, 3]))
    home = home_of(tmp_path)
    read(home, source(sent.name))
    before = {path: path.stat().st_mtime_ns for path in (home.landing / "sales").rglob("*.parquet")}
    read(home, source(sent.name))
    assert {path: path.stat().st_mtime_ns for path in (home.landing / "sales").rglob("*.parquet")} == before


@pytest.mark.slow
def test_a_reader_that_is_killed_anywhere_loses_and_doubles_nothing(
    topic: NewTopic, servers: str, forking: None, tmp_path: Path
) -> None:
    sent = topic()
    # The third message cannot be read, and one of the second day comes late.
    poison = [b"not json"]
    sent.send([*sales([1], 2), *poison, *sales([2], 2), *sales([3], 1)])
    wanted = home_of(tmp_path / "never killed")
    read(wanted, source(sent.name))
    told = files(wanted)
    assert len(told) == 2
    deaths = 0
    while True:
        home = home_of(tmp_path / f"killed {deaths}")
        if not killed(home.root, sent.name, servers, deaths + 1):
            break
        deaths += 1
        read(home, source(sent.name))
        assert files(home) == told, f"killed before change {deaths} of the disk"
        assert StreamLog(home.landing / "sales" / "messages").positions() == {0: 3, 1: 3}
        assert StreamLanding(home, source(sent.name)).poison()["value"].tolist() == poison
    # Each of two files: to disk, its name, the folder to disk. The landed files, the poison, the moves, the lag.
    assert deaths >= 12


def test_two_readers_are_one_too_many(topic: NewTopic, tmp_path: Path) -> None:
    sent = topic()
    sent.send(sales([1]))
    home = home_of(tmp_path)
    with StreamLanding(home, source()).log.alone(), pytest.raises(AlreadyRead, match="Stop it first"):
        read(home, source(sent.name))
    log = StreamLanding(home, source()).log
    messages = log.read(_stored(home, sent))
    with pytest.raises(ValueError, match="two processes read this stream"):
        log.write(Segment(0, 1, 3), messages)


def _stored(home: Any, sent: Topic) -> Segment:
    read(home, source(sent.name))
    return StreamLanding(home, source()).log.segments()[0]


def test_small_files_are_merged_and_both_may_be_there(
    topic: NewTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_assets.steps.land.stream_log.MERGED_ROWS", 10)
    sent, home = topic(), home_of(tmp_path)
    for day in range(1, 9):
        sent.send(sales([day]), partition=0)
        read(home, source(sent.name))
    log = StreamLanding(home, source()).log
    assert [(s.first, s.next) for s in log.segments(log.landed)] == [(0, 12), (12, 24), (24, 36), (36, 42)]
    # As a kill between the larger file and the end of the smaller ones leaves it.
    part = Segment(0, 0, 6)
    (log.landed / part.name).write_bytes((log.landed / Segment(0, 0, 12).name).read_bytes())
    sent.send([sale(199, "2024-01-01T23:00:00Z"), *sales([9])], partition=0)
    read(home, source(sent.name))
    assert not (log.landed / part.name).exists()
    assert landed(home)["sales_2024-01-01.parquet"] == [*(s["sale_id"] for s in sales([1])), "s0199"]


# --- what is wrong, and says so ----------------------------------------------------------------------------


def test_without_brokers_it_says_which_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SERVERS, raising=False)
    with pytest.raises(NotConfigured, match=f"{SERVERS} is not set"):
        read(home_of(tmp_path), source())
    monkeypatch.setenv(SERVERS, "127.0.0.1:9")
    monkeypatch.setenv("MLOPS_KAFKA_OPTIONS", "[]")
    with pytest.raises(NotConfigured, match="no JSON object"):
        read(home_of(tmp_path), source())


def test_messages_that_the_broker_has_deleted_are_a_loss_that_somebody_accepts(
    topic: NewTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, home = topic(), home_of(tmp_path)
    sent.send(sales([1]))
    read(home, source(sent.name))
    monkeypatch.setattr(StreamReader, "_range", lambda *_: (5, 9))
    with pytest.raises(StreamBroken, match=r"messages were deleted before they were read.*--accept-loss"):
        read(home, source(sent.name))


def test_a_topic_that_was_made_anew_is_not_read_into_the_old_files(topic: NewTopic, tmp_path: Path) -> None:
    sent, home = topic(), home_of(tmp_path)
    sent.send(sales([1]))
    read(home, source(sent.name))
    other = topic()
    other.send(sales([1], 2))
    with pytest.raises(StreamBroken, match=r"it was made anew"):
        read(home, source(other.name))


def test_a_file_never_loses_rows(topic: NewTopic, tmp_path: Path) -> None:
    sent, home = topic(), home_of(tmp_path)
    sent.send(sales([1, 2]), partition=0)
    read(home, source(sent.name))
    log = StreamLanding(home, source()).log
    (early,) = log.segments()
    sent.send(sales([3]), partition=0)
    read(home, source(sent.name))
    log.path(early).unlink()
    sent.send([sale(199, "2024-01-01T23:00:00Z"), *sales([4])], partition=0)
    with pytest.raises(ValueError, match=r"has 6 rows, and the messages in .* make 1"):
        read(home, source(sent.name))


# --- behind ------------------------------------------------------------------------------------------------


def test_the_lag_is_what_is_unread(topic: NewTopic, tmp_path: Path) -> None:
    sent, home = topic(), home_of(tmp_path)
    sent.send(sales([1]))
    assert read_lag(home, "sales") is None
    read(home, source(sent.name))
    lag = read_lag(home, "sales")
    assert lag is not None
    assert (lag.messages, lag.seconds()) == (0, 0.0)


NOW = datetime(2024, 1, 1, 12, tzinfo=UTC)
LIMIT = timedelta(minutes=15)


@pytest.mark.parametrize(
    ("lag", "is_wall", "keeps_up", "told"),
    [
        (None, True, True, "Nothing has been read"),
        (Lag(NOW, {0: 0}), True, True, "0 messages are unread"),
        (Lag(NOW, {0: 9}, NOW - timedelta(minutes=14)), True, True, "9 messages"),
        (
            Lag(NOW, {0: 9, 1: 1000}, NOW - timedelta(minutes=16)),
            True,
            False,
            "1,009 messages are unread, the oldest 16",
        ),
        (Lag(NOW, {0: 9}), True, True, "nobody knows"),
        (Lag(NOW - timedelta(minutes=16), {0: 0}), True, False, "Nobody has read the stream since"),
        (Lag(NOW - timedelta(days=9), {0: 0}), False, True, "0 messages"),
    ],
)
def test_a_pace_that_is_and_is_not_kept(lag: Lag | None, is_wall: bool, keeps_up: bool, told: str) -> None:
    found = pace(lag, max_lag=LIMIT, is_wall=is_wall, now=NOW)
    assert found.keeps_up is keeps_up
    assert told in found.sentence


def test_names_of_files_are_offsets_and_back() -> None:
    segment = Segment(12, 0, 2**40)
    assert Segment.of_name(segment.name) == segment
    assert Segment.of_name("sales_2024-01-01.parquet") is None


def test_after_a_pause_days_with_unread_messages_are_not_taken_for_over(
    topic: NewTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the wall clock January is long over; what was read of its second day before the pause is not all of it."""
    sent, home = topic(), home_of(tmp_path)
    sent.send(sales([1]), partition=0)
    sent.send([sale(200, "2024-01-02T08:00:00Z")], partition=0)
    read(home, source(sent.name))
    home.configure(HomeSettings(clock="wall"))
    sent.send([sale(201, "2024-01-02T09:00:00Z")], partition=0)
    seen: list[dict[str, list[str]]] = []
    take = StreamReader._take
    monkeypatch.setattr(StreamReader, "_take", lambda *given: seen.append(landed(home)) or take(*given))
    read(home, source(sent.name))
    assert list(seen[0]) == ["sales_2024-01-01.parquet"]
    assert landed(home)["sales_2024-01-02.parquet"] == ["s0200", "s0201"]

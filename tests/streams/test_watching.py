"""A stream that is behind is told: by an alert, in metrics, by the command; one that was never read is quiet."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import Result

from mlops_assets.commands.readers import Reader, readers
from mlops_assets.steps.keep.stream_metrics import streams
from mlops_assets.steps.land.source_alarms import late_streams
from mlops_assets.steps.land.stream_lag import Lag, write_lag
from mlops_assets.world.home import Home, HomeSettings
from mlops_assets.world.platform import Platform
from tests.streams.feed import home_of

NAME = "card_payments"
NOW = datetime.now(UTC)
BEHIND = Lag(NOW, {0: 5, 1: 7}, NOW - timedelta(hours=1))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_of(tmp_path)


def test_a_stream_that_was_never_read_is_quiet(home: Home) -> None:
    platform = Platform.of(home)
    assert late_streams(platform) == []
    assert list(streams(platform)) == []


def test_one_that_is_behind_is_told_until_it_keeps_up(home: Home) -> None:
    platform = Platform.of(home)
    write_lag(home, NAME, BEHIND)
    (alert,) = late_streams(platform)
    assert (alert["key"], alert["runbook"]) == (f"stream-behind/{NAME}", "stream-behind")
    assert "12 messages are unread, the oldest 60 minutes old, allowed are 15" in alert["happened"]
    samples = {(s.name, s.labels): s.value for s in streams(platform)}
    assert samples["stream_unread_messages", (NAME, "1")] == 7
    assert samples["stream_lag_seconds", (NAME,)] == pytest.approx(3600)
    assert samples["stream_poison_messages", (NAME,)] == 0
    write_lag(home, NAME, Lag(NOW, {0: 0, 1: 0}))
    assert late_streams(platform) == []


def test_by_the_wall_clock_a_reader_that_is_away_is_told(home: Home) -> None:
    write_lag(home, NAME, Lag(NOW - timedelta(days=2), {0: 0}))
    assert late_streams(Platform.of(home)) == []
    home.configure(HomeSettings(clock="wall"))
    (alert,) = late_streams(Platform.of(home))
    assert "Nobody has read the stream since" in alert["happened"]
    home.configure(HomeSettings(clock="wall", landing=str(home.landing)))
    assert late_streams(Platform.of(home)) == [], "a replay tells nothing of its parent's streams"


def test_the_commands(home: Home, mlops: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_KAFKA_SERVERS", raising=False)
    write_lag(home, NAME, BEHIND)
    (told,) = json.loads(mlops("--home", str(home.root), "stream", "list", "--json").stdout)
    assert (told["source"], told["unread"], told["quarantined"]) == (NAME, 12, 0)
    assert mlops("--home", str(home.root), "stream", "list").exit_code == 0
    retried = mlops("--home", str(home.root), "stream", "retry", NAME)
    assert "0 messages were judged again" in retried.stdout
    refused = mlops("--home", str(home.root), "stream", "run", NAME)
    assert (refused.exit_code, "MLOPS_KAFKA_SERVERS is not set" in refused.stderr) == (1, True)
    unknown = mlops("--home", str(home.root), "stream", "run", "flights")
    assert "There is no stream 'flights'. Known: card_payments." in unknown.stderr
    sent = mlops("--home", str(home.root), "pull", "flights")
    assert "flights has no `pull`" in sent.stderr


def test_up_reads_where_brokers_are_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_KAFKA_SERVERS", raising=False)
    assert readers(home) == []
    monkeypatch.setenv("MLOPS_KAFKA_SERVERS", "kafka:9092")
    (reader,) = readers(home)
    assert list(reader.command[-3:]) == ["stream", "run", NAME]
    home.configure(HomeSettings(landing=str(home.landing)))
    assert readers(home) == []


def test_a_reader_that_ends_is_started_again_after_a_rest(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    log = home.root / "logs" / "x.log"
    reader = Reader("The reader of x", ["sh", "-c", "echo gone"], home.root, "", log, leader_first=True)
    reader.start()
    assert reader.process is not None
    first = reader.process
    first.wait()
    reader.require_alive()
    assert reader.process is first, "not at once"
    reader.started_at -= 60
    reader.require_alive()
    assert reader.process is not first
    reader.process.wait()
    assert "has ended and is started again (gone" in capsys.readouterr().out
    assert reader.answers()

"""What the second demo sends and lands: all payments once, also when it is stopped on the way."""

from __future__ import annotations

from itertools import chain, repeat
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mlops_assets.landing.card_payments import CONFIRMATIONS, PAYMENTS, demo_world, feed
from mlops_assets.simulate import fraud_demo
from mlops_assets.steps.land.stream_consumer import StreamReader
from mlops_assets.steps.land.stream_poison import poison_count
from tests.streams.feed import home_of

DAYS, CUSTOMERS = 16, 60


def test_a_stopped_demo_sends_the_same_again_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, read, stops = home_of(tmp_path), StreamReader.run, chain([False, True], repeat(False))

    def stopping(self: StreamReader, **options: bool) -> None:
        if next(stops):
            raise KeyboardInterrupt
        read(self, **options)

    monkeypatch.setattr(StreamReader, "run", stopping)
    with pytest.raises(KeyboardInterrupt):
        fraud_demo.stream_payments(home, days=DAYS, customers=CUSTOMERS)
    assert len(list((home.landing / PAYMENTS).glob("*.parquet"))) == 6
    fraud_demo.stream_payments(home, days=DAYS, customers=CUSTOMERS)
    sent = {day.day.isoformat(): len(day.messages) for day in feed(demo_world(CUSTOMERS), DAYS - 1)}
    files = sorted((home.landing / PAYMENTS).glob("*.parquet"))
    assert {f.stem[-10:]: pq.read_metadata(f).num_rows for f in files} == sent
    assert poison_count(home, PAYMENTS).messages == 0
    assert len(list((home.landing / CONFIRMATIONS).glob("*.parquet"))) == DAYS - 7
    # All is there: nothing is sent.
    monkeypatch.setattr(fraud_demo, "mock_broker", lambda _: pytest.fail("it streams again"))
    fraud_demo.stream_payments(home, days=DAYS, customers=CUSTOMERS)

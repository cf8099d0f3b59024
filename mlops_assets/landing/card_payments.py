"""Card payments as messages, and what the bank confirms a week later as files.

What lives here: the made-up world of `card_world` in the words of a feed, the demo's script, and the stories that its
days tell. What does not: drawing the world, Kafka, contracts.

A payment is a JSON object. From the day of `renamed_field` on the producer calls the field `transaction_amount` plainly
`amount`, as producers do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from mlops_assets.landing.card_world import Script, World, WorldChange, confirmations

START, DAYS = date(2013, 1, 1), 196
"""In the year of the flights: all sources by day share one calendar in Dagster."""
PAYMENTS, CONFIRMATIONS = "card_payments", "card_confirmations"
SCRIPT = Script(
    (
        WorldChange("renamed_field", date(2013, 4, 8)),
        WorldChange("new_pattern", date(2013, 4, 22)),
        WorldChange("season", date(2013, 5, 20), date(2013, 6, 2)),
        WorldChange("compromised_channel", date(2013, 6, 10), date(2013, 6, 30)),
    )
)
STORIES = {
    "renamed_field": "transaction_amount is called amount from now on",
    "new_pattern": "stolen cards are tried out at night with small sums",
    "season": "people spend 40 % more",
    "compromised_channel": "one in eight contactless payments is fraud",
}
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Day:
    """One day of the feed.

    Attributes:
        day: which.
        keys: whom each message is about: messages of a key stay in order.
        messages: in order of time.
        sent_ms: when each was sent, milliseconds since 1970.
        confirmed: what will be known of these payments, and when; see `card_world.confirmations`.
    """

    day: date
    keys: list[bytes]
    messages: list[bytes]
    sent_ms: list[int]
    confirmed: pd.DataFrame


def demo_world(customers: int = 1000) -> World:
    """The world of `mlops demo fraud`."""
    return World(START, customers=customers, terminals=2 * customers, seed=7, script=SCRIPT)


def feed(world: World, days: int) -> Iterator[Day]:
    """The days of a world, as messages."""
    for day, frame in world.days(days):
        amount = "amount" if world.script.holds("renamed_field", day) else "transaction_amount"
        messages = frame[["transaction_id", "customer_id", "terminal_id", "channel", "occurred_at", "amount"]]
        messages = messages.assign(occurred_at=messages["occurred_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        rows = messages.rename(columns={"amount": amount}).to_dict("records")
        yield Day(
            day,
            [key.encode() for key in frame["customer_id"]],
            [_encode(row) for row in rows],
            (frame["occurred_at"].astype("int64") // 10**6).tolist(),
            confirmations(frame, seed=world.seed),
        )


@dataclass
class ConfirmationFiles:
    """Confirmations as one Parquet file a day, of what became known on it.

    Attributes:
        folder: the landing folder of the source.
    """

    folder: Path
    _waiting: pd.DataFrame | None = None

    def add(self, day: Day) -> None:
        """Take a day's, and write the file of that day: all that becomes known on it belongs to days before."""
        known = day.confirmed if self._waiting is None else pd.concat([self._waiting, day.confirmed], ignore_index=True)
        midnight = pd.Timestamp(day.day + timedelta(days=1), tz="UTC")
        is_known = (known["confirmed_at"] < midnight).to_numpy(dtype=np.bool_)
        self._waiting = known[~is_known]
        if is_known.any():
            self._write(known[is_known].sort_values("confirmed_at", kind="stable"), day.day)

    def _write(self, rows: pd.DataFrame, day: date) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{CONFIRMATIONS}_{day}.parquet"
        temporary = path.with_name(f".{path.name}.tmp")
        rows.astype({"confirmed_at": "datetime64[us, UTC]"}).to_parquet(temporary, index=False)
        if path.exists() and path.read_bytes() == temporary.read_bytes():
            temporary.unlink()
        else:
            temporary.replace(path)

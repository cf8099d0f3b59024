"""A made-up world of card payments with fraud in it, of any size, the same for the same seed.

What lives here: customers, terminals, three patterns of fraud, and changes on known days, as arrays of one day at a
time. What does not: messages and files made of them (`card_payments`).

The design is that of the Fraud Detection Handbook: Y.-A. Le Borgne, W. Siblini, B. Lebichot, G. Bontempi,
*Reproducible Machine Learning for Credit Card Fraud Detection - Practical Handbook*, Université Libre de Bruxelles,
2022, chapter 3, "Transaction data simulator": its distributions and its three patterns, with the rates of its 5,000
customers and 10,000 terminals. Channels, confirmations and the changes of `Script` are additions. The code is our own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

DAY_SECONDS = 86_400
CHANNELS = ("chip", "contactless", "online")
CHANNEL_SHARES = (0.5, 0.2, 0.3)
LARGE = 220.0
"""Pattern 1: every payment above is fraud."""
TERMINAL_RATE, TERMINAL_DAYS = 2 / 10_000, 28
"""Pattern 2: so many of the terminals fall into wrong hands each day, and every payment there is fraud for 28 days."""
CARD_RATE, CARD_DAYS, CARD_SHARE, CARD_FACTOR = 3 / 5_000, 14, 1 / 3, 5.0
"""Pattern 3: so many of the cards are copied each day; for 14 days a third of their payments is five times as large."""
TESTING_RATE, TESTING_DAYS, TESTING_PAYMENTS, TESTING_LARGEST = 4 / 5_000, 10, 4.0, 8.0
"""The new pattern: stolen cards are tried out at night with small sums, about four times a night, for ten days."""
SKIMMED_SHARE = 0.12
"""Of the payments through a compromised channel."""
LABEL_DELAY = timedelta(days=7)
SURE_SHARE, SURE = 0.9, 0.95
"""Most confirmations are surer than 0.95; the rest are wrong as often as their confidence admits."""


@dataclass(frozen=True)
class WorldChange:
    """Something that begins on a known day.

    Attributes:
        name: `new_pattern`, `season`, `compromised_channel` or `renamed_field`.
        first: its first day.
        last: its last day; None: it stays.
    """

    name: str
    first: date
    last: date | None = None

    def holds(self, day: date) -> bool:
        """Whether a day is one of its."""
        return self.first <= day and (self.last is None or day <= self.last)


@dataclass(frozen=True)
class Script:
    """Which changes come when.

    Attributes:
        changes: in any order; several of a name are several times.
        season_factor: how much larger payments are in a season.
        channel: the one that is compromised.
    """

    changes: tuple[WorldChange, ...] = ()
    season_factor: float = 1.4
    channel: str = "contactless"

    def holds(self, name: str, day: date) -> bool:
        """Whether a change of this name is on."""
        return any(change.name == name and change.holds(day) for change in self.changes)


@dataclass(frozen=True)
class World:
    """Customers and terminals on a square of 100 by 100, from a first day on.

    Attributes:
        start: first day; a day does not depend on how many follow.
        customers: how many.
        terminals: how many.
        seed: of everything.
        script: changes on known days.
        radius: how far customers go to pay.
    """

    start: date
    customers: int = 1000
    terminals: int = 2000
    seed: int = 0
    script: Script = field(default_factory=Script)
    radius: float = 5.0

    def days(self, days: int) -> Iterator[tuple[date, pd.DataFrame]]:
        """Each day with its payments, in order of time.

        Yields:
            The day, and a frame with `transaction_id`, `customer_id`, `terminal_id`, `channel`, `occurred_at` (UTC),
            `amount`, `is_fraud` (0 or 1) and `pattern` (0: genuine; 1 to 3: the Handbook's; 4: cards tried out;
            5: a compromised channel).
        """
        people = _People.of(self)
        bad_terminals = _Spells(self.seed, 2, self.terminals * TERMINAL_RATE, self.terminals, TERMINAL_DAYS)
        bad_cards = _Spells(self.seed, 3, self.customers * CARD_RATE, self.customers, CARD_DAYS)
        tried_cards = _Spells(self.seed, 4, self.customers * TESTING_RATE, self.customers, TESTING_DAYS)
        for number in range(days):
            day = self.start + timedelta(days=number)
            rng = np.random.default_rng([self.seed, 10, number])
            base = people.payments(rng)
            tried = _tried_out(rng, tried_cards.members(number), people) if self._holds("new_pattern", day) else None
            drawn = {name: np.concatenate([base[name], tried[name]]) for name in base} if tried else base
            fraud = self._fraud(rng, day, drawn, bad_terminals.members(number), bad_cards.members(number))
            if tried:
                fraud[len(base["seconds"]) :] = 4
            yield day, _frame(day, drawn, fraud)

    def _holds(self, name: str, day: date) -> bool:
        return self.script.holds(name, day)

    def _fraud(
        self, rng: np.random.Generator, day: date, drawn: dict[str, Any], terminals: np.ndarray, cards: np.ndarray
    ) -> np.ndarray:
        """The pattern of each payment; amounts of copied cards and of a season are changed in place."""
        amounts = drawn["amount"]
        pattern = np.where(amounts > LARGE, 1, 0)
        if self._holds("season", day):
            amounts *= self.script.season_factor
        if self._holds("compromised_channel", day):
            hit = rng.random(len(amounts)) < SKIMMED_SHARE
            pattern[hit & (drawn["channel"] == CHANNELS.index(self.script.channel))] = 5
        copied = np.isin(drawn["customer"], cards) & (rng.random(len(amounts)) < CARD_SHARE)
        amounts[copied] *= CARD_FACTOR
        pattern[copied] = 3
        pattern[np.isin(drawn["terminal"], terminals)] = 2
        return pattern


@dataclass(frozen=True)
class _Spells:
    """Who is in wrong hands, from the day it happens and for some days."""

    seed: int
    pattern: int
    a_day: float
    of: int
    days: int

    def members(self, number: int) -> np.ndarray:
        """Those of day `number`, counted from the world's first."""
        return np.unique(np.concatenate([self._new(each) for each in range(number - self.days + 1, number + 1)]))

    def _new(self, number: int) -> np.ndarray:
        if number < 0:
            return np.empty(0, dtype=np.int64)
        rng = np.random.default_rng([self.seed, self.pattern, number])
        return rng.choice(self.of, size=min(self.of, rng.poisson(self.a_day)), replace=False)


@dataclass(frozen=True)
class _People:
    """The habits of customers: how much, how often, and at which terminals (`reach`, cut by `offsets`)."""

    mean_amount: np.ndarray
    a_day: np.ndarray
    reach: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, world: World) -> _People:
        from scipy.spatial import cKDTree

        rng = np.random.default_rng([world.seed, 1])
        homes = rng.uniform(0, 100, (world.customers, 2))
        shops = cKDTree(rng.uniform(0, 100, (world.terminals, 2)))
        mean_amount = rng.uniform(5, 100, world.customers)
        a_day = rng.uniform(0, 4, world.customers)
        near = shops.query_ball_point(homes, world.radius, return_sorted=True)
        counts = np.array([len(each) for each in near])
        reach = np.concatenate([np.asarray(each, dtype=np.int64) for each in near])
        # Who has no terminal nearby never pays.
        return cls(mean_amount, np.where(counts > 0, a_day, 0.0), reach, np.concatenate([[0], np.cumsum(counts)]))

    def payments(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """One day: a normal time of day, normal amounts (a negative one is drawn anew, uniform), terminals nearby."""
        customer = np.repeat(np.arange(len(self.a_day)), rng.poisson(self.a_day))
        seconds = rng.normal(DAY_SECONDS / 2, 20_000, len(customer)).astype(np.int64)
        customer, seconds = customer[inside := (seconds > 0) & (seconds < DAY_SECONDS)], seconds[inside]
        mean = self.mean_amount[customer]
        amount = rng.normal(mean, mean / 2)
        amount = np.where(amount < 0, rng.uniform(0, 2 * mean), amount)
        channel = rng.choice(len(CHANNELS), size=len(customer), p=CHANNEL_SHARES)
        return {
            "customer": customer,
            "terminal": self.terminals_of(customer, rng),
            "seconds": seconds,
            "amount": amount,
            "channel": channel,
        }

    def terminals_of(self, customer: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One terminal within reach of each."""
        width = self.offsets[customer + 1] - self.offsets[customer]
        return self.reach[self.offsets[customer] + (rng.random(len(customer)) * width).astype(np.int64)]


def _tried_out(rng: np.random.Generator, cards: np.ndarray, people: _People) -> dict[str, np.ndarray]:
    """Payments with stolen cards, small, online, between one and five in the morning."""
    cards = cards[people.offsets[cards + 1] > people.offsets[cards]]
    customer = np.repeat(cards, rng.poisson(TESTING_PAYMENTS, len(cards)))
    return {
        "customer": customer,
        "terminal": people.terminals_of(customer, rng),
        "seconds": rng.integers(3_600, 5 * 3_600, len(customer)),
        "amount": rng.uniform(0.5, TESTING_LARGEST, len(customer)),
        "channel": np.full(len(customer), CHANNELS.index("online")),
    }


def _frame(day: date, drawn: dict[str, Any], pattern: np.ndarray) -> pd.DataFrame:
    order = np.argsort(drawn["seconds"], kind="stable")
    numbers = pd.Series(np.arange(len(order))).astype(str).str.zfill(7)
    midnight = pd.Timestamp(day, tz="UTC")
    return pd.DataFrame(
        {
            "transaction_id": f"{day:%Y%m%d}-" + numbers,
            "customer_id": "C" + pd.Series(drawn["customer"][order]).astype(str).str.zfill(6),
            "terminal_id": "T" + pd.Series(drawn["terminal"][order]).astype(str).str.zfill(6),
            "channel": np.array(CHANNELS)[drawn["channel"][order]],
            "occurred_at": midnight + pd.to_timedelta(drawn["seconds"][order], unit="s"),
            "amount": np.maximum(drawn["amount"][order], 0.01).round(2),
            "is_fraud": (pattern[order] > 0).astype(np.int64),
            "pattern": pattern[order].astype(np.int64),
        }
    )


def confirmations(payments: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """What a bank comes to know of payments: a week and up to twelve hours later, with a confidence.

    Args:
        payments: one day of `World.days`.
        seed: of the delays, confidences and errors.

    Returns:
        `transaction_id`, `terminal_id`, `is_fraud`, `confidence` and `confirmed_at` (UTC), a row for each payment.
    """
    first = payments["occurred_at"].iloc[0] if len(payments) else pd.Timestamp(0, tz="UTC")
    rng = np.random.default_rng([seed, 20, first.date().toordinal()])
    n = len(payments)
    sure = rng.random(n) < SURE_SHARE
    confidence = np.where(sure, rng.uniform(SURE + 0.001, 1.0, n), rng.uniform(0.5, SURE, n)).round(3)
    wrong = ~sure & (rng.random(n) > confidence)
    delay = pd.to_timedelta(rng.integers(0, DAY_SECONDS // 2, n), unit="s")
    return pd.DataFrame(
        {
            "transaction_id": payments["transaction_id"],
            "terminal_id": payments["terminal_id"],
            "is_fraud": np.where(wrong, 1 - payments["is_fraud"], payments["is_fraud"]),
            "confidence": confidence,
            "confirmed_at": payments["occurred_at"] + LABEL_DELAY + delay,
        }
    )

"""The queue of trainings of a location: in which order they start, and how many of them on a day.

Here: their order, what a day's budget takes, on which day each starts as things stand. Not here: which trainings wait
(`steps.decide.fleet`), what was agreed (`trainings_policy`), what keeps a single one from starting
(`steps.decide.holds`).

The order, first that applies:

1. What a person asked for or approved, in the order of asking.
2. A champion that is worse than guessing: each of its predictions does harm.
3. A model without a champion: it predicts nothing.
4. Who has waited longer than `max_wait`, the longest first, so that a small gain starts too.
5. All others by what they are expected to gain a day for each unit of cost: so a budget gains most (Dantzig 1957, the
   greedy rule of the knapsack). What is gained is profit a day, where every one of these has been measured in money;
   else the share of the champion's loss, times the labelled rows a day. The unit of cost is what the budget counts: a
   CPU hour where these are limited, a training where they are not.

Of equals, who has waited longer goes first, then the name decides: no two have one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy

ASKED, FAILING, FIRST, OVERDUE, BY_GAIN = range(5)
"""Where in the order a training stands."""
_FAR = 3_660
"""Days beyond which nobody is told when a training starts."""


@dataclass(frozen=True)
class Waiting:
    """A training that was decided on, and has not started.

    Attributes:
        model: which.
        decision: its id.
        rule: that asks for it.
        since: from when on one was decided on, by the model's clock.
        cpu_hours: that it is expected to take.
        gain: expected share of the champion's loss, 0 at least; None where none was measured.
        price: the share that it would have to gain, which stands in where nothing was measured.
        rows_per_day: labelled rows a day.
        money_per_day: expected profit a day; None where it was not measured.
        asked: whether a person asked for it, or approved it.
        insisted: whether that person insists: the budget does not hold it, and is charged all the same.
        failing: whether the champion is worse than guessing.
        first: whether there is no champion.
        held: why it cannot start although its turn has come; empty where it can.
    """

    model: str
    decision: str
    rule: str
    since: datetime
    cpu_hours: float
    gain: float | None = None
    price: float = 0.0
    rows_per_day: float = 0.0
    money_per_day: float | None = None
    asked: bool = False
    insisted: bool = False
    failing: bool = False
    first: bool = False
    held: str = ""

    @property
    def worth(self) -> float:
        """Share of the loss times rows a day; what was not measured is taken to be worth its price."""
        return (self.price if self.gain is None else self.gain) * self.rows_per_day

    def place(self, now: datetime, max_wait: timedelta) -> int:
        """Where in the order it stands, of the five."""
        kinds = ((self.asked, ASKED), (self.failing, FAILING), (self.first, FIRST))
        by_kind = next((place for applies, place in kinds if applies), None)
        if by_kind is not None:
            return by_kind
        return OVERDUE if now - self.since > max_wait else BY_GAIN


@dataclass(frozen=True)
class Spent:
    """What the trainings that started on a day have taken of its budget."""

    runs: int = 0
    cpu_hours: float = 0.0

    def and_one(self, cpu_hours: float) -> Spent:
        """With one more."""
        return Spent(self.runs + 1, self.cpu_hours + cpu_hours)

    def leaves(self, cpu_hours: float, policy: TrainingsPolicy) -> bool:
        """Whether the budget has room for one more; one that is larger than a whole day's takes a day of its own."""
        if policy.runs_a_day is not None and self.runs >= policy.runs_a_day:
            return False
        limit = policy.cpu_hours_a_day
        return limit is None or self.cpu_hours + min(cpu_hours, limit) <= limit


def ordered(waiting: Iterable[Waiting], now: datetime, policy: TrainingsPolicy) -> list[Waiting]:
    """Who starts first, as the docstring of this module says.

    Args:
        waiting: in any order, one a model.
        now: the location's clock.
        policy: what was agreed.
    """
    all_of_them = list(waiting)
    by_gain = [each for each in all_of_them if each.place(now, policy.max_wait) == BY_GAIN]
    in_money = all(each.money_per_day is not None for each in by_gain)

    def key(each: Waiting) -> tuple[int, float, datetime, str]:
        place = each.place(now, policy.max_wait)
        worth = each.worth if not in_money or each.money_per_day is None else each.money_per_day
        return place, -worth / cost_of(each, policy) if place == BY_GAIN else 0.0, each.since, each.model

    return sorted(all_of_them, key=key)


def cost_of(waiting: Waiting, policy: TrainingsPolicy) -> float:
    """What a training costs in what the budget counts: CPU hours, or 1 where only trainings are counted."""
    return waiting.cpu_hours if policy.cpu_hours_a_day is not None else 1.0


def startable(queue: Sequence[Waiting], spent: Spent, policy: TrainingsPolicy) -> list[Waiting]:
    """Those of a queue that start now, in its order; one that no longer fits leaves its room to smaller ones.

    Args:
        queue: as ordered.
        spent: on this day.
        policy: what was agreed.
    """
    starting = []
    for each in queue:
        if not each.held and (each.insisted or spent.leaves(each.cpu_hours, policy)):
            spent = spent.and_one(charged(each.cpu_hours, policy))
            starting.append(each)
    return starting


def charged(cpu_hours: float, policy: TrainingsPolicy) -> float:
    """What the budget is charged with: at most a whole day's."""
    return cpu_hours if policy.cpu_hours_a_day is None else min(cpu_hours, policy.cpu_hours_a_day)


def start_days(queue: Sequence[Waiting], spent: Spent, policy: TrainingsPolicy, today: date) -> dict[str, date]:
    """On which day each starts if nothing else comes, by model; nothing of those that are held.

    Args:
        queue: as ordered.
        spent: today.
        policy: what was agreed.
        today: by the location's clock, in UTC.
    """
    days: dict[str, date] = {}
    left = [each for each in queue if not each.held]
    for number in range(_FAR):
        starting = {each.model for each in startable(left, spent, policy)}
        days |= dict.fromkeys(starting, today + timedelta(days=number))
        left, spent = [each for each in left if each.model not in starting], Spent()
        if not left:
            break
    return days


def with_hold(waiting: Waiting, why: str) -> Waiting:
    """The same, held by something."""
    return replace(waiting, held=why)

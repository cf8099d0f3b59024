"""How sure a gain must be among the looks of a day, so that few of the trainings that they start are for nothing.

Here: the limit that a p-value must keep among others. Not here: the p-value (`looks.p_values`), what follows where it
is not kept (`rules`), which trainings are no discoveries (`steps.decide.fleet`).

With a thousand models that nothing can better, a level of 0.1 a look finds a gain in dozens of them at each close. The
procedure of Benjamini and Yekutieli (2001, theorem 1.3) bounds the expected share of false ones among all that are
found on a day: of the p-values in ascending order, the largest r-th that is at most `rate * r / (looks * c)` is found
with all before it, c being 1 + 1/2 + ... + 1/looks, 7.5 of a thousand.

Without c it is the procedure of Benjamini and Hochberg (1995), which holds where looks are independent, or all of them
move the same way. Models of one location share one world: what it does to one refit's gain it may do to another's the
other way round, and c is the price of knowing nothing of that. It pays for a second thing: far out in their tail the
p-values of days that remember are too small (`looks.p_values`). benchmarks/fleet_false_starts.py has both procedures.

Looks come one after the other all day, and a training must not wait for the last. So a day's looks are counted
beforehand, as one of each model that the probe decides on, and a look that has not been made has the p-value 1. Each
look that is made can only lower a p-value, so what was found by then stays found: what a day has started is what the
procedure finds at its end, at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache


@dataclass(frozen=True)
class AmongLooks:
    """How sure a gain has to be among others.

    Attributes:
        day: on which they are looked at, by the model's clock in UTC.
        looks: how many there are on that day, at most.
        limit: that the p-value must not exceed.
    """

    day: date
    looks: int
    limit: float

    def refusal(self, p: float) -> str:
        """Why a gain does not count, in words; empty where it does."""
        if p <= self.limit:
            return ""
        among = f"among the {self.looks:,} looks of the day: p {_decimal(p)}, limit {_decimal(self.limit)}"
        return f"Its gain is not certain enough {among}. Its next look decides anew."


def _decimal(value: float) -> str:
    """Two digits of a small number, as people write it: 0.000013."""
    return f"{Decimal(f'{value:.2g}'):f}"


def found_among(p_values: Mapping[str, float], looks: int, rate: float) -> set[str]:
    """The models whose gains are found.

    Args:
        p_values: by model, those of the day that are known.
        looks: of the day, at least as many as are known; the others have 1.
        rate: the false discovery rate.
    """
    largest = _largest_limit(p_values, looks, rate)
    return {model for model, p in p_values.items() if p <= largest}


def among_looks(model: str, p_values: Mapping[str, float], day: date, looks: int, rate: float) -> AmongLooks:
    """The limit of a model's p-value: the one by which gains are found; where it is not found, that of its own place.

    Args:
        model: one of them.
        p_values: as of `found_among`, and so are the others.
        day: of the looks.
        looks: of the day.
        rate: the false discovery rate.
    """
    largest = _largest_limit(p_values, looks, rate)
    if p_values[model] > largest:
        rank = sum(p <= p_values[model] for p in p_values.values())
        return AmongLooks(day, looks, _limit(rank, looks, rate))
    return AmongLooks(day, looks, largest)


def _largest_limit(p_values: Mapping[str, float], looks: int, rate: float) -> float:
    if len(p_values) > looks:
        raise ValueError(f"{len(p_values)} p-values of {looks} looks: count each look")
    limits = [(p, _limit(rank, looks, rate)) for rank, p in enumerate(sorted(p_values.values()), start=1)]
    return max((limit for p, limit in limits if p <= limit), default=0.0)


def _limit(rank: int, looks: int, rate: float) -> float:
    return rate * rank / (looks * any_dependence(looks))


@cache
def any_dependence(looks: int) -> float:
    """1 + 1/2 + ... + 1/looks: what a rate is divided by, so that it holds whatever the looks share."""
    return sum(1.0 / number for number in range(1, looks + 1))

"""Which calendar leads: how much better each is expected to be, from what its refits promised and what they kept.

Here: the pairs of promises and what came of them in some looks, one expectation from each record, the leader. Not here:
whether its gain over the champion is sure (`probe`).

The newest part of a window tells at once what has changed, but it lies next to the rows that were fitted on: what a
season, a week of weather or a holiday teaches holds there and not in the next window. So a refit's advantage in the
newest part is a promise, and its advantage in the window after that says how it was kept. A promise inside the range of
earlier ones is believed as far as those were kept (a regression line, drawn towards one to one while there are few);
what goes beyond any earlier promise is believed in full, since a break has no precedent.

Where labels are late, a change that began in the newest window of labels may be over by now. Who is fitted on nothing
else then loses as much as the change did; a few older rows are an insurance, and are kept unless they cost more than
`INSURED`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mlops_assets.core.decide.judged_window import changes
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.decide.probe_result import Candidate, Look, Part
from mlops_assets.core.models.refit_rows import Calendar

REMEMBERED = 12
"""Newest looks that tell what a calendar's promises are worth."""

TRUST = 0.02
"""Sum of squares of promises that weighs as much as trust in them: two of a tenth."""
INSURED = 0.05
"""Share of the loss that a refit on the rows since a change must be expected to lose less, where that may be over."""


def expected(
    promised: float | None, record: Sequence[tuple[float, float]], kept: Sequence[tuple[float, float]]
) -> float | None:
    """The advantage over the first calendar to be expected in the next window, as a share of its loss.

    Args:
        promised: the advantage in the newest part; None where there was none to measure.
        record: earlier pairs, what was promised and what the next window then brought.
        kept: advantages in whole windows, by refits from before them, each with its weight.

    Returns:
        None where nothing is known.
    """
    usual = float(np.average([gain for gain, _ in kept], weights=[w for _, w in kept])) if kept else None
    if promised is None:
        return usual
    if usual is None:
        return promised
    if not record:
        return (usual + promised) / 2.0
    before, after = np.transpose(record)
    far = before - before.mean()
    slope = (float(np.sum(far * (after - after.mean()))) + TRUST) / (float(np.sum(far**2)) + TRUST)
    slope = min(1.0, max(0.0, slope))
    surprise = promised - float(before.mean())
    beyond = max(0.0, abs(surprise) - float(np.abs(far).max()))
    return usual + float(np.sign(surprise)) * (slope * (abs(surprise) - beyond) + beyond)


def leading(looks: Sequence[Look], policy: ProbePolicy) -> str:
    """The refit that is expected to lose least in the next window.

    The first of the policy leads unless another is expected to lose less by `lead`; of equals, the first named.

    Args:
        looks: at any champion, oldest first.
        policy: its `half_life` and `lead` say how fast losses are forgotten, and what is clearly less.
    """
    gains = expectations(looks, policy)
    first = f"refit:{policy.refits[0]}"
    best = max(gains, key=lambda name: gains[name], default=first)
    return best if gains.get(best, 0.0) > policy.lead else first


def expectations(looks: Sequence[Look], policy: ProbePolicy) -> dict[str, float]:
    """By refit: the advantage over the first one to be expected in the next window, as a share of that one's loss.

    Args:
        looks: at any champion, oldest first.
        policy: how to look.
    """
    if not looks:
        return {}
    recent = list(looks)[-REMEMBERED:]
    base, newest = f"refit:{policy.refits[0]}", recent[-1]
    there = {*newest.whole.loss, *(newest.newest.loss if newest.newest else ())}
    refits = [name for name in (*policy.candidates, *sorted(there)) if name in there and name.startswith("refit:")]
    newest_part = newest.newest
    days = [day for day in changes(looks) if newest_part is not None and day < newest_part.start.date()]

    def advantage(part: Part | None, name: str) -> float | None:
        # Refits that know nothing of a change tell nothing of what comes after it.
        return None if part is None or (days and part.start.date() <= max(days)) else _advantage(part, name, base)

    gains: dict[str, float] = {}
    for name in dict.fromkeys(refits):
        # The record of the calendar most like it stands for that of one that began with a change: it grows.
        known = like(name, policy, newest)
        kept = [(advantage(look.whole, known), 0.5 ** (age / policy.half_life)) for age, look in _aged(recent)]
        pairs = [(advantage(a.newest, known), advantage(b.whole, known)) for a, b in pairwise(recent)]
        gain = expected(
            advantage(newest_part, name),
            [(p, k) for p, k in pairs if p is not None and k is not None],
            [(gain, weight) for gain, weight in kept if gain is not None],
        )
        if gain is not None:
            gains[name] = gain - INSURED if _may_be_over(name, newest) else gain
    return gains


def _may_be_over(name: str, newest: Look) -> bool:
    """Whether a refit on the rows since a change stakes everything on one that labels cannot show to last.

    It has lasted less long, as far as labels tell, than they are late, and the newest window holds rows from before it:
    a refit on that window knows both worlds, and loses far less where the old one is back.
    """
    day = Calendar.parse(Candidate.parse(name).of).day
    if day is None or day <= newest.whole.start.date():
        return False
    return newest.end.date() - day <= newest.at - newest.end


def _aged(looks: Sequence[Look]) -> list[tuple[float, Look]]:
    """Looks with their age in windows, that of the middle of the newest being a half."""
    return [(len(looks) - number - 0.5, look) for number, look in enumerate(looks)]


def _advantage(part: Part | None, name: str, base: str) -> float | None:
    if part is None or name not in part.loss or base not in part.loss or part.loss[base] <= 0.0:
        return None
    gain = 1.0 - part.loss[name] / part.loss[base]
    # A window of one class, say, has a look and no loss.
    return gain if math.isfinite(gain) else None


def like(name: str, policy: ProbePolicy, newest: Look) -> str:
    """The calendar whose record stands for a refit: its own; of one that began on a day, that nearest in length."""
    if name in policy.candidates:
        return name
    day = Calendar.parse(Candidate.parse(name).of).day
    counts = sorted(int(of) for of in policy.refits if of.isdigit())
    if day is None or not counts:
        return f"refit:{policy.refits[0]}"
    windows = (newest.end.date() - day) / (newest.end - newest.whole.start)
    return f"refit:{min(counts, key=lambda count: abs(count - windows))}"

"""Whether refits have kept paying, window after window: then the next one asks for less evidence.

Here: that record, and by how much both tests are eased. Not here: which calendar leads (`promised_gains`), the tests
(`probe`, `promote.gate`).

Where a relation moves on all the time, a refit gains something in every window, and on the newest days of a single one
that can seldom be told from luck: to be sure each time is to be late every other time. The windows together say it
clearly. Each is one observation, and their mean gain is held to a one-sided t test, which a single break does not pass,
however large: among windows that gained nothing it is as much spread as gain, and windows in which nobody answered it
have the same champion, where a record takes several. While the record holds, the probe and the gate give the newest
days `EASED` times their level, up to one in four; the price stays what it is. A gain that has come to an end is
followed for one or two windows too long, by a model of the newest rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mlops_assets.core.decide.judged_window import KEEP
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.decide.probe_result import Look
from mlops_assets.core.decide.promised_gains import like
from mlops_assets.core.stats.intervals import t_quantile

RECENT, FEWEST = 8, 4
"""Newest windows that count, and the fewest that are a record."""
CHAMPIONS = 3
"""Champions in them: one that is not replaced shows the same break in each window, and that is no second gain."""
PAYS = 0.01
"""Share of the champion's loss that they must surely have gained in the mean: more than more rows alone teach."""
LEVEL = 0.05
EASED = 10.0
EVEN = 0.25
"""The largest one-sided level that a test is eased to."""


def keeps_paying(looks: Sequence[Look], leader: str, policy: ProbePolicy) -> bool:
    """Whether refits by the leader surely gained on the champions of the newest windows, in these windows' newest days.

    Args:
        looks: one at each window, oldest first, at whoever was champion.
        leader: the refit; the calendar most like it stands for one that began with a change.
        policy: how to look.
    """
    name, gains, champions = like(leader, policy, looks[-1]), [], set()
    for look in [past_look for past_look in looks if past_look.champion][-RECENT:]:
        part = look.newest
        loss = part.loss.get(KEEP, math.nan) if part else math.nan
        if part is not None and name in part.series and loss > 0.0:
            gains.append(part.series[name].gain / loss)
            champions.add(look.champion)
    if len(gains) < FEWEST or len(champions) < CHAMPIONS:
        return False
    error = float(np.std(gains, ddof=1)) / math.sqrt(len(gains))
    return float(np.mean(gains)) - t_quantile(1.0 - LEVEL, len(gains) - 1.0) * error > PAYS

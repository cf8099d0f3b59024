"""Rules of thumb for retraining, which a policy has to beat to be worth its while.

Here: when each rule says that a training is due. Not here: living by it (`life`), comparing lives (`backtest`).

None of them asks whether a training would gain anything. The drift rules hold the newest window against the rows that
the present model was fitted on, as monitors commonly do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from mlops_assets.core.drift.feature_drift import FeatureDrift, compare
from mlops_assets.core.drift.grid import Grid
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.simulate.shared_fits import Positions, Rows
from mlops_assets.core.time.windows import Window

Due = Callable[[int, Positions, Positions], bool]
"""Number of the window that has closed, positions of the rows the model was fitted on, and of the window's rows."""

PSI_LIMIT = 0.2
KS_LEVEL = 0.05


@dataclass(frozen=True)
class Rule:
    """A rule of thumb.

    Attributes:
        due: whether to train at the end of a window.
        of: the training window: `expanding`, or the number of newest monitoring windows.
    """

    due: Due
    of: str = "expanding"


def never(of: str = "expanding") -> Rule:
    """The first model for ever."""
    return Rule(lambda number, fitted, newest: False, of)


def every(count: int, *, first: int, of: str = "expanding") -> Rule:
    """At the end of every window, of every second one, ...

    Args:
        count: how many windows pass from one training to the next.
        first: number of the first window that is served.
        of: the training window.
    """
    return Rule(lambda number, fitted, newest: (number + 1 - first) % count == 0, of)


def monthly(windows: Sequence[Window], timezone: str) -> Rule:
    """At the end of the first window that ends in a new calendar month."""
    zone = ZoneInfo(timezone)

    def month(moment: datetime) -> tuple[int, int]:
        local = moment.astimezone(zone)
        return local.year, local.month

    return Rule(lambda number, fitted, newest: month(windows[number].end) != month(windows[number].start))


def psi_over(limit: float, rows: Rows) -> Rule:
    """When any feature's population stability index is over a limit (0.2 by custom)."""
    return _drifted(rows, lambda drift: (drift.psi or 0.0) > limit)


def ks_under(level: float, rows: Rows) -> Rule:
    """When any feature's Kolmogorov-Smirnov p-value is under a level (0.05 by custom), uncorrected for their number."""
    return _drifted(rows, lambda drift: drift.ks_p is not None and drift.ks_p < level)


def _drifted(rows: Rows, alarms: Callable[[FeatureDrift], bool]) -> Rule:
    drifts = comparing(rows)
    return Rule(lambda number, fitted, newest: any(alarms(drift) for drift in drifts(fitted, newest)))


def comparing(rows: Rows) -> Callable[[Positions, Positions], list[FeatureDrift]]:
    """What compares the rows of a window with those that a model was fitted on; nothing has moved in no rows."""
    known: dict[bytes, tuple[Grid, Profile]] = {}

    def drifts(fitted: Positions, newest: Positions) -> list[FeatureDrift]:
        if not len(newest):
            return []
        key = np.ascontiguousarray(fitted).tobytes()
        if key not in known:
            known.clear()
            frame = _frame(rows.take(fitted))
            grid = Grid.from_reference(frame)
            known[key] = grid, Profile.of(grid, frame)
        grid, profile = known[key]
        return compare(profile, Profile.of(grid, _frame(rows.take(newest))))

    return drifts


def _frame(x: Any) -> pd.DataFrame:
    return x if isinstance(x, pd.DataFrame) else pd.DataFrame(x).rename(columns=str)

"""What a life on paper was agreed on, and what is told of it afterwards.

Here: policies, versions, periods and whole lives as values. Not here: living (`life`), comparing lives (`backtest`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mlops_assets.core.decide.folds import MIN_FIT
from mlops_assets.core.decide.policy import Decision, RetrainPolicy
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.promote.gate_policy import GatePolicy
from mlops_assets.core.simulate.rules_of_thumb import Rule
from mlops_assets.core.simulate.shared_fits import Model, Positions
from mlops_assets.core.stats.comparison import Paired
from mlops_assets.core.time.windows import Window


@dataclass(frozen=True)
class LifePolicy:
    """What was agreed beforehand.

    Attributes:
        metric: what is judged by.
        retrain: when to retrain.
        probe: how to look.
        gate: what lets a challenger through; None promotes whatever was trained.
        gate_window: length of the newest matured windows that it judges on together; None: one window.
        rule: a rule of thumb that says when to train, in place of `retrain` and `probe`; only its gate, if any, has
            parts like the probe's.
        min_rows: fewest rows that a version is fitted on.
        mature_share: a window is judged when this share of its labels is known.
        timezone: of the days.
    """

    metric: str
    retrain: RetrainPolicy = field(default_factory=RetrainPolicy)
    probe: ProbePolicy = field(default_factory=ProbePolicy)
    gate: GatePolicy | None = field(default_factory=GatePolicy)
    gate_window: timedelta | None = None
    rule: Rule | None = None
    min_rows: int = MIN_FIT
    mature_share: float = 0.95
    timezone: str = "UTC"


@dataclass(frozen=True, eq=False)
class Version:
    """A model that was champion: itself, and what it was fitted on (`rows`: positions)."""

    number: int
    model: Model
    fitted_until: datetime
    window: str
    rows: Positions


@dataclass(frozen=True, eq=False)
class Period:
    """One window of a life.

    Attributes:
        window: the window.
        served_by: the version that scored it.
        decision: what was decided at its end; None in a life by a rule of thumb.
        trained: whether a training was started then.
        promoted: the version that became champion then; None if none did.
        gain: the gate's comparison, where there was one.
    """

    window: Window
    served_by: int
    decision: Decision | None
    trained: bool
    promoted: int | None
    gain: Paired | None


@dataclass(frozen=True, eq=False)
class Life:
    """What would have happened.

    Attributes:
        periods: by window.
        versions: all that were champion, by number.
        fitted_rows: rows times fits, of the parts that were judged and of what shipped: (judged, shipped).
        seconds: CPU of the same, by the clock of the fits.
    """

    periods: tuple[Period, ...]
    versions: dict[int, Version]
    fitted_rows: tuple[int, int]
    seconds: tuple[float, float]

    @property
    def trainings(self) -> int:
        """How often a training was started, promoted or not."""
        return sum(period.trained for period in self.periods)

    @property
    def updates(self) -> int:
        """How often another model came into production."""
        return sum(period.promoted is not None for period in self.periods)

"""The third demo: a model per airline on half a year of flights, some of which stay with the pooled one.

Here: what is replayed, and the budget. Not here: landing the flights (`demo`), what became of the members (`members`).
"""

from __future__ import annotations

from datetime import date

from mlops_assets.simulate.demo import replay_flights
from mlops_assets.simulate.replay import Progress, Replayed
from mlops_assets.simulate.replay_settings import ReplaySettings
from mlops_assets.world.home import Home

FLEET = "carrier_delay"
FROM, TO = date(2013, 4, 1), date(2013, 8, 1)
BUDGET = {"runs_a_day": 5}
"""Of the members: what more of them ask for at the end of a month waits in the queue, where the gain decides."""
TRIALS = 1
"""Of a training: there are as many trainings as there are members that ask for one."""


def demo_fleet(*, home: Home, trials: int | None = None, progress: Progress = lambda *_: None) -> Replayed:
    """Land the year, train the pooled model on January to March, replay April to July by month.

    Args:
        home: the main home; it gets the data clock, so that it is quiet afterwards.
        trials: Optuna trials of a training.
        progress: told how far it is.
    """
    settings = ReplaySettings(model=FLEET, start=FROM, end=TO, every="month", trials=trials or TRIALS)
    report = home.root / "reports" / "demo_fleet"
    return replay_flights(settings, home=home, report=report, progress=progress, trainings=BUDGET)

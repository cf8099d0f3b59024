"""A relation that breaks: how soon the platform has another model, and how much of the damage that saves.

What lives here: quick lives, 500 labels a window and two seeds, held to bars. What doesn't: worlds whose relation moves
a little (`test_scenarios`), all breaks at all sizes and the small policy beside them (benchmarks).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pytest

from mlops_assets.core.decide.policy import RetrainPolicy
from mlops_assets.core.simulate.life import live
from mlops_assets.core.simulate.life_settings import Life, LifePolicy
from mlops_assets.core.simulate.shared_fits import Fits
from tests.scenarios.breaks import CHANGE, COUNT, DAYS, FIRST, BreakWorld, break_world

LABELS = 500
LENGTH = timedelta(days=DAYS)
WORLDS = [(task, seed) for task in ("regression", "binary") for seed in (1, 2)]


@dataclass(frozen=True)
class Lived:
    """A life and what it truly lost, window by window from the first one that is served.

    Attributes:
        life: the platform's.
        ours: its true loss.
        never: that of the first champion, kept for good.
        best: that of the best calendar of each window, known beforehand: what nobody can promise.
    """

    life: Life
    ours: np.ndarray
    never: np.ndarray
    best: np.ndarray

    @property
    def closed(self) -> float:
        """How much of the way from never to the best calendar the platform has gone."""
        return float((self.never - self.ours).sum() / (self.never - self.best).sum())

    @property
    def replaced(self) -> list[int]:
        """Windows at whose end another model became champion."""
        return [number for number, one in enumerate(self.life.periods, FIRST) if one.promoted is not None]

    def loses_to_never(self, first: int) -> float:
        """What is lost from a window on, as a multiple of what the first champion loses."""
        return float(self.ours[first - FIRST :].sum() / self.never[first - FIRST :].sum())

    def loses(self, first: int) -> float:
        """What is lost from a window on, as a multiple of what the best calendars lose."""
        return float(self.ours[first - FIRST :].sum() / self.best[first - FIRST :].sum())


def lived(name: str, task: str, seed: int, *, late: timedelta = timedelta(hours=2)) -> Lived:
    """The platform's life by its defaults, with nothing on its budget but what is default."""
    world = break_world(name, task=task, labels=LABELS, seed=seed, delay=late)
    fits = Fits(world.rows, world.learner)
    policy = LifePolicy(metric=world.metric, retrain=RetrainPolicy(window=LENGTH))
    life = live(world.rows, world.windows, fits, policy, first=FIRST)
    served = range(FIRST, COUNT)
    ours = [world.loss(life.versions[one.served_by].model, n) for n, one in zip(served, life.periods, strict=True)]
    never = [world.loss(life.versions[1].model, n) for n in served]
    return Lived(life, np.array(ours), np.array(never), np.array([_best(world, fits, n) for n in served]))


def _best(world: BreakWorld, fits: Fits, window: int) -> float:
    """The least true loss of all history and of the newest 1, 2 and 4 windows of labels that a window begins with."""
    known = np.flatnonzero(world.rows.known < world.windows[window].start)
    times = world.rows.times[known]
    kinds = [known, *(known[times > times[-1] - count * LENGTH] for count in (1, 2, 4))]
    return min(world.loss(fits.model(rows)[0], window) for rows in kinds)


@pytest.mark.parametrize(("task", "seed"), WORLDS)
def test_after_a_flip_of_all_the_model_is_another_at_the_close_of_the_first_changed_window(
    task: str, seed: int
) -> None:
    found = lived("flip of all", task, seed)
    assert found.replaced[0] == CHANGE
    assert found.closed >= 0.95
    assert found.never.sum() > 1.5 * found.best.sum()  # there was something to close


@pytest.mark.parametrize(("task", "seed"), WORLDS)
def test_what_turns_round_and_back_is_followed_there_and_back(task: str, seed: int) -> None:
    found = lived("there and back", task, seed)
    # Three windows later it is as it was, and at the close of the first of those the model is too.
    assert found.replaced[:2] == [CHANGE, CHANGE + 3]
    assert found.loses(CHANGE + 4) <= 1.02


@pytest.mark.parametrize(("task", "seed"), WORLDS)
def test_where_nothing_changes_next_to_nothing_is_done(task: str, seed: int) -> None:
    found = lived("nothing changes", task, seed)
    assert len(found.replaced) <= 2
    assert found.ours.sum() <= 1.005 * found.never.sum()
    assert found.loses(FIRST) <= 1.01


@pytest.mark.parametrize(("task", "seed"), WORLDS)
def test_with_labels_75_days_late_the_first_labels_that_tell_are_acted_on(task: str, seed: int) -> None:
    found = lived("flip of all", task, seed, late=timedelta(days=75))
    # By then a third of the newest window of labels has changed, its newest days: no fit on what was before knows it.
    assert next(number for number in found.replaced if number >= CHANGE) == CHANGE + 75 // DAYS
    assert found.closed >= 0.94


@pytest.mark.parametrize("days", [0, 30, 75])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_grows_all_the_time_is_followed_closely(seed: int, days: int) -> None:
    late = timedelta(days=days) if days else timedelta(hours=2)
    found = lived("steady growth", "regression", seed, late=late)
    assert found.closed >= 0.945


@pytest.mark.parametrize(("task", "seed"), [("regression", 0), ("regression", 3), ("binary", 2), ("multiclass", 3)])
def test_a_shock_that_is_over_before_its_labels_come_costs_little(task: str, seed: int) -> None:
    found = lived("one-window shock", task, seed, late=timedelta(days=75))
    # Its first labels are those of a flip, and are answered by a model that knows both worlds.
    assert found.loses_to_never(FIRST) <= 1.02


@pytest.mark.parametrize(("task", "seed"), WORLDS)
def test_while_labels_are_late_a_few_older_rows_insure_against_a_way_back(task: str, seed: int) -> None:
    shock = lived("one-window shock", task, seed, late=timedelta(days=30))
    flip = lived("flip of all", task, seed, late=timedelta(days=30))
    # Of 28 days of labels 26 are changed. Where the change is over, what serves next loses less than was lost in the
    # shock itself, which a model of the changed days alone loses again; where it stays, hardly more than the best.
    served = CHANGE + 2 - FIRST
    assert shock.ours[served] <= shock.never[CHANGE - FIRST]
    assert flip.ours[served] <= 1.01 * flip.best[served]

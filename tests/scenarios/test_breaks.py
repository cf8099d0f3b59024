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
    # The change's first day has labels 75 days later, its newest days are a third of the stretch that is looked at.
    first = CHANGE + 75 // DAYS
    assert first <= found.replaced[0] <= first + 1
    assert found.closed >= 0.85

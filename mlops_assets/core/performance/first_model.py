"""What a first model waits for where data are young: how many labelled rows, and until about when.

Here: the estimate and its sentence. Not here: whether there is enough (`world.model_data`,
`steps.decide.training_scope`), windows that can never hold enough (`training_needs`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.performance.training_needs import Labels, TrainingNeeds
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.stats.intervals import CannotJudge

_LONGEST = 36_525
"""Days that are looked ahead: a hundred years."""


def first_needs(labels: Labels, needs: TrainingNeeds, *, today: Any, settles: float) -> CannotJudge:
    """What is missing for a first model: rows to train on, and after them a window of labels to judge it on.

    Labels are taken to come on at the newest pace, each known after the delay of 95 % of them. What is told follows
    from the rows, so that the same rows read the same at the next tick; the clock only says whether they have stopped.

    Args:
        labels: those that are known.
        needs: what a training needs.
        today: local day of the model's clock.
        settles: days from the end of a window until it can be judged.
    """
    wanted = (
        f"a first model needs {counted(needs.to_train, 'labelled row')} to train on, and then "
        f"{counted(needs.gate_days, 'day')} with {needs.to_judge:,} more to be judged on"
    )
    if not len(labels):
        return CannotJudge(
            f"no label is known yet, and {wanted}", "Land rows with their labels; mlops up takes in what has landed."
        )
    so_far = f"{counted(len(labels), 'labelled row')} {'is' if len(labels) == 1 else 'are'} known, and {wanted}"
    settled = math.ceil(settles)
    stopped = labels.newest + settled + 2 < np.datetime64(today, "D")
    # What has been enough at some time is enough for a replay.
    by = _first_day(labels, needs, settled, since=labels.first if stopped else labels.newest + settled)
    if stopped and by is not None and by <= labels.newest + settled:
        return CannotJudge(
            f"{so_far}. That was by about {by}, but the newest label is of {labels.newest} and the newest "
            f"{counted(needs.gate_days, 'day')} are what a model is judged on",
            "Land the rows that came since; mlops replay tries the model on its history.",
        )
    if (never := needs.never(labels)) is not None:
        return CannotJudge(f"{so_far}, but {never.why}", never.remedy)
    pace = labels.figure(labels.pace(needs.gate_days))
    if by is None:
        return CannotJudge(
            f"{so_far}. At {pace} a day that takes more than a hundred years", "Land more, or lower training.min_rows."
        )
    if stopped:
        return CannotJudge(
            f"{so_far}. The newest label is of {labels.newest}", "Land the rows and labels that came since."
        )
    return CannotJudge(
        f"{so_far}. At {pace} a day it can be trained by about {by}",
        "Wait for labels, land more of the past, or lower training.min_rows and gate.window.",
    )


def _first_day(labels: Labels, needs: TrainingNeeds, settled: int, *, since: np.datetime64) -> np.datetime64 | None:
    """The first day of the clock, from one on, on which enough is known; None: none in a hundred years.

    Days are counted one by one: labels as they have come, and then at their pace.
    """
    known = np.bincount((labels.days - labels.first).astype(int)).astype(float)
    if (late := labels.spread) and late < len(known):
        # Of the newest days many labels are still to come.
        known[-late:] = np.maximum(known[-late:], labels.pace(needs.gate_days))
    behind = np.concatenate([[0.0], np.cumsum(known)])
    ahead = behind[-1] + labels.pace(needs.gate_days) * np.arange(1, _LONGEST)
    before = np.concatenate([behind, ahead])

    def counted_before(day: np.ndarray) -> np.ndarray:
        return np.interp(day, np.arange(len(before)), before)

    clock = np.arange(int((since - labels.first).astype(int)), len(before))
    start = clock - settled - needs.gate_days
    judged = counted_before(clock - settled) - counted_before(start)
    oldest = _oldest(labels, TrainingWindow.parse(needs.window), start)
    # Those are fitted on whose label is known when the judged days begin.
    fitted = counted_before(start - labels.delay) - counted_before(oldest)
    enough = np.flatnonzero((judged >= needs.to_judge) & (fitted >= needs.to_train))
    return labels.first + clock[enough[0]] if len(enough) else None


def _oldest(labels: Labels, window: TrainingWindow, start: np.ndarray) -> np.ndarray:
    """The first day, counted from that of the labels, that is trained on when the judged days begin."""
    if window.day is not None:
        return np.full_like(start, int((np.datetime64(window.day, "D") - labels.first).astype(int)))
    if window.is_rolling:
        return start - labels.delay - labels.inside(window, 1.0)
    return np.zeros_like(start)

"""What a challenger waits for: days of labels to be judged on, or rows before them to be trained on, until about when.

Here: the estimates and their sentences. Not here: whether there is enough (`world.model_data`,
`steps.decide.training_scope`), what a first model waits for (`first_model`).

All of it follows from the rows, so that the same rows read the same at the next tick.
"""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np

from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.stats.intervals import CannotJudge


def days_missing(
    days: Any, delays: Any, *, since: date, today: date, needed: int, to_judge: int, longest: float
) -> CannotJudge:
    """What is missing to judge on after the champion was fitted.

    Args:
        days: shape (n,), datetime64[D]: the local day of each event since then whose label is known.
        delays: shape (n,), days from each event to its label.
        since: the first local day that the champion was not fitted on.
        today: local day of the model's clock.
        needed: days that an interval needs.
        to_judge: labels that it needs (`retrain.min_matured_labels`).
        longest: days after which no label is waited for, where none is known yet.
    """
    days = np.asarray(days, dtype="datetime64[D]")
    there, rows, start = np.unique(days), len(days), np.datetime64(since, "D")
    delay = math.ceil(np.quantile(np.asarray(delays, dtype=float), 0.95)) if rows else math.ceil(longest)
    span = int((there[-1] - start).astype(int)) + 1 if rows else 0
    # Of sources that are silent on some days, more of the calendar goes by.
    wanted = max(needed, math.ceil(to_judge * len(there) / rows) if rows else needed)
    more = wanted - len(there)
    why = (
        f"{counted(len(there), 'day')} of labels, {counted(rows, 'label')} in all, are there to judge on since "
        f"{since} (up to then the champion was fitted), and {needed} days with {to_judge:,} are needed"
    )
    if more > 0:
        last = span + math.ceil(more * (span / len(there) if rows else 1))
        by = start + last + delay
        why += f": {counted(more, 'more day')}, by about {by}"
    else:
        by = start + wanted + delay
        why += f"; some of their labels are still to come, by about {by}"
    if by + 2 < np.datetime64(today, "D"):
        return CannotJudge(f"{why}, which is over", "Land the rows and labels that came since.")
    return CannotJudge(why, "Wait for labels, or lower retrain.min_matured_labels.")


def rows_missing(
    window: str, days: Any, delays: Any, *, known: int, start: date, end: date, min_rows: int
) -> CannotJudge:
    """What is missing to train on before the window that a challenger would be judged on.

    Args:
        window: `training.window`, settled.
        days: shape (n,), datetime64[D]: the local day of each event whose label is known now; the newest say the pace.
        delays: shape (n,), days from each event to its label.
        known: rows of the training window that were known before the judged window began.
        start: the first local day of the judged window.
        end: the day after its last.
        min_rows: rows that a training needs.
    """
    days = np.asarray(days, dtype="datetime64[D]")
    why = f"{counted(known, 'labelled row')} of the training window ({window}) were known before the days that a "
    why += f"challenger is judged on, which begin on {start}, and {min_rows:,} are needed to train"
    remedy = "Wait for labels, or lower training.min_rows."
    if not len(days):
        return CannotJudge(why, remedy)
    span = int((days.max() - days.min()).astype(int)) + 1
    pace, parsed = len(days) / span, TrainingWindow.parse(window)
    if parsed.is_rolling and parsed.length is not None and pace * parsed.length.days < min_rows:
        holds = f"{why}. At {pace:,.1f} a day the window holds about {pace * parsed.length.days:,.0f}"
        return CannotJudge(holds, "Lower training.min_rows, or name a longer training.window.")
    more = math.ceil((min_rows - known) / pace)
    if parsed.day is not None and not known:
        # It begins within the judged days: these have to begin later.
        delay = math.ceil(np.quantile(np.asarray(delays, dtype=float), 0.95))
        more += max(0, (parsed.day - start).days) + delay
    by = np.datetime64(end, "D") + more
    return CannotJudge(f"{why}: about {counted(more, 'more day')}, by about {by}", remedy)

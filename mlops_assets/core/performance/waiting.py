"""What a challenger waits for: days of labels to be judged on, or rows before them to be trained on, until about when.

Here: the estimates and their sentences. Not here: whether there is enough (`world.model_data`,
`steps.decide.training_scope`), what a first model waits for (`first_model`).

All of it follows from the rows, so that the same rows read the same at the next tick.
"""

from __future__ import annotations

import math
from datetime import date

import numpy as np

from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.performance.training_needs import Labels, TrainingNeeds
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.stats.intervals import CannotJudge


def days_missing(
    labels: Labels, needs: TrainingNeeds, *, recent: Labels, since: date, today: date, needed: int, longest: float
) -> CannotJudge:
    """What is missing to judge on after the champion was fitted.

    Args:
        labels: those of events since then.
        needs: what a training needs.
        recent: they and those of a judged window before, which say the pace.
        since: the first local day that the champion was not fitted on.
        today: local day of the model's clock.
        needed: days that an interval needs.
        longest: days after which no label is waited for, where none is known yet.
    """
    days, to_judge = labels.days, needs.to_judge
    there, rows, start = np.unique(days), len(days), np.datetime64(since, "D")
    delay = math.ceil(labels.delay if rows else longest)
    span = int((there[-1] - start).astype(int)) + 1 if rows else 0
    # Of sources that are silent on some days, more of the calendar goes by.
    wanted = max(needed, math.ceil(to_judge * len(there) / rows) if rows else needed)
    more = wanted - len(there)
    why = (
        f"{counted(len(there), 'day')} of labels, {counted(rows, 'label')} in all, are there to judge on since "
        f"{since} (up to then the champion was fitted), and {needed} days with {to_judge:,} are needed"
    )
    if len(recent) and (never := needs.never(recent)) is not None:
        return CannotJudge(f"{why}, but {never.why}", never.remedy)
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


def rows_missing(labels: Labels, needs: TrainingNeeds, *, known: int, start: date, end: date) -> CannotJudge:
    """What is missing to train on before the window that a challenger would be judged on.

    Args:
        labels: those that are known now; the newest say the pace.
        needs: what a training needs; nothing to judge on, which is there.
        known: rows of the training window that were known before the judged window began.
        start: the first local day of the judged window.
        end: the day after its last.
    """
    why = f"{counted(known, 'labelled row')} of the training window ({needs.window}) were known before the days that a "
    why += f"challenger is judged on, which begin on {start}, and {needs.to_train:,} are needed to train"
    remedy = "Wait for labels, or lower training.min_rows."
    if not len(labels):
        return CannotJudge(why, remedy)
    if (never := needs.never(labels)) is not None:
        return CannotJudge(f"{why}, but {never.why}", never.remedy)
    parsed = TrainingWindow.parse(needs.window)
    more = math.ceil((needs.to_train - known) / labels.pace(needs.gate_days))
    if parsed.day is not None and not known:
        # It begins within the judged days: these have to begin later.
        more += max(0, (parsed.day - start).days) + math.ceil(labels.delay)
    by = np.datetime64(end, "D") + more
    return CannotJudge(f"{why}: about {counted(more, 'more day')}, by about {by}", remedy)

"""What a first model waits for where data are young: how many labelled rows, and until about when.

Here: the estimate and its sentence. Not here: whether there is enough (`world.model_data`,
`steps.decide.training_scope`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlops_assets.core.stats.intervals import CannotJudge


def first_needs(
    days: Any, delays: Any, *, today: Any, to_train: int, to_judge: int, gate_days: int, fewest: int = 0
) -> CannotJudge:
    """What is missing for a first model: rows to train on, and after them a window of labels to judge it on.

    The pace is that of the labels so far: rows a day, each known after the delay of 95 % of them. What is told follows
    from the rows, so that the same rows read the same at the next tick; the clock only says whether they have stopped.

    Args:
        days: shape (n,), datetime64[D]: the local day of each event whose label is known.
        delays: shape (n,), days from each event to its label.
        today: local day of the model's clock.
        to_train: rows that a training needs (`training.min_rows`).
        to_judge: labels that the judged window needs (`retrain.min_matured_labels`, or `fewest`).
        gate_days: length of that window (`gate.window`).
        fewest: labels that it needs whatever the settings say.
    """
    days = np.asarray(days, dtype="datetime64[D]")
    wanted = (
        f"a first model needs {to_train:,} labelled rows to train on, and then {gate_days} days with {to_judge:,} more "
        "to be judged on"
    )
    if not len(days):
        return CannotJudge(
            f"no label is known yet, and {wanted}", "Land rows with their labels; mlops up takes in what has landed."
        )
    first, span = days.min(), int((days.max() - days.min()).astype(int)) + 1
    pace = len(days) / span
    so_far = f"{len(days):,} labelled rows are known, and {wanted}. At {_figure(pace)} a day"
    if pace * gate_days < to_judge:
        return CannotJudge(
            f"{so_far} {gate_days} days will hold about {pace * gate_days:,.0f}",
            "Lengthen gate.window, or lower retrain.min_matured_labels."
            if to_judge > fewest
            else "Lengthen gate.window.",
        )
    delay = float(np.quantile(np.asarray(delays, dtype=float), 0.95))
    # Labels to fit on are known before the judged window begins, and its own after it has ended.
    wait = math.ceil(to_train / pace + delay) + gate_days + math.ceil(delay)
    by, now = first + np.timedelta64(wait, "D"), np.datetime64(today, "D")
    if max(by, days.max() + np.timedelta64(math.ceil(delay) + 2, "D")) < now:
        return CannotJudge(
            f"{so_far} that was by about {by}, but the newest label is of {days.max()} and the newest {gate_days} days "
            "are what a model is judged on",
            "Land the rows that came since; mlops replay tries the model on its history.",
        )
    return CannotJudge(
        f"{so_far} it can be trained by about {by}",
        "Wait for labels, land more of the past, or lower training.min_rows and gate.window.",
    )


def _figure(pace: float) -> str:
    return f"{pace:,.0f}" if pace >= 10 else f"{pace:.1f}"

"""Have the labels moved: those of a window against those the champion was trained on.

Here: the comparison and its sentence. Not here: the statistics (`drift`), how the champion did
(`performance.window_metrics`), whether early labels mislead (`performance.label_maturity`).

A moved base rate is a fact about the world: a good model may have foreseen it. It says why precision, log loss and
average precision moved, and it is what a relation that changes under unchanged inputs shows first. Labels that are
known early are not a fair sample, so the share without one is said and an immature window has no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.grid import CategoryGrid, Grid, Kind
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.stats.intervals import Array, CannotJudge, block_interval
from mlops_assets.core.stats.metrics import Task

LABEL = "label"
_HEADS = {
    True: "The labels have moved",
    False: "The labels are distributed as in the reference",
    None: "No verdict yet",
}
REMEDY = "Wait until labels have come; nothing follows from this"


@dataclass(frozen=True)
class LabelDrift:
    """How far the labels of a window are from the reference's.

    Attributes:
        moved: whether the PSI is above the limit; None where the window is not mature, or no limit is agreed.
        psi: population stability index: ten groups of the reference's mass, or the classes.
        js: Jensen-Shannon distance, on the same groups.
        ks: Kolmogorov-Smirnov distance; None for classes.
        limit: of the PSI.
        what: what the next numbers are of: `mean`, `share of class 2`.
        reference: in the reference.
        value: in the window.
        lower: of its 95 % interval by blocks; None under eight blocks.
        upper: of it.
        n: labels known in the window.
        sentence: for people.
    """

    moved: bool | None
    psi: float
    js: float
    ks: float | None
    limit: float | None
    what: str
    reference: float
    value: float
    lower: float | None
    upper: float | None
    n: int
    sentence: str


def label_profile(labels: Any, task: Task) -> Profile:
    """The profile of the labels of a reference, on a grid laid over them.

    Raises:
        CannotJudge: fewer than 100 labels.
    """
    kind: Kind = "numeric" if task == "regression" else "categorical"
    rows = pd.DataFrame({LABEL: np.asarray(labels, dtype=np.float64)})
    return Profile.of(Grid.from_reference(rows, {LABEL: kind}), rows)


def label_drift(
    reference: Profile,
    mean: float,
    labels: Any,
    blocks: Any,
    *,
    task: Task,
    limit: float | None,
    share_unlabelled: float,
    mature: bool,
) -> LabelDrift:
    """Labels of a window against the reference.

    Args:
        reference: what `label_profile` returned.
        mean: of the reference's labels; not read for classes.
        labels: the known ones, shape (n,).
        blocks: the day of each, shape (n,).
        task: of the model.
        limit: of the PSI; None: no verdict.
        share_unlabelled: share of the window's rows without a label.
        mature: whether the window may be judged.

    Raises:
        CannotJudge: no label is known.
    """
    y: Array = np.asarray(labels, dtype=np.float64)
    if y.size == 0:
        raise CannotJudge("no label of the window is known", REMEDY)
    (drift,) = compare(reference, Profile.of(reference.grid, pd.DataFrame({LABEL: y})))
    if drift.psi is None or drift.js is None:
        raise CannotJudge(drift.why or "the labels cannot be compared", REMEDY)
    what, before, indicator = _statistic_of(reference, mean, y, task)
    value, lower, upper = float(indicator.mean()), None, None
    try:
        interval = block_interval(value, indicator - value, blocks, ordered=True)
        lower, upper = interval.lower, interval.upper
    except CannotJudge:
        between = " (no interval: under eight days)"
    else:
        between = f" (95 % interval by days {lower:.4g} to {upper:.4g})"
    moved = drift.psi > limit if mature and limit is not None else None
    text = f"{_HEADS[moved]}: their {what} is {value:.4g}{between}, {before:.4g} where the champion was trained; "
    text += f"PSI {drift.psi:.3g}{f' (limit {limit:g})' if limit is not None else ''}."
    if share_unlabelled > 0.0:
        text += f" {share_unlabelled:.1%} of the rows have no label yet, and those that come early are no fair sample."
    return LabelDrift(
        moved, drift.psi, drift.js, drift.ks, limit, what, before, value, lower, upper, int(y.size), text
    )  # fmt: skip


def _statistic_of(reference: Profile, mean: float, y: Array, task: Task) -> tuple[str, float, Array]:
    """What is told of the labels, its value in the reference, and for each row of the window."""
    if task == "regression":
        return "mean", mean, y
    grid = reference.grid.features[LABEL]
    counts = reference.counts[LABEL][:-1]
    classes = [float(c) for c in grid.categories] if isinstance(grid, CategoryGrid) else []
    shares = dict(zip(classes, (counts / counts.sum()).tolist(), strict=True))
    if task == "binary":
        return "rate", shares.get(1.0, 0.0), (y == 1.0).astype(np.float64)
    known = sorted({*shares, *np.unique(y).tolist()})
    moved = max(known, key=lambda c: (abs(float(np.mean(y == c)) - shares.get(c, 0.0)), -c))
    return f"share of class {moved:g}", shares.get(moved, 0.0), (y == moved).astype(np.float64)

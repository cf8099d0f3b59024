"""Drift that matters: what a window's drift does to the champion, and where it comes from.

Here: the shift of the mean prediction divided among the features, and drifted features grouped by their source.
Not here: how the features' weights changed (`importance`), the statistics (`drift`) and their levels
(`calibration`), how the champion performs (`performance.window_metrics`).

The division is exact. TreeSHAP (Lundberg et al. 2020) writes each raw score as the bias plus one contribution per
feature, so the difference of the mean contributions of window and reference adds up to the shift of the mean raw
score. It names the inputs through which predictions moved; it does not say that they moved wrongly, and it is blind
where the relation of inputs and label changes.

Twenty features that one broken feed has moved are one finding. A finding's source is the one whose features fit the
drifted ones best (Jaccard: drifted features that it feeds, of all that it feeds or that drifted); what it does not
explain goes to the next.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlops_assets.core.drift.calibration import Breach, Levels, breaches
from mlops_assets.core.drift.feature_drift import FeatureDrift
from mlops_assets.core.drift.importance import ImportanceDrift, importance_drift
from mlops_assets.core.drift.side_by_side import sampled

if TYPE_CHECKING:
    from mlops_assets.core.models.model import Model

_SAMPLE = 1_000
"""Rows of both sides that are explained: TreeSHAP takes 1 to 2 ms a row at 200 trees of depth 6."""
_SEED = 13


@dataclass(frozen=True)
class PredictionShift:
    """How far the mean raw score has moved, and through which features.

    Attributes:
        total: mean raw score of the window less that of the reference.
        reference: mean raw score of the reference.
        unit: of all of these: log-odds, or the label's unit.
        by_feature: feature -> its part of the total, the largest first; they add up to it.
        target: the class whose score moved most, in a multiclass model.
        n_reference: rows explained.
        n_current: rows explained.
        weights: how far the weights of the features have changed; None where no feature has any.
    """

    total: float
    reference: float
    unit: str
    by_feature: Mapping[str, float]
    target: int | None
    n_reference: int
    n_current: int
    weights: ImportanceDrift | None = None

    @property
    def sentence(self) -> str:
        """For people."""
        top = [f"{name} {part:+.3g}" for name, part in list(self.by_feature.items())[:3] if part]
        of = "" if self.target is None else f" of class {self.target}"
        head = f"The mean raw score{of} moved by {self.total:+.3g} ({self.unit})"
        return f"{head}, most through {', '.join(top)}." if top else f"{head}."


@dataclass(frozen=True)
class Finding:
    """Everything that one source has moved.

    Attributes:
        source: its name; None for features of no known source.
        features: those beyond their level, the worst first.
        statistic: the worst breach of them all ...
        feature: ... of this feature ...
        value: ... with this value ...
        level: ... where this was allowed.
        importance: share of the champion's gain that the drifted features hold.
        matters: importance times excess (value / level), summed over the features: findings are sorted by it.
        attribution: what these features added to the shift of the mean raw score; None where it is unknown.
        sentence: for people.
    """

    source: str | None
    features: tuple[str, ...]
    statistic: str
    feature: str
    value: float
    level: float
    importance: float
    matters: float
    attribution: float | None
    sentence: str


def prediction_shift(
    model: Model,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    sample: int = _SAMPLE,
    seed: int = _SEED,
    unweighed: Collection[str] = (),
) -> PredictionShift:
    """Divide the shift of the mean raw score among the features.

    Args:
        model: the champion.
        reference: rows that it was trained on.
        current: the window's rows. Infinite values are read as missing, as in a prediction.
        sample: rows of both together that are explained.
        seed: of the sample.
        unweighed: features whose weights are not compared.

    Raises:
        CannotJudge: fewer than 100 rows of the reference or 30 of the window.
        WrongColumns: a column of the model is missing.
    """
    left, right, _ = sampled(reference, current, model.recipe.columns, sample=sample, seed=seed)
    explained = [model.contributions(side) for side in (left, right)]
    before, after = (frame.to_numpy(dtype=np.float64).mean(axis=0) for frame in explained)
    names = list(model.recipe.names)
    width, target, unit = len(names) + 1, None, "log-odds"
    if model.recipe.task == "multiclass":
        target = int(np.argmax(np.abs((after - before).reshape(-1, width).sum(axis=1))))
        before, after = before.reshape(-1, width)[target], after.reshape(-1, width)[target]
    elif model.recipe.task == "regression":
        unit = "the label's unit"
    parts = dict(zip(names, (after - before)[:-1].tolist(), strict=True))
    ordered = dict(sorted(parts.items(), key=lambda item: (-abs(item[1]), item[0])))
    return PredictionShift(
        total=float((after - before).sum()),
        reference=float(before.sum()),
        unit=unit,
        by_feature=ordered,
        target=target,
        n_reference=len(explained[0]),
        n_current=len(explained[1]),
        weights=importance_drift(names, *explained, without=unweighed),
    )


def findings(
    drifts: Sequence[FeatureDrift],
    levels: Levels,
    *,
    importance: Mapping[str, float],
    sources: Mapping[str, Collection[str]],
    shift: PredictionShift | None = None,
) -> list[Finding]:
    """Drifted features as one finding per source, what matters most first.

    Args:
        drifts: what `drift.compare` returned.
        levels: of their statistics.
        importance: feature -> share of the champion's gain (`Model.importance`); other features count nothing.
        sources: feature -> names of the sources it is built from.
        shift: see `prediction_shift`.
    """
    worst = {drift.feature: ranked[0] for drift in drifts if (ranked := breaches(drift, levels))}
    groups = by_source(worst, [drift.feature for drift in drifts], sources)
    made = [
        _finding(source, [worst[name] for name in names], len(fed), importance, shift) for source, names, fed in groups
    ]
    return sorted(made, key=lambda finding: (-finding.matters, -finding.importance, finding.source or finding.feature))


def by_source(
    drifted: Collection[str], features: Sequence[str], sources: Mapping[str, Collection[str]]
) -> list[tuple[str | None, list[str], list[str]]]:
    """Drifted features by the source that explains them: source, drifted features, all features that it feeds.

    Features without a source stay alone, with None.
    """
    feeds: dict[str, set[str]] = {}
    for name in features:
        for source in sources.get(name, ()):
            feeds.setdefault(source, set()).add(name)
    left = set(drifted)
    groups: list[tuple[str | None, list[str], list[str]]] = []
    while left:
        fit = {source: len(fed & left) / len(fed | left) for source, fed in feeds.items()}
        best = min(fit, key=lambda source: (-fit[source], source), default=None)
        if best is None or fit[best] == 0.0:
            groups += [(None, [name], [name]) for name in sorted(left)]
            break
        groups.append((best, sorted(feeds[best] & left), sorted(feeds[best])))
        left -= feeds[best]
    return groups


def _finding(
    source: str | None,
    breached: Sequence[Breach],
    n_fed: int,
    importance: Mapping[str, float],
    shift: PredictionShift | None,
) -> Finding:
    ranked = sorted(breached, key=lambda b: (-importance.get(b.feature, 0.0) * b.excess, -b.excess, b.feature))
    worst = max(breached, key=lambda breach: breach.excess)
    held = sum(importance.get(breach.feature, 0.0) for breach in breached)
    parts = [shift.by_feature[breach.feature] for breach in breached if shift and breach.feature in shift.by_feature]
    attribution = float(sum(parts)) if parts else None
    whose = f"{source}: {len(breached)} of its {n_fed} features have moved" if source else f"{worst.feature} has moved"
    sentence = f"{whose}, most {worst.feature} ({worst.statistic} {worst.value:.3g}, level {worst.level:.3g})"
    sentence += f"; {held:.0%} of the champion's gain"
    if shift and attribution is not None:
        sentence += f"; they moved its mean raw score by {attribution:+.3g} of {shift.total:+.3g} ({shift.unit})"
    return Finding(
        source=source,
        features=tuple(breach.feature for breach in ranked),
        statistic=worst.statistic,
        feature=worst.feature,
        value=worst.value,
        level=worst.level,
        importance=float(held),
        matters=float(sum(importance.get(breach.feature, 0.0) * breach.excess for breach in breached)),
        attribution=attribution,
        sentence=f"{sentence}.",
    )

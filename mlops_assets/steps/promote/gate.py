"""Challenger, champion and baseline on the rows of the gate window.

Here: which rows, the challenger's scores of them, the comparisons that the gate's rules are applied to. Not here: the
rules (`core.promote.gate`), what follows from the verdict (`training`).

The window is judged part by part, going forward in time, as the probe judges: each part by the recipe fitted on the
events before it. A challenger fitted before the whole window would be judged as one that is a month old, and a change
inside the window, for which the probe asked for it, would be unknown to it. Newest days in which things changed are
judged in turns, as the probe looked at them. What is promoted is as fresh as that: the
recipe, fitted on all that is known now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.decide.folds import fold_windows, hardly_more, newest_folds
from mlops_assets.core.models.model import Model, fit
from mlops_assets.core.promote.gate import RuleResult, Verdict, verdict
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.core.stats.classes import stacked
from mlops_assets.core.stats.comparison import Paired, against_baseline, judge_slices, paired
from mlops_assets.core.stats.intervals import DAY, CannotJudge
from mlops_assets.core.time.windows import Window, microseconds, midnight
from mlops_assets.steps.predict.references import judged_scores
from mlops_assets.steps.promote.gate_limits import rules_on_rows
from mlops_assets.world.blocks import judged_blocks
from mlops_assets.world.columns import slice_columns
from mlops_assets.world.mlflow.registry import ModelVersion
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL, ModelData, TrainingSet
from mlops_assets.world.platform import POOLED, Platform, fitted_until


@dataclass(frozen=True, eq=False)
class Scored:
    """The gate window's labelled rows and what the challenger says of them.

    Attributes:
        rows: with features, oldest first.
        scores: of the challenger's recipe, shape (n,) or (n, k); each row by a fit on events before its part.
        models: hash of each part's model.
        known: `training_rows` by the clock: what ships is fitted on them.
        last: the newest part's model.
        last_rows: what that was fitted on.
    """

    rows: pd.DataFrame
    scores: np.ndarray
    models: tuple[str, ...]
    known: pd.DataFrame
    last: Model
    last_rows: pd.DataFrame


@dataclass(frozen=True)
class Comparison:
    """Challenger against champion and baseline on one set of rows."""

    verdict: Verdict
    champion: Paired | CannotJudge | None
    baseline: Paired | CannotJudge | None
    slices: dict[str, Paired | CannotJudge]
    metrics: dict[str, float]
    further: tuple[RuleResult, ...] = ()

    @property
    def gains(self) -> list[tuple[str, float, float, float]]:
        """Over whom, or in which slice; the gain, its lower and upper bound. What could not be judged is not there."""
        named = {"over the champion": self.champion, "over the baseline": self.baseline, **self.slices}
        return [(name, pair.gain, pair.lower, pair.upper) for name, pair in named.items() if isinstance(pair, Paired)]


def gate_rows(data: ModelData, gate: Window, *, as_of: datetime) -> pd.DataFrame:
    """The labelled rows of the gate window, with features."""
    rows = data.events(data.day(gate.start), data.day(gate.end), as_of=as_of)
    rows = rows[rows[LABEL].notna() & gate.contains(rows[EVENT_TIME])].reset_index(drop=True)
    return data.with_features(data.usual(rows))


def score(
    data: ModelData,
    challenger: Model,
    fitted: TrainingSet,
    gate: Window,
    *,
    as_of: datetime,
    newest: bool = False,
    in_turns: bool = False,
) -> Scored:
    """Score the gate window part by part (`probe.folds`); in one part where the judged model itself ships.

    The first part is the challenger's own where hardly a label has come in late since its training set was made.

    Args:
        data: the model's rows, in the training window that was settled on.
        challenger: fitted on `fitted`, which was known before the gate window.
        fitted: its training set.
        gate: the window.
        as_of: the clock; labels known by then are judged.
        newest: whether the window is the newest days, and the challenger was fitted on all that happened before them:
            they are one part.
        in_turns: whether these are judged in turns all the same, for no fit on what happened before knows what changed
            among them.
    """
    model = data.model
    rows = gate_rows(data, gate, as_of=as_of)
    if in_turns:
        return _in_turns(data, challenger, rows, gate, as_of=as_of)
    if newest or model.gate.ship == "judged":
        known = data.training_rows(known_by=as_of) if newest else fitted.frame
        return Scored(rows, challenger.predict(rows), (challenger.sha256,), known, challenger, fitted.frame)
    # A rolling window moves on with the parts: what they are fitted on begins where the first one's does.
    all_rows = _since(data, fitted.known_by).extended(fitted.frame, since=fitted.known_by, known_by=as_of)
    known = all_rows[_trained_on(all_rows, data, as_of, data.training_start(as_of))].reset_index(drop=True)
    first = data.training_start(fitted.known_by)
    seen = np.flatnonzero(
        _trained_on(all_rows, data, fitted.known_by, first) & (all_rows[AVAILABLE_AT] < fitted.known_by)
    )
    made, made_of, scores, models = challenger, fitted.frame, list[np.ndarray](), list[str]()
    windows = round((gate.end - gate.start) / model.retrain_policy.window)
    for part in fold_windows(gate, max(model.probe.folds, windows), model.timezone):
        judged = rows[part.contains(rows[EVENT_TIME])]
        if judged.empty:
            # All its days lie in an excluded event.
            continue
        until = part.start - model.probe.gap
        before = np.flatnonzero(_trained_on(all_rows, data, until, data.window_start(until)))
        if not hardly_more(before, seen):
            made_of = all_rows.iloc[before]
            made, seen = fit(challenger.recipe, made_of, made_of[LABEL].to_numpy(), base=challenger), before
        scores.append(made.predict(judged))
        models.append(made.sha256)
    return Scored(rows, stacked(scores), tuple(models), known, made, made_of)


def _in_turns(data: ModelData, challenger: Model, rows: pd.DataFrame, newest: Window, *, as_of: datetime) -> Scored:
    """Score newest days in turns: each part by the challenger's recipe fitted on all other rows up to their end."""
    known, gap = data.training_rows(known_by=as_of), data.model.probe.gap
    times = pd.DatetimeIndex(known[EVENT_TIME]).as_unit("us").asi8
    made, made_of, scores, models = challenger, known, list[np.ndarray](), list[str]()
    for fold in newest_folds(newest, in_turns=True, timezone=data.model.timezone):
        judged = rows[fold.judged.contains(rows[EVENT_TIME])]
        if judged.empty:
            continue
        made_of = known[fold.outside(times, gap) & (times < microseconds(fold.before(gap)))]
        made = fit(challenger.recipe, made_of, made_of[LABEL].to_numpy(), base=challenger)
        scores.append(made.predict(judged))
        models.append(made.sha256)
    return Scored(rows, stacked(scores), tuple(models), known, made, made_of)


def _since(data: ModelData, end: datetime) -> ModelData:
    """The same rows from where the training window begins that ends at a moment, however late they are asked for."""
    start = data.training_start(end)
    if start is None:
        return data
    training = replace(data.model.training, window=f"since: {start}")
    return replace(data, model=data.model.model_copy(update={"training": training}))


def _trained_on(rows: pd.DataFrame, data: ModelData, until: datetime, start: date | None) -> np.ndarray:
    """Which rows happened before a moment, from the first day of a training window on."""
    use = rows[EVENT_TIME] < pd.Timestamp(until)
    if start is not None:
        use &= rows[EVENT_TIME] >= pd.Timestamp(midnight(start, data.model.timezone))
    return use.to_numpy()


def compare(
    platform: Platform,
    model: ModelSettings,
    scored: Scored,
    fit_labels: pd.Series,
    *,
    lag_one: float | None = None,
    confidence: float | None = None,
    unjudged: CannotJudge | None = None,
) -> Comparison:
    """The gate's comparison; the policy's rules on it, without those of what ships.

    Args:
        platform: of the home.
        model: its settings.
        scored: the gate's rows and the challenger's scores.
        fit_labels: what guessing knows.
        lag_one: how alike neighbouring days are, where the probe has measured it.
        confidence: of the interval of the gain over the champion, by default the agreed one.
        unjudged: why these rows say nothing about the champion, such as that it was fitted on them; None where they do.
    """
    known = platform.registry.champion(model.name)
    rows, scores, opponent = scored.rows, scored.scores, None
    if known is not None and isinstance(model, MemberSettings) and unjudged is None and _is_seen(known, rows):
        keys = [*platform.data(model).keys, EVENT_TIME]
        places, opponent = judged_scores(platform.lake, model.pool, int(known.tags[POOLED]), rows, keys=keys)
        rows, scores = rows.iloc[places].reset_index(drop=True), scores[places]
    y = rows[LABEL].to_numpy()
    blocks, by = judged_blocks(model, rows)
    base = against_baseline(fit_labels, len(rows), model.task)
    # Guessing is one score for all: a model that beats it on few days does not do so by a week of weather.
    baseline = _paired_or_why(model, y, base, scores, blocks, by, 0.0)
    against: Paired | CannotJudge | None = unjudged
    slices: dict[str, Paired | CannotJudge] = {}
    if known is not None and unjudged is None:
        if opponent is None:
            opponent = platform.registry.load(model.name, known.version).predict(rows)
        against = _paired_or_why(model, y, opponent, scores, blocks, by, lag_one if by == DAY else None, confidence)
    columns = {name: rows[name] for name in slice_columns(model, rows)}
    if columns and opponent is not None:
        slices = judge_slices(
            columns,
            lambda of: _paired(model, y[of], opponent[of], scores[of], np.asarray(blocks)[of], by),
            min_rows=model.gate.slice_min_rows,
        )
    metrics = {
        f"gate_{label}": value
        for comparison, opponent_name in ((against, "champion"), (baseline, "baseline"))
        if isinstance(comparison, Paired)
        for label, value in {
            "challenger": comparison.challenger,
            opponent_name: comparison.champion,
            f"gain_over_{opponent_name}": comparison.gain,
            f"gain_over_{opponent_name}_lower": comparison.lower,
        }.items()
    }
    further = tuple(rules_on_rows(model, rows, scores, opponent))
    judged = verdict(model.gate, against, slices=slices, baseline=baseline, further=further)
    return Comparison(judged, against, baseline, slices, metrics, further)


def _is_seen(champion: ModelVersion, rows: pd.DataFrame) -> bool:
    """Whether the pool's champion was fitted on the rows of the gate, so that its judged twin speaks for it."""
    until = fitted_until(champion)
    if POOLED not in champion.tags or until is None:
        return False
    # Of late labels a few may have been known; of the window that its twin was judged on almost all were.
    return bool((rows[AVAILABLE_AT] < pd.Timestamp(until)).mean() > 0.5)


def _paired_or_why(model: ModelSettings, y: np.ndarray, *compared: Any) -> Paired | CannotJudge:
    try:
        return _paired(model, y, *compared)
    except CannotJudge as why:
        return why


def _paired(
    model: ModelSettings,
    y: np.ndarray,
    champion: Any,
    challenger: Any,
    blocks: Any,
    by: str,
    lag_one: float | None = None,
    confidence: float | None = None,
) -> Paired:
    """The comparison by what the model's gate says."""
    return paired(
        y,
        champion,
        challenger,
        blocks,
        model.metric,
        confidence=confidence or model.gate.confidence,
        by=by,
        lag_one=lag_one,
    )

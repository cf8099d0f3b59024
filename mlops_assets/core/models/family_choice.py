"""Which kind of model: each is tried on the newest days of the training set, going forward in time.

Here: the trial of several families, the choice, and the search that follows it. Not here: that search (`training`), the
gate, which judges what came of it on days that are newer still (`gate`), which rows to train on (`probe`).

The newest days are judged part by part (prequential evaluation, Dawid 1984): a family is tuned on the days before all
of them, and before each part its recipe is fitted again on what was known by then. No row is both fitted on and
judged, all families are judged on the same rows, and none of these rows are the gate's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd

from mlops_assets.core.models.families import FAMILIES, GOING_ON, family_called
from mlops_assets.core.models.matrix import CannotTrain, FeatureColumn, TransformerFault, check_labels
from mlops_assets.core.models.model import AVAILABLE_AT, Model, fit
from mlops_assets.core.models.recipe import CONTINUED, Base, Recipe
from mlops_assets.core.models.time_splits import days_of, newest_days
from mlops_assets.core.models.training import Goal, LabelledRows, Tuned, tune
from mlops_assets.core.models.training_settings import FLOORS
from mlops_assets.core.stats.classes import class_count, stacked
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import Metric, Task
from mlops_assets.core.stats.metrics import metric as metric_called

_PARTS = 4
"""Parts that the newest days are judged in."""
ROWS = 100_000
"""Most rows of a backtest, a seeded sample of all: enough to tell families apart, and its cost stays the same."""
CONTINUED_ROUNDS = {"xgboost": 10}
"""Rounds that are added to a champion: a few trees, or one pass over the rows that are new."""


@dataclass(frozen=True)
class Tried:
    """How one family did.

    Attributes:
        family: its name.
        score: the metric on all judged rows; None where it could not be fitted or judged.
        parts: the metric part by part, NaN where it is undefined.
        why_not: why there is no score.
    """

    family: str
    score: float | None
    parts: tuple[float, ...] = ()
    why_not: str = ""


@dataclass(frozen=True)
class Champion:
    """The model in production, and the moment before which all its labels were known."""

    model: Model
    fitted_until: datetime


@dataclass(frozen=True)
class Chosen:
    """The family of the challenger, and all that were tried, in order; none where there was no choice."""

    family: str
    tried: tuple[Tried, ...] = ()


def find(rows: LabelledRows, goal: Goal, champion: Champion | None = None) -> tuple[Tuned, Chosen]:
    """Choose the family, then search for its recipe on all rows.

    A family that goes on from the champion searches nothing: it takes the champion's recipe, for a few rounds more.

    Raises:
        CannotTrain: see `training.tune`; or no family could be fitted.
    """
    chosen = choose(rows, goal, champion)
    if chosen.family in GOING_ON and champion is not None:
        return _continued(champion, chosen, goal, len(rows.frame)), chosen
    known = champion.model.recipe if champion else None
    return tune(rows, goal, family=chosen.family, champion=known), chosen


def choose(rows: LabelledRows, goal: Goal, champion: Champion | None = None) -> Chosen:
    """The family that did best on the newest days; with equal scores the one that is named first.

    Errors: as of `find`.
    """
    settings = goal.settings
    first, *others = settings.families
    if settings.floor is not None and not others:
        others = [name for name in FAMILIES if name not in (first, *GOING_ON)]
    if first not in GOING_ON and not others:
        return Chosen(first)
    labels = check_labels(rows.y, goal.task, rows=len(rows.frame))
    going_on = [name for name in (first, *others) if name in GOING_ON]
    cannot = {name: _cannot_continue(name, champion, goal.columns, goal.task, labels) for name in going_on}
    if not others and cannot[first]:
        return Chosen(first.removesuffix(CONTINUED), (Tried(first, None, why_not=cannot[first]),))
    idle: list[Tried] = []
    if all(cannot.get(name) for name in (first, *others)):
        # Each is trained anew, as one alone is. Where one can go on, it does: a search each time is what it saves.
        idle = [Tried(name, None, why_not=why) for name, why in cannot.items()]
        first, *others = (name.removesuffix(CONTINUED) for name in (first, *others))
    judge = metric_called(goal.metric)
    days = days_of(rows.event_time, len(rows.frame))
    some = _sample(len(rows.frame), settings.seed)
    trial = _Backtest(rows.frame.iloc[some].reset_index(drop=True), labels[some], days[some], goal, judge)
    tried = [*idle, trial.of(first, cannot.get(first, ""))]
    if not _reaches(tried[-1], settings.floor, judge):
        tried += [trial.of(name, cannot.get(name, "")) for name in others]
    judged = [attempt for attempt in tried if attempt.score is not None]
    if not judged:
        raise CannotTrain(
            "no family could be tried: " + "; ".join(f"{attempt.family}: {attempt.why_not}" for attempt in tried),
            "Name one family under training.families, or widen training.window.",
        )
    sign = 1.0 if judge.greater_is_better else -1.0
    return Chosen(max(judged, key=lambda attempt: sign * (attempt.score or 0.0)).family, tuple(tried))


def continuation(base: Model, until: datetime, device: str = "cpu") -> Recipe:
    """The recipe of a few more rounds, fitted on a device, upon a model that knew the labels from before `until`."""
    family = base.recipe.family.removesuffix(CONTINUED)
    known = Base(hashlib.sha256(base.kept).hexdigest(), base.fitted.rounds, until.isoformat())
    rounds, on = CONTINUED_ROUNDS.get(family, 1), device if family_called(family).on_gpu else "cpu"
    return replace(base.recipe, family=family + CONTINUED, rounds=rounds, base=known, device=on)


def _cannot_continue(
    family: str, champion: Champion | None, columns: Sequence[FeatureColumn], task: Task, labels: np.ndarray
) -> str:
    """Why there is nothing to go on from; empty where there is."""
    if champion is None:
        return "there is no champion to go on from yet"
    recipe = champion.model.recipe
    origin = family.removesuffix(CONTINUED)
    if recipe.family not in (origin, family) or recipe.task != task:
        return f"the champion ({recipe.family}, {recipe.task}) is no {origin} of this task"
    if recipe.transformer is not None:
        return "the champion has a transformer, which is fitted anew with each model"
    if not set(recipe.columns) <= set(columns):
        return "the champion has features that are no longer there"
    if task == "multiclass" and class_count(labels) > recipe.classes:
        return f"the champion knows {recipe.classes} classes, and class {class_count(labels) - 1} has come since"
    return ""


def _continued(champion: Champion, chosen: Chosen, goal: Goal, rows: int) -> Tuned:
    """What a search would have returned: the champion's recipe, a few rounds more, with its score in the backtest."""
    recipe = continuation(champion.model, champion.fitted_until, goal.settings.device)
    (score,) = (tried.score for tried in chosen.tried if tried.family == recipe.family and tried.score is not None)
    trial = {"trial": 0, "batch": 0, "state": "complete", "score": score, "rounds": recipe.rounds, "seconds": 0.0}
    return Tuned(
        recipe=recipe,
        trials=pd.DataFrame([trial]),
        validation_score=score,
        curve=pd.DataFrame({"trial": [0], "round": [recipe.rounds], "value": [score]}),
        best_trial=0,
        curve_metric=goal.metric,
        dropped=(),
        validation_from=pd.Timestamp(champion.fitted_until),
        fit_rows=rows,
        validation_rows=0,
    )


def _sample(total: int, seed: int) -> np.ndarray:
    if total <= ROWS:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, ROWS, replace=False))


def _reaches(tried: Tried, floor: float | str | None, judge: Metric) -> bool:
    if floor is None or tried.score is None:
        return False
    limit = FLOORS[judge.name] if isinstance(floor, str) else floor
    return tried.score >= limit if judge.greater_is_better else tried.score <= limit


@dataclass(frozen=True, eq=False)
class _Backtest:
    """The rows of a backtest."""

    frame: pd.DataFrame
    labels: np.ndarray
    days: np.ndarray
    goal: Goal
    judge: Metric

    def of(self, family: str, cannot_continue: str) -> Tried:
        """Try one family."""
        if cannot_continue:
            return Tried(family, None, why_not=cannot_continue)
        judged = np.flatnonzero(self.days >= newest_days(self.days, self.goal.settings.validation_share))
        try:
            recipe, base = self._start(family, self.days[judged].min())
            parts = [np.isin(self.days, part) for part in np.array_split(np.unique(self.days[judged]), _PARTS)]
            scores = [self._scored(recipe, part, base) for part in parts if part.any()]
            values = tuple(self._value(self.labels[part], preds) for part, preds in zip(parts, scores, strict=False))
            order = np.concatenate([np.flatnonzero(part) for part in parts])
            score = self.judge.score(self.labels[order], stacked(scores))
        except TransformerFault:
            # It stands before every family: no other one helps.
            raise
        except (CannotTrain, CannotJudge) as why:
            return Tried(family, None, why_not=str(why))
        return Tried(family, float(score), values)

    def _start(self, family: str, first: np.datetime64) -> tuple[Recipe, Model | None]:
        """A recipe from before the judged days, and what it goes on from: never the champion, which may know them."""
        rows = self._known_before(first)
        if family not in GOING_ON:
            return self._tuned(family, rows), None
        base = self._fitted(self._tuned(family.removesuffix(CONTINUED), rows), rows, None)
        until = pd.Timestamp(first, tz="UTC").to_pydatetime()
        return continuation(base, until, self.goal.settings.device), base

    def _tuned(self, family: str, rows: np.ndarray) -> Recipe:
        """A recipe after one batch of trials on rows older than all that are judged."""
        quick = self.goal.settings.for_choosing
        older = LabelledRows(self.frame.iloc[rows].reset_index(drop=True), self.labels[rows], self.days[rows])
        return tune(older, replace(self.goal, settings=quick), family=family).recipe

    def _scored(self, recipe: Recipe, part: np.ndarray, base: Model | None) -> np.ndarray:
        made = self._fitted(recipe, self._known_before(self.days[part].min()), base)
        return made.predict(self.frame[part])

    def _fitted(self, recipe: Recipe, rows: np.ndarray, base: Model | None) -> Model:
        return fit(recipe, self.frame.iloc[rows], self.labels[rows], base=base)

    def _known_before(self, day: np.datetime64) -> np.ndarray:
        """Positions of the rows that had happened and whose label was known before a day (UTC)."""
        known = self.days < day
        # A frame that does not say is read as if labels came at once.
        if AVAILABLE_AT in self.frame.columns:
            at = pd.DatetimeIndex(pd.to_datetime(self.frame[AVAILABLE_AT], utc=True))
            known &= np.asarray(at < pd.Timestamp(day, tz="UTC"))
        return np.flatnonzero(known)

    def _value(self, labels: np.ndarray, scores: np.ndarray) -> float:
        try:
            return float(self.judge.score(labels, scores))
        except CannotJudge:
            return float("nan")

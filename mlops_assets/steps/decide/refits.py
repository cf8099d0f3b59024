"""The fits of a look: candidates by calendar, and the champion's twin.

Here: which rows a candidate is fitted on, the fits, and what they say of the judged rows. Not here: which windows are
looked at (`probe`), what their gains add up to (`core.decide.probe`), the training that ships (`promote.training`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.decide.folds import MIN_FIT, Fold, hardly_more
from mlops_assets.core.models.cores import cores
from mlops_assets.core.models.families import family_called
from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.core.models.refit_rows import Calendar
from mlops_assets.core.models.training import CannotTrain, check_trainable
from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.windows import microseconds, midnight
from mlops_assets.steps.decide.looks import fitted_at, window_length
from mlops_assets.world.mlflow.registry import ModelVersion
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL, ModelData

TRAINING_WINDOW = "training_window"
"""Tag of a version: the window of its training rows."""
PARENT = "parent"
"""Tag of a version that went on from another: that one."""
LAST_EVENT = "last_event"
"""Tag of a version: when the newest row happened that it was fitted on. Labels of later ones may have been known."""


class Refits:
    """Fits of a look: candidates by calendar and part, and the champion's twin.

    Args:
        data: the model's rows.
        model: its settings.
        recipe: how candidates are made.
        kept: the champion, where there is one.
        champion: its version.
        at: the clock.
    """

    def __init__(
        self,
        data: ModelData,
        model: ModelSettings,
        recipe: Recipe,
        kept: Model | None,
        champion: ModelVersion | None,
        *,
        at: datetime,
    ) -> None:
        self.data, self.model, self.kept = data, model, kept
        self.recipe = replace(recipe, rounds=min(recipe.rounds, model.probe.rounds))
        self.known = data.labelled(known_by=at)
        self.own = own = _own_rows(self.known, champion, model.timezone) if champion else None
        rng = np.random.default_rng(model.training.seed)
        # Each row has one seeded rank for all candidates, so that they share most of what is joined.
        self.rank = rng.permutation(len(self.known))
        self.draws = _draws(self.known)
        self.times = pd.DatetimeIndex(self.known[EVENT_TIME]).as_unit("us").asi8
        self.until = midnight(data.day(self.known[EVENT_TIME].iloc[-1]) + timedelta(days=1), model.timezone)
        self.twin = own is not None and (len(own) > model.probe.rows or self.recipe.rounds < recipe.rounds)

    def trainable(self, of: str, *, before: datetime) -> bool:
        """Whether a training by a calendar could succeed now, and its challenger be fitted on what happened before.

        What cannot be trained is not held against the champion either: its gain could not be had.
        """
        calendar, settings = Calendar.parse(of), self.model.training
        start = calendar.start(
            before=self.until, end=self.until, length=window_length(self.model), timezone=self.model.timezone
        )
        ships = np.ones(len(self.times), dtype=bool) if start is None else self.times >= microseconds(start)
        rows = self.known[ships & (self.times < microseconds(before))]
        try:
            check_trainable(rows[LABEL], rows[EVENT_TIME], self.model.task, settings)
        except CannotTrain:
            return False
        return int(ships.sum()) >= settings.min_rows

    def scores(
        self, judged: pd.DataFrame, parts: Sequence[Sequence[Fold]], refits: Sequence[Sequence[str]]
    ) -> tuple[list[dict[str, np.ndarray]], np.ndarray | None]:
        """Scores of the judged rows, for each part by candidate, and the twin's.

        Args:
            judged: labelled rows with features.
            parts: of the window: their folds.
            refits: the calendars that are tried on each part.
        """
        wanted = {
            (part, fold, f"refit:{of}"): where
            for part, folds in enumerate(parts)
            for fold in folds
            for of in refits[part]
            if len(where := self._rows(of, fold)) >= MIN_FIT
        }
        # Where the champion was fitted on more rows than a sample holds, or in more rounds than candidates get, its
        # twin is made as cheaply and nobody looks worse for it; beside the champion itself all would.
        mine = self._sampled(self.own) if self.twin and self.own is not None else None
        fits = [*wanted.values(), *([mine] if mine is not None else [])]
        if not fits:
            return [{} for _ in parts], None
        used = np.unique(np.concatenate(fits))
        features = self.data.with_features(self.known.iloc[used].reset_index(drop=True))
        place = np.full(len(self.known), -1)
        place[used] = np.arange(len(used))
        inside = {fold: np.flatnonzero(fold.judged.contains(judged[EVENT_TIME])) for _, fold, _ in wanted}

        def scored(task: tuple[Fold | None, bytes]) -> np.ndarray | None:
            fold, where = task
            rows = judged if fold is None else judged.iloc[inside[fold]]
            return self._made(features, place, np.frombuffer(where, dtype=np.int64), rows)

        # While history is short, several calendars hold the same rows: they are fitted once.
        tasks: dict[tuple[Fold | None, bytes], None] = {
            (fold, where.tobytes()): None for (_, fold, _), where in wanted.items()
        }
        if mine is not None:
            tasks[None, mine.tobytes()] = None
        with ThreadPoolExecutor(cores()) as pool:
            scores_by_task = dict(zip(tasks, pool.map(scored, tasks), strict=True))
        out: list[dict[str, np.ndarray]] = [{} for _ in parts]
        for (part, fold, name), where in wanted.items():
            values = scores_by_task[fold, where.tobytes()]
            if values is not None:
                of_all = out[part].setdefault(name, np.full((len(judged), *values.shape[1:]), np.nan))
                of_all[inside[fold]] = values
        return out, scores_by_task[None, mine.tobytes()] if mine is not None else None

    def _made(self, features: pd.DataFrame, place: np.ndarray, where: np.ndarray, rows: pd.DataFrame) -> Any:
        """Scores of some rows by the recipe fitted on others; None where those allow no model."""
        own = self.own
        if self.kept is not None and own is not None and self.recipe == self.kept.recipe and hardly_more(where, own):
            return self.kept.predict(rows)
        fit_rows = features.iloc[place[where]]
        followed = family_called(self.recipe.family).cheaper(self.recipe) if self.twin else self.recipe.on_cpu
        try:
            made: Model = fit(followed, fit_rows, fit_rows[LABEL].to_numpy(), base=self.kept)
        except CannotTrain:
            # One class only, say: this candidate has no say here.
            return None
        return made.predict(rows)

    def _rows(self, of: str, fold: Fold) -> np.ndarray:
        """Positions of the rows that a calendar is fitted on to judge a fold, or a sample of them."""
        calendar, length, gap = Calendar.parse(of), window_length(self.model), self.model.probe.gap
        before = fold.before(gap)
        start = calendar.start(before=before, end=fold.end, length=length, timezone=self.model.timezone)
        chosen = calendar.chosen(
            self.times,
            self.draws,
            start=None if start is None else microseconds(start),
            before=microseconds(before),
            length=length // timedelta(microseconds=1),
        )
        return self._sampled(np.flatnonzero(chosen & fold.outside(self.times, gap)))

    def _sampled(self, where: np.ndarray) -> np.ndarray:
        """At most so many of some positions, those of the lowest rank."""
        most = self.model.probe.rows
        if len(where) <= most:
            return where
        return np.sort(where[np.argpartition(self.rank[where], most)[:most]])


def _draws(known: pd.DataFrame) -> np.ndarray:
    """A uniform number of each row, the same whenever it is drawn: by what the row is, not by where it stands."""
    hashed = pd.util.hash_pandas_object(known[[EVENT_TIME, LABEL]], index=False).to_numpy()
    # Rows of one moment with the same label differ by their place among those.
    place = known.groupby([EVENT_TIME, LABEL]).cumcount().to_numpy().astype(np.uint64)
    mixed = hashed ^ (place * np.uint64(0x9E3779B97F4A7C15))
    return (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def _own_rows(known: pd.DataFrame, champion: ModelVersion, timezone: str) -> np.ndarray:
    """Positions of the rows that the champion was fitted on, among those known now."""
    since = fitted_at(champion)
    use = known[AVAILABLE_AT] < pd.Timestamp(since)
    oldest = TrainingWindow.parse(champion.tags.get(TRAINING_WINDOW, "expanding")).first(since, timezone)
    if oldest is not None:
        use &= known[EVENT_TIME] >= pd.Timestamp(oldest)
    if LAST_EVENT in champion.tags:
        use &= known[EVENT_TIME] <= pd.Timestamp(champion.tags[LAST_EVENT])
    return np.flatnonzero(use)

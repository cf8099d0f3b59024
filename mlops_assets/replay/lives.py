"""The two lives a platform is measured against: never retrained, and retrained at every period without a gate.

Here: training and keeping the `always` model, and scoring all three lives on the same rows. Not here: the platform's
own life (`driver`). Nothing here is ever registered, and no decision reads it.

`always` takes the challenger that the platform trained, or would have trained, on the same training set at the same
moment: a training that the platform did serves both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.core.judging import CannotJudge
from mlops_assets.core.metrics import metric
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.training import CannotTrain, Model, Recipe
from mlops_assets.core.windows import Window
from mlops_assets.resources.atomic import write_bytes, write_text
from mlops_assets.resources.model_data import EVENT_TIME, LABEL, ModelData, TrainingSet
from mlops_assets.resources.monitoring_steps import score_matrix
from mlops_assets.resources.platform import Platform, fitted_until
from mlops_assets.resources.prediction_steps import read_scores
from mlops_assets.resources.training_steps import refit, search


@dataclass(frozen=True)
class Lives:
    """The lives beside the platform's own, kept in a folder of the replay's home.

    Attributes:
        platform: of the replay's home.
        model: what is replayed.
        folder: model files and who scored which period.
        trained_at: when the first champion was trained; it is the static life.
    """

    platform: Platform
    model: ModelSettings
    folder: Path
    trained_at: datetime

    def enter(self, period: Window, *, champion: int) -> None:
        """Write down who scores the period: all three lives begin with the first champion."""
        first = self._file("static")
        if not first.exists():
            content = self.platform.registry.load(self.model.name, champion).to_bytes()
            write_bytes(first, content)
            write_bytes(self._file("always"), content)
        record = self._record()
        record.setdefault(period.end.isoformat(), {"champion_version": champion})
        write_text(self.folder / "scored_by.json", json.dumps(record, indent=1))
        always = self._file(f"always-{period.end:%Y%m%d}")
        if not always.exists():
            write_bytes(always, self._file("always").read_bytes())

    def leave(self, period: Window) -> None:
        """The end of the period: train the always life's next model on all that is known now."""
        model = self._next(period.end)
        if model is not None:
            write_bytes(self._file("always"), model.to_bytes())

    def scores(self, periods: list[Window], *, as_of: datetime) -> dict[str, dict[str, Any]]:
        """Each life's metric on the labelled rows of each period, by the period's end."""
        record = self._record()
        static = Model.from_bytes(self._file("static").read_bytes())
        return {
            period.end.isoformat(): self._score(period, static, record[period.end.isoformat()], as_of)
            for period in periods
        }

    def _score(self, period: Window, static: Model, record: dict[str, Any], as_of: datetime) -> dict[str, Any]:
        start, end = (moment.astimezone(self.model.zone).date() for moment in (period.start, period.end))
        data = self.platform.data(self.model)
        rows = read_scores(self.platform, self.model, start, end)
        identity = [*data.keys, EVENT_TIME]
        labels = data.events(start, end, as_of=as_of)[[*identity, LABEL]]
        rows = rows.merge(labels, on=identity, how="left", validate="one_to_one")
        known = rows[rows[LABEL].notna()]
        y = known[LABEL].to_numpy()
        always = Model.from_bytes(self._file(f"always-{period.end:%Y%m%d}").read_bytes())
        return {
            "rows": len(rows),
            "labelled_rows": len(known),
            "label_mean": float(y.mean()) if len(known) else None,
            "static": self._metric(y, static.predict(known)),
            "auto": self._metric(y, score_matrix(known)),
            "always": self._metric(y, always.predict(known)),
            "champion_version": record["champion_version"],
        }

    def _metric(self, y: np.ndarray, scores: np.ndarray) -> float | None:
        try:
            return float(metric(self.model.metric).score(y, scores))
        except CannotJudge:
            # A period without labels, or of one class, has no value; the report says so.
            return None

    def _next(self, now: datetime) -> Model | None:
        """What retraining without a gate would ship at `now`; None where nothing could be trained."""
        shipped = self._platforms_own(now)
        if shipped is not None:
            return shipped
        data = self.platform.data(self.model)
        try:
            recipe, training = self._trained_now(data, now) or self._train(data, now)
            return refit(data, recipe, training, as_of=now)[0]
        except (CannotJudge, CannotTrain):
            return None

    def _train(self, data: ModelData, now: datetime) -> tuple[Recipe, TrainingSet]:
        """What the platform would have trained at `now`."""
        champion = self.platform.registry.champion(self.model.name)
        gate = data.gate_window(as_of=now, not_before=fitted_until(champion))
        training = data.training_set(known_by=gate.start)
        return search(self.model, data, training).recipe, training

    def _trained_now(self, data: ModelData, now: datetime) -> tuple[Recipe, TrainingSet] | None:
        """What the platform searched for and on which rows at this very moment, if it did."""
        if not self.platform.record_file(self.model.name, "challenger").exists():
            return None
        prepared, trained = (self.platform.record(self.model.name, name) for name in ("training_set", "challenger"))
        if trained["as_of"] != now.isoformat() or trained["training_set"] != prepared["sha256"]:
            return None
        training = data.load(prepared["sha256"], datetime.fromisoformat(prepared["known_by"]))
        return Recipe.from_json(trained["recipe"]), training

    def _platforms_own(self, now: datetime) -> Model | None:
        """The model that the platform refitted and promoted at this very moment, if it did."""
        champion = self.platform.registry.champion(self.model.name)
        if champion is None or fitted_until(champion) != now or now == self.trained_at:
            return None
        return self.platform.registry.load(self.model.name, champion.version)

    def _record(self) -> dict[str, Any]:
        file = self.folder / "scored_by.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.ubj"

"""The lives a platform is measured against: never retrained, and retrained at every period without a gate.

Here: training and keeping the models of `always` (on all history) and of `newest` (on the newest period's rows alone),
and scoring all lives on the same rows. Not here: the platform's
own life (`replay`). Nothing here is ever registered, and no decision reads it.

`always` takes the challenger that the platform trained, or would have trained, on the same training set at the same
moment: a training that the platform did serves both. What it is made from is written down at the period's end; the
training itself runs in a thread beside the platform's next period, which does not wait for it. `newest` is the same
recipe fitted on as many days before the period's end as the period has.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.decide.folds import MIN_FIT
from mlops_assets.core.models.training import CannotTrain, Model, Recipe, fit
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import metric
from mlops_assets.core.time.windows import Window, local_days
from mlops_assets.simulate.lives_compared import ScoredPeriod
from mlops_assets.steps.decide.refits import TRAINING_WINDOW
from mlops_assets.steps.features.pipelines import transformer_of
from mlops_assets.steps.predict.predictions import read_scores
from mlops_assets.steps.predict.references import score_matrix
from mlops_assets.steps.promote.training import search
from mlops_assets.world.atomic import write_bytes, write_text
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.model_data import EVENT_TIME, LABEL, ModelData
from mlops_assets.world.platform import Platform, fitted_until

CALENDARS = ("always", "newest")
"""Lives that are retrained at the end of each period."""


@dataclass(frozen=True)
class Lives:
    """The lives beside the platform's own, kept in a folder of the replay's home.

    Attributes:
        platform: of the replay's home.
        model: what is replayed.
        folder: model files, who scored which period, and what the models of the other lives are made from.
        trained_at: when the first champion was trained; it is the static life.
    """

    platform: Platform
    model: ModelSettings
    folder: Path
    trained_at: datetime
    _worker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "always"), compare=False)
    _training: list[Future[None]] = field(default_factory=list, compare=False)

    def enter(self, period: Window, *, champion: int) -> None:
        """Write down who scores the period: all lives begin with the first champion."""
        first = self._file("static")
        if not first.exists():
            write_bytes(first, self.platform.registry.load(self.model.name, champion).to_bytes())
        self._note(period, champion_version=champion)

    def leave(self, period: Window) -> None:
        """The end of a period that another follows: begin to train the other lives' next models on what is known now.

        Waits for the training of the period before, so that at most one is behind.
        """
        self._note(period, next={**self._plan(period.end), "start": period.start.isoformat()})
        if self._training:
            self._training.pop().result()
        self._training.append(self._worker.submit(self._train_what_is_missing))

    def close(self) -> None:
        """Begin no further training; what is missing is trained when the replay goes on."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def scores(self, periods: Sequence[Window], *, as_of: datetime) -> dict[str, ScoredPeriod]:
        """What each life said of the labelled rows of each period, and its metric, by the period's end."""
        self._worker.submit(self._train_what_is_missing).result()
        record = self._record()
        first = dict.fromkeys(CALENDARS, self._file("static"))
        before = [first, *(self._after(period.end.isoformat()) for period in periods[:-1])]
        return {
            period.end.isoformat(): self._score(period, record[period.end.isoformat()], by, as_of)
            for period, by in zip(periods, before, strict=True)
        }

    def _score(self, period: Window, record: dict[str, Any], files: dict[str, Path], as_of: datetime) -> ScoredPeriod:
        start, end = (moment.astimezone(self.model.zone).date() for moment in (period.start, period.end))
        data = self.platform.data(self.model)
        rows = read_scores(self.platform, self.model, start, end, answered=True)
        version, label = record["champion_version"], period.label(self.model.timezone)
        if rows.empty:
            # All of it is in quarantine, say: there is nothing that a life could have scored.
            nothing = dict.fromkeys(("label_mean", "static", "auto", *CALENDARS))
            line = {
                "rows": 0, "labelled_rows": 0, **nothing, "champion_version": version, "not_judged": "it has no rows",
            }  # fmt: skip
            return ScoredPeriod(label, line)
        identity = [*data.keys, EVENT_TIME]
        labels = data.events(start, end, as_of=as_of)[[*identity, LABEL]]
        rows = rows.merge(labels, on=identity, how="left", validate="one_to_one")
        known = rows[rows[LABEL].notna()]
        y = known[LABEL].to_numpy()
        others = {"static": self._file("static"), **files}
        said = {"auto": score_matrix(known)}
        said |= {life: Model.from_bytes(file.read_bytes()).predict(known) for life, file in others.items()}
        values: dict[str, float | None] = {}
        why: str | None = None
        for life, scores in said.items():
            try:
                values[life] = float(metric(self.model.metric).score(y, scores))
            except CannotJudge as cannot:
                # It lies in the labels, which all lives share.
                values[life], why = None, cannot.why if len(known) else f"none of its {len(rows):,} rows has a label"
        line = {
            "rows": len(rows),
            "labelled_rows": len(known),
            "label_mean": self._label_level(y),
            **values,
            "champion_version": version,
            "not_judged": why,
        }
        return ScoredPeriod(label, line, y, local_days(known[EVENT_TIME], self.model.timezone), said)

    def _label_level(self, y: np.ndarray) -> float | None:
        """The labels' mean; of classes, whose codes have none, the share of the most frequent one."""
        if not y.size:
            return None
        if self.model.task == "multiclass":
            return float(np.unique(y, return_counts=True)[1].max() / y.size)
        return float(y.mean())

    def _plan(self, now: datetime) -> dict[str, Any]:
        """What retraining without a gate would ship at `now` is made from."""
        champion = self.platform.registry.champion(self.model.name)
        window = champion.tags.get(TRAINING_WINDOW, "expanding") if champion else ""
        if champion is not None and fitted_until(champion) == now != self.trained_at and window == self._all_history:
            return {"at": now.isoformat(), "version": champion.version}
        plan = {"at": now.isoformat()}
        if self.platform.record_file(self.model.name, "challenger").exists():
            prepared, trained = (self.platform.record(self.model.name, n) for n in ("training_set", "challenger"))
            same = trained["as_of"] == now.isoformat() and trained["training_set"] == prepared["sha256"]
            if same and prepared["window"] == self._all_history:
                searched = {"sha256": prepared["sha256"], "known_by": prepared["known_by"], "recipe": trained["recipe"]}
                return {**plan, "searched": searched}
        return plan

    @property
    def _all_history(self) -> str:
        """What `always` trains on."""
        window = self.model.training.window
        return "expanding" if window == "auto" else window

    def _train_what_is_missing(self) -> None:
        """Make each planned model that is not there yet; where nothing can be trained, the one before goes on."""
        before = dict.fromkeys(CALENDARS, self._file("static"))
        for end, noted in sorted(self._record().items()):
            if "next" not in noted:
                return
            after = self._after(end)
            if not all(file.exists() for file in after.values()):
                made = self._made(noted["next"])
                for life, file in after.items():
                    write_bytes(file, made.get(life) or before[life].read_bytes())
            before = after

    def _made(self, plan: dict[str, Any]) -> dict[str, bytes]:
        """By life: its next model; none where nothing can be trained."""
        data, now = self.platform.data(self.model), datetime.fromisoformat(plan["at"])
        try:
            if "version" in plan:
                always = self.platform.registry.load(self.model.name, plan["version"])
                rows = data.training_rows(known_by=now)
            else:
                recipe, rows, known_by = self._searched(data, plan) if "searched" in plan else self._search(data, plan)
                rows = data.extended(rows, since=known_by, known_by=now)
                always = fit(recipe.from_nothing.on_cpu, rows, rows[LABEL].to_numpy())
        except (CannotJudge, CannotTrain):
            return {}
        made = {"always": always.to_bytes()}
        length = pd.Timestamp(now) - pd.Timestamp(plan["start"])
        newest = rows[rows[EVENT_TIME] > rows[EVENT_TIME].iloc[-1] - length].reset_index(drop=True)
        # Where the newest period has too few rows, say, the life's model before goes on.
        if len(newest) >= MIN_FIT:
            with contextlib.suppress(CannotTrain):
                model = fit(always.recipe.from_nothing.on_cpu, newest, newest[LABEL].to_numpy())
                made["newest"] = model.to_bytes()
        return made

    def _searched(self, data: ModelData, plan: dict[str, Any]) -> tuple[Recipe, pd.DataFrame, datetime]:
        """What the platform found at that very moment, and the rows it searched on."""
        searched = plan["searched"]
        known_by = datetime.fromisoformat(searched["known_by"])
        return Recipe.from_json(searched["recipe"]), data.load(searched["sha256"], known_by).frame, known_by

    def _search(self, data: ModelData, plan: dict[str, Any]) -> tuple[Recipe, pd.DataFrame, datetime]:
        """What the platform would have found at that moment, and on which rows: those from before a gate's window.

        Whoever is champion in the platform's own life, and since when, is nothing to the others.
        """
        now = datetime.fromisoformat(plan["at"])
        try:
            known_by = data.gate_window(as_of=now, not_before=None).start
            rows = data.training_rows(known_by=known_by)
        except CannotJudge:
            # There is too little for a gate yet; these lives have none.
            known_by, rows = now, data.training_rows(known_by=now)
        transformer = transformer_of(self.platform, data.model)
        return search(data, rows, transformer=transformer, device="cpu")[0].recipe, rows, known_by

    def _note(self, period: Window, **values: Any) -> None:
        record = self._record()
        end = period.end.isoformat()
        write_text(self._record_file, json.dumps({**record, end: {**record.get(end, {}), **values}}, indent=1))

    def _record(self) -> dict[str, Any]:
        lost = "the other lives are lived again"
        return read_state(self._record_file, dict[str, dict[str, Any]], lost=lost) or {}

    @property
    def _record_file(self) -> Path:
        return self.folder / "lives.json"

    def _after(self, end: str) -> dict[str, Path]:
        """By life: the model that its training at the end of a period made."""
        return {life: self._file(f"{life}-after-{datetime.fromisoformat(end):%Y%m%dT%H%M%S}") for life in CALENDARS}

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.ubj"

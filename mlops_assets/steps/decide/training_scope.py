"""What a training that begins now would be fitted and judged on.

Here: the training window that is settled on, the window that the gate will judge, and whether there is enough for both:
asked before a run is started, and by the run. Not here: which calendar leads (`core.decide.probe`), the join and the
fit (`promote.training`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pandas as pd

from mlops_assets.core.decide.probe import gate_confidence, judged_windows
from mlops_assets.core.decide.probe_result import Candidate
from mlops_assets.core.drift.grid import MIN_REFERENCE_ROWS
from mlops_assets.core.models.refit_rows import Calendar
from mlops_assets.core.models.training import check_trainable
from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window, parse_duration
from mlops_assets.steps.decide.looks import counting, looks_at, probed, window_length
from mlops_assets.world.model_data import EVENT_TIME, LABEL, ModelData
from mlops_assets.world.platform import POOLED, Platform, fitted_until, gate_window_of


@dataclass(frozen=True)
class TrainingPlan:
    """How a training that begins now trains and is judged.

    Attributes:
        window: `training.window`, settled.
        judged: what the probe has looked at and the gate is to judge; None: the gate's own window.
        is_newest: whether those are the newest days of a window.
        in_turns: whether these are judged in turns, as they were looked at.
        lag_one: how alike neighbouring days are (`Probed.lag_one`).
        confidence: how sure the gate must be; None: as agreed.
    """

    window: str
    judged: Window | None = None
    is_newest: bool = False
    in_turns: bool = False
    lag_one: float | None = None
    confidence: float | None = None


def plan(platform: Platform, model: ModelSettings) -> TrainingPlan:
    """How to train and to judge now: by the calendar that leads (`training.window: auto`), on what was looked at.

    The gate judges on the newest days where the gain was found there, else on as many windows as the probe adds up.
    """
    champion = platform.registry.champion(model.name)
    every = counting(platform, model)
    evidence = probed(platform, model, champion, every)
    is_auto = model.training.window == "auto"
    if evidence is None or champion is None:
        return TrainingPlan("expanding" if is_auto else model.training.window)
    window = _settled(model, Calendar.parse(Candidate.parse(evidence.leader).of)) if is_auto else model.training.window
    # Almost none of their labels were known when the champion was fitted, however late they are.
    looks = looks_at(platform, model, champion, every)
    count, newest = judged_windows(evidence, model.retrain.min_gain), looks[-1]
    confidence = gate_confidence(evidence, model.retrain.min_gain, model.gate.confidence)
    if count == 0 and newest.newest is not None:
        days, in_turns = Window(newest.newest.start, newest.end), newest.newest.in_turns
        return TrainingPlan(window, days, True, in_turns, evidence.lag_one, confidence)
    judged = Window(looks[-min(max(count, 1), len(looks))].whole.start, newest.end)
    is_long = judged.end - judged.start >= parse_duration(model.gate.window)
    return TrainingPlan(window, judged if is_long else None, lag_one=evidence.lag_one, confidence=confidence)


def _settled(model: ModelSettings, calendar: Calendar) -> str:
    """A calendar as `training.window` says it."""
    if calendar.kind == "expanding":
        return "expanding"
    if calendar.day is not None:
        return f"since: {calendar.day}"
    return f"{'decay' if calendar.kind == 'decay' else 'rolling'}: {(calendar.number * window_length(model)).days}d"


@dataclass(frozen=True)
class Scope:
    """What a training is fitted and judged on.

    Attributes:
        plan: how to train and judge, by the looks.
        gate: the window that is judged.
        data: the model's rows, in the training window that was settled on.
        known_by: labels that are known by then are fitted on.
        before: only rows that happened before it are fitted on; None where all whose label is known are.
        as_of: when it begins; labels that are known by then are judged, and fitted on by a refit.
        unjudged: why the challenger will not be compared with the champion on `gate`, which the champion has seen, and
            ships without that (`gate.when_unjudgeable: ship`); None where it will be.
    """

    plan: TrainingPlan
    gate: Window
    data: ModelData
    known_by: datetime
    before: datetime | None
    as_of: datetime
    unjudged: CannotJudge | None = None

    def check(self) -> None:
        """Refuse a training that could not succeed; features are not looked at.

        Raises:
            CannotJudge: too few rows.
            CannotTrain: labels that no model can be fitted on, such as those of one class or one day.
        """
        rows = self.data.labelled(known_by=self.known_by, before=self.before, only_times=True)
        check_trainable(rows[LABEL], rows[EVENT_TIME], self.data.model.task, self.data.model.training)
        self._check_reference(rows)

    def _check_reference(self, fitted: pd.DataFrame) -> None:
        """Refuse a training whose version could not be monitored: its rows and scores are what later ones are held to.

        Raises:
            CannotJudge: too few rows.
        """
        data, gate = self.data, self.gate
        start, end = data.day(gate.start), data.day(gate.end)
        rows = data.usual(data.events(start, end, as_of=self.as_of, only_times=True))
        judged = int((rows[LABEL].notna() & gate.contains(rows[EVENT_TIME])).sum())
        if judged < MIN_REFERENCE_ROWS:
            raise CannotJudge(
                f"the days that a challenger is judged on, {start} to {end - timedelta(days=1)}, have "
                f"{counted(judged, 'labelled row')}, and {MIN_REFERENCE_ROWS} are needed: later scores are held "
                "against theirs",
                f"Lengthen gate.window (now {data.model.gate.window}), or wait for labels.",
            )
        if data.model.gate.ship == "refit":
            fitted = data.labelled(known_by=self.as_of, only_times=True)
        if (known := len(data.usual(fitted))) < MIN_REFERENCE_ROWS:
            raise CannotJudge(
                f"{counted(known, 'labelled row')} outside excluded events can be fitted on, and {MIN_REFERENCE_ROWS} "
                "are needed: later rows are held against them",
                "Wait for labels, land more history, or name a longer training.window.",
            )


def scope(platform: Platform, model: ModelSettings, *, as_of: datetime) -> Scope:
    """The scope of a training that begins at `as_of`.

    Raises:
        CannotJudge: no window has matured that a challenger could be judged on.
    """
    planned = plan(platform, model)
    gate, unjudged = _gate(platform, model, planned, as_of)
    data = at(platform, model, _from_the_end(planned, gate, model))
    if planned.is_newest:
        return Scope(planned, gate, data, known_by=as_of, before=gate.start, as_of=as_of)
    return Scope(planned, gate, data, known_by=gate.start, before=None, as_of=as_of, unjudged=unjudged)


def _gate(
    platform: Platform, model: ModelSettings, planned: TrainingPlan, as_of: datetime
) -> tuple[Window, CannotJudge | None]:
    """The window that is judged; and, where the champion has seen rows of it, why there is no other.

    On such a window the challenger is held against the baseline and the gate's limits alone.
    """
    if planned.judged is not None:
        return planned.judged, None
    data, champion = at(platform, model, planned.window), platform.registry.champion(model.name)
    try:
        return data.gate_window(as_of=as_of, not_before=fitted_until(champion)), None
    except CannotJudge as why:
        if champion is not None and POOLED in champion.tags:
            # It has seen all labels, and the twin that it was judged by had not.
            return gate_window_of(champion), None
        if champion is None or model.gate.when_unjudgeable == "keep":
            raise
        return data.gate_window(as_of=as_of, not_before=None), why


def at(platform: Platform, model: ModelSettings, window: str) -> ModelData:
    """The model's rows, trained on in a window that was settled on."""
    training = replace(model.training, window=window)
    return platform.data(model.model_copy(update={"training": training}))


def _from_the_end(planned: TrainingPlan, gate: Window, model: ModelSettings) -> str:
    """The training window; where newest days are judged, a rolling one is counted back from their end.

    So the newest window is the one that is judged, its rows from before the judged ones are fitted on, and what ships
    is fitted on the same window.
    """
    length = TrainingWindow.parse(planned.window).length
    if not planned.is_newest or not planned.window.startswith("rolling") or length is None:
        return planned.window
    start = gate.end - length
    return f"since: {start.astimezone(model.zone).date()}" if start < gate.start else planned.window

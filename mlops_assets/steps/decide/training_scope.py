"""What a training that begins now would be fitted and judged on.

Here: the training window that is settled on, the window that the gate will judge, and whether there is enough for both:
asked before a run is started, and by the run. Not here: which calendar leads (`probe`), the join and the fit
(`promote.training`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from mlops_assets.core.models.training import check_trainable
from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.windows import Window
from mlops_assets.steps.decide.probe import Plan, plan
from mlops_assets.world.model_data import EVENT_TIME, LABEL, ModelData
from mlops_assets.world.platform import Platform, fitted_until


@dataclass(frozen=True)
class Scope:
    """What a training is fitted and judged on.

    Attributes:
        plan: how to train and judge, by the looks.
        gate: the window that is judged.
        data: the model's rows, in the training window that was settled on.
        known_by: labels that are known by then are fitted on.
        before: only rows that happened before it are fitted on; None where all whose label is known are.
    """

    plan: Plan
    gate: Window
    data: ModelData
    known_by: datetime
    before: datetime | None

    def check(self) -> None:
        """Refuse a training that could not succeed; features are not looked at.

        Raises:
            CannotJudge: too few rows.
            CannotTrain: labels that no model can be fitted on, such as those of one class or one day.
        """
        rows = self.data.labelled(known_by=self.known_by, before=self.before, only_times=True)
        check_trainable(rows[LABEL], rows[EVENT_TIME], self.data.model.task, self.data.model.training)


def scope(platform: Platform, model: ModelSettings, *, as_of: datetime) -> Scope:
    """The scope of a training that begins at `as_of`.

    Raises:
        CannotJudge: no window has matured that a challenger could be judged on.
    """
    planned = plan(platform, model)
    gate = planned.judged or at(platform, model, planned.window).gate_window(
        as_of=as_of, not_before=fitted_until(platform.registry.champion(model.name))
    )
    data = at(platform, model, _from_the_end(planned, gate, model))
    if planned.is_newest:
        return Scope(planned, gate, data, known_by=as_of, before=gate.start)
    return Scope(planned, gate, data, known_by=gate.start, before=None)


def at(platform: Platform, model: ModelSettings, window: str) -> ModelData:
    """The model's rows, trained on in a window that was settled on."""
    training = replace(model.training, window=window)
    return platform.data(model.model_copy(update={"training": training}))


def _from_the_end(planned: Plan, gate: Window, model: ModelSettings) -> str:
    """The training window; where newest days are judged, a rolling one is counted back from their end.

    So the newest window is the one that is judged, its rows from before the judged ones are fitted on, and what ships
    is fitted on the same window.
    """
    length = TrainingWindow.parse(planned.window).length
    if not planned.is_newest or not planned.window.startswith("rolling") or length is None:
        return planned.window
    start = gate.end - length
    return f"since: {start.astimezone(model.zone).date()}" if start < gate.start else planned.window

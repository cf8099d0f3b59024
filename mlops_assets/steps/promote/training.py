"""From rows to a challenger: the training set, the search, the fit.

Here: what the training assets do between reading and reporting, callable without Dagster (a replay measures its
other lives with the same functions). Not here: the gate's verdict (`judging`), what follows from it (`conclusion`), the
assets (`assets`), the pure parts (`core`).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from mlops_assets.core.models.families import family_called
from mlops_assets.core.models.family_choice import Champion, Chosen, find
from mlops_assets.core.models.training import Goal, LabelledRows, Model, Tuned, fit
from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.steps.decide.training_scope import at, scope
from mlops_assets.steps.features.code_versions import CONSTANT, FEATURE_CODE, built_code
from mlops_assets.steps.features.pipelines import pipeline_named, transformer_of
from mlops_assets.steps.promote.gate import Scored
from mlops_assets.steps.promote.golden import golden_file
from mlops_assets.steps.promote.pool import follow
from mlops_assets.steps.promote.reproduction import code_version
from mlops_assets.world.atomic import write_bytes
from mlops_assets.world.columns import refuse_unknown_columns
from mlops_assets.world.model_data import EVENT_TIME, LABEL, ModelData, TrainingSet
from mlops_assets.world.platform import Platform, fitted_until


def prepare(platform: Platform, model: ModelSettings, *, as_of: datetime | None = None) -> dict[str, Any]:
    """Join and store the training set; returns (and records) what it is.

    Raises:
        CannotJudge: there is no matured window to judge a challenger on, too few rows before it, or a training window
            that begins in the future.
        FileNotFoundError: a golden set is agreed and not there.
        WrongSetting: the YAML names a column that there is not, or a transformer that cannot be read.
    """
    golden_file(platform, model)
    transformer_of(platform, model)
    refuse_unknown_columns(model, platform.catalogue)
    if isinstance(model, MemberSettings) and (why := follow(platform, model)):
        raise CannotJudge(why, "A model of its own has to beat the pooled one on the member's rows")
    now = as_of or platform.now(model)
    TrainingWindow.parse(model.training.window).refuse_future(now, model.timezone)
    training_scope = scope(platform, model, as_of=now)
    training = training_scope.data.training_set(known_by=training_scope.known_by, before=training_scope.before)
    record = {
        "as_of": now.isoformat(),
        "window": training_scope.data.model.training.window,
        "gate_start": training_scope.gate.start.isoformat(),
        "gate_end": training_scope.gate.end.isoformat(),
        "newest_days": training_scope.plan.is_newest,
        "in_turns": training_scope.plan.in_turns,
        "lag_one": training_scope.plan.lag_one,
        "confidence": training_scope.plan.confidence,
        **({"unjudged": vars(unjudged)} if (unjudged := training_scope.unjudged) else {}),
        "sha256": training.sha256,
        "known_by": training.known_by.isoformat(),
        "rows": len(training.frame),
        "first_event": training.frame[EVENT_TIME].min().isoformat(),
        "last_event": training.frame[EVENT_TIME].max().isoformat(),
        "label_mean": float(training.frame[LABEL].mean()),
        "path": str(training.path),
        FEATURE_CODE: {view: code for view, code in built_code(platform.lake).items() if view in model.features},
    }
    platform.write_record(model.name, "training_set", record)
    return record


def train(platform: Platform, model: ModelSettings, *, run_id: str) -> tuple[dict[str, Any], Tuned, Model]:
    """Tune on the recorded training set and fit the model that the gate will judge."""
    prepared = platform.record(model.name, "training_set")
    data = at(platform, model, prepared["window"])
    training = data.load(prepared["sha256"], datetime.fromisoformat(prepared["known_by"]))
    champion = platform.registry.champion(model.name)
    since = fitted_until(champion)
    known = Champion(platform.registry.load(model.name, champion.version), since) if champion and since else None
    with pipeline_named(platform, model):
        tuned, chosen = search(data, training.frame, champion=known, transformer=transformer_of(platform, model))
        labels, base = training.frame[LABEL].to_numpy(), known.model if known else None
        judged = fit(tuned.recipe, training.frame, labels, base=base)
    file = candidate_file(platform, model, judged.sha256, tuned.recipe.family)
    write_bytes(file, judged.to_bytes())
    record = {
        "training_set": training.sha256,
        "recipe": tuned.recipe.to_json(),
        "judged_sha256": judged.sha256,
        "validation_score": tuned.validation_score,
        "mlflow_run": run_id,
        "rows": len(training.frame),
        "code_version": code_version(),
        FEATURE_CODE: prepared.get(FEATURE_CODE, {}),
        CONSTANT: list(tuned.dropped),
        "as_of": prepared["as_of"],
        "window": prepared["window"],
        "family": tuned.recipe.family,
        "families": [asdict(trial) for trial in chosen.tried],
        **({"parent": champion.version} if champion and tuned.recipe.base else {}),
    }
    platform.write_record(model.name, "challenger", record)
    return {**record, "dataset": training.path, "model_file": file}, tuned, judged


def search(
    data: ModelData,
    frame: pd.DataFrame,
    *,
    transformer: str | None,
    champion: Champion | None = None,
    device: Literal["cpu"] | None = None,
) -> tuple[Tuned, Chosen]:
    """The choice of a family and the search for hyperparameters on training rows.

    The same rows, settings and champion give the same recipe (without `training.budget`).

    Args:
        data: the model's rows, in the training window that was settled on.
        frame: a training set.
        transformer: what rows go through first, as `transformer_of` gives it.
        champion: its parameters are tried first, and some families go on from it.
        device: in place of the model's own, where nobody will serve what comes out.
    """
    model, trials = data.model, data.lake.home.settings.trials
    settings = replace(model.training, trials=trials or model.training.trials, device=device or model.training.device)
    return find(
        LabelledRows(frame, frame[LABEL].to_numpy(), frame[EVENT_TIME]),
        Goal(
            data.columns,
            model.task,
            model.metric,
            settings,
            half_life_days=TrainingWindow.parse(model.training.window).half_life_days,
            transformer=transformer,
        ),
        champion=champion,
    )


def refit(data: ModelData, challenger: Model, scored: Scored, *, as_of: datetime) -> tuple[Model, TrainingSet]:
    """The same recipe on all rows known at `as_of`: what ships."""
    rows = data.store(scored.known, as_of)
    return fit(challenger.recipe, rows.frame, rows.frame[LABEL].to_numpy(), base=challenger), rows


def candidate_file(platform: Platform, model: ModelSettings, sha256: str, family: str) -> Path:
    """Where a model waits for the gate."""
    return platform.lake.folder("models", model.name, "candidates", f"{sha256}.{family_called(family).ending}")

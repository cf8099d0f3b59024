"""What else is known of a model besides its checks: its definition, rows of a new kind, and what its reports say.

Here: reading these for the evidence. Not here: the checks and all other evidence (`evidence`), what follows
(`core.decide.rules`).
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, TypeVar

from mlops_assets.core.decide.evidence import Novelty
from mlops_assets.core.drift import feature_faults
from mlops_assets.core.drift.feature_faults import named
from mlops_assets.core.drift.multivariate import Support
from mlops_assets.core.limits.ranges import WrongSetting
from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.decide.looks import counts_since
from mlops_assets.steps.features.code_versions import CONSTANT, FEATURE_CODE, built_code, outdated
from mlops_assets.steps.features.pipelines import transformer_of
from mlops_assets.steps.watch import classes as class_steps
from mlops_assets.steps.watch.windows.drift_summary import DriftSummary
from mlops_assets.steps.watch.windows.performance_summary import PerformanceSummary
from mlops_assets.steps.watch.windows.summaries import WindowSummary, newest_summary
from mlops_assets.world.mlflow.registry import ModelDamaged, ModelVersion
from mlops_assets.world.platform import Platform

_S = TypeVar("_S", bound=WindowSummary)


def changed_definition(platform: Platform, model: ModelSettings) -> str:
    """How the definition differs from that of the newest version, promoted or not; empty where it does not.

    The newest and not the champion: a candidate that the gate rejected has answered its definition. A changed feature
    counts when the lake has been built by its code, for what is trained before is made of the old one.
    """
    if outdated(platform.lake, platform.catalogue, model.features):
        return ""
    versions = platform.registry.versions(model.name)
    if not versions:
        return ""
    newest = max(versions, key=lambda version: version.version)
    try:
        recipe = platform.registry.load(model.name, newest.version).recipe
    except ModelDamaged:
        # Whoever predicts with it fails, and says what to do; a definition is no reason to.
        return ""
    # What held still on its rows was left out of the training, and is no news.
    known = set(json.loads(newest.tags.get(CONSTANT, "[]")))
    differences = _differences(recipe.columns, [c for c in platform.data(model).columns if c.name not in known])
    if recipe.task != model.task:
        differences.append(f"the task was {recipe.task} and is {model.task}")
    differences += [*_other_code(platform, model, newest), *_other_transformer(platform, model, recipe)]
    trained = f"The definition has changed since version {newest.version} was trained"
    return f"{trained}: {'; '.join(differences)}." if differences else ""


def _other_code(platform: Platform, model: ModelSettings, version: ModelVersion) -> list[str]:
    """Feature views that another code has built than those a version was trained on; versions from before don't say."""
    before, now = json.loads(version.tags.get(FEATURE_CODE, "{}")), built_code(platform.lake)
    changed = [view for view in model.features if view in before and now.get(view, before[view]) != before[view]]
    return [f"the SQL of {named(changed)}"] if changed else []


def _other_transformer(platform: Platform, model: ModelSettings, recipe: Recipe) -> list[str]:
    """Whether rows go through something else first than those of a recipe did."""
    try:
        before, now = recipe.transformer, transformer_of(platform, model)
    except WrongSetting:
        # A training is refused with the remedy, and the doctor says it; until then nothing else is there to be used.
        return []
    if before is None or now is None:
        return [f"training.pipeline is {'new' if now else 'gone'}"] if before != now else []
    from mlops_assets.core.models.families.transformer import is_same

    return [] if is_same(before, now) else [f"the transformer in {platform.pipeline_name(model)}"]


def _differences(before: Any, now: list[FeatureColumn]) -> list[str]:
    old, new = ({column.name: column.kind for column in columns} for columns in (before, now))
    changes = {
        "new": [name for name in new if name not in old],
        "gone": [name for name in old if name not in new],
        "of another kind": [name for name in new if name in old and new[name] != old[name]],
    }
    return [f"{len(names)} {what} ({named(names)})" for what, names in changes.items() if names]


def faults(platform: Platform, model: ModelSettings, since: datetime | None) -> list[str]:
    """What is broken in the features of the newest window, a sentence a kind.

    Of those that are trained on as the model is now: one that is retired says that it is gone for good.
    """
    summary = _newest(platform, model, "drift", since, DriftSummary)
    if summary is None:
        return []
    trained = {column.name for column in platform.data(model).columns}
    known = {kind: [name for name in names if name in trained] for kind, names in summary.faults.items()}
    return feature_faults.faults_in_words(known, summary.window)


def novelty(
    platform: Platform, model: ModelSettings, since: datetime | None, trained: datetime | None
) -> Novelty | None:
    """Rows unlike the champion's in the newest window, if that counts after it was fitted, or last trained."""
    summary = _newest(platform, model, "drift", since, DriftSummary)
    if summary is None or not counts_since(model, summary.span, fitted=since, trained=trained):
        return None
    support = summary.support
    if not isinstance(support, Support):
        return None
    return Novelty(support.outside_joint, summary.window, summary.end)


def notes(platform: Platform, model: ModelSettings, since: datetime | None) -> tuple[str, ...]:
    """What the newest reports say and no rule reads."""
    sentences = []
    if drift := _newest(platform, model, "drift", since, DriftSummary):
        sentences += [f"Drift that matters most in {drift.window}: {f.sentence}" for f in drift.findings[:1]]
        if isinstance(drift.support, Support):
            sentences += [f"Novelty in {drift.window}: {drift.support.sentence}"]
    classes = class_steps.newest(platform, model.name)
    if classes and not classes.check.passed and (since is None or classes.check.window_end > since):
        sentences += [classes.check.sentence]
    performance = _newest(platform, model, "performance", since, PerformanceSummary)
    if performance and not performance.performance.mature:
        estimate = performance.estimate(model.metric)
        sentences += [f"{performance.window} has not matured. {model.label.noted(estimate.sentence)}"]
    return tuple(sentences)


def _newest(platform: Platform, model: ModelSettings, report: str, since: datetime | None, kind: type[_S]) -> _S | None:
    """The summary of the newest window, unless the champion was fitted on it."""
    summary = newest_summary(platform.lake, model.name, report, kind)
    return summary if summary and (since is None or summary.end > since) else None

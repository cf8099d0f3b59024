"""What stands behind a window's drift: levels, findings by source, and what they did to the champion's scores.

Here: `levels_of` and `verdict_of` a window, `explain`, and how its answers are shown. Not here: the statistics
(`core.calibration`, `core.attribution`, `core.multivariate`), which windows are watched (`monitoring_steps`).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from mlops_assets.core.attribution import Finding, PredictionShift, findings, prediction_shift
from mlops_assets.core.calibration import FULL_WINDOWS, Levels, calibrate, calibrated_verdict, preset_levels
from mlops_assets.core.drift import DriftVerdict, FeatureDrift, drift_verdict
from mlops_assets.core.judging import CannotJudge
from mlops_assets.core.multivariate import DomainShift, domain_classifier
from mlops_assets.core.reporting import markdown_table
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.windows import local_days, parse_every
from mlops_assets.resources.model_data import EVENT_TIME
from mlops_assets.resources.platform import Platform
from mlops_assets.resources.references import Reference, read_days

CLASSIFIED = 8_000
"""Rows that the classifier sees: 1 s with 75 features, and its interval hangs on the number of days."""
_HEADER = ("source", "features moved", "worst", "statistic", "value", "level", "share of gain", "raw score moved")


@dataclass(frozen=True)
class Explained:
    """A window's drift, explained as far as its data allow.

    Attributes:
        levels: by which the features were judged.
        findings: one per source, what matters most first.
        shift: of the champion's mean raw score, or why it is unknown.
        classifier: how well the window is told from the reference, or why nobody knows.
    """

    levels: Levels
    findings: Sequence[Finding]
    shift: PredictionShift | CannotJudge
    classifier: DomainShift | CannotJudge

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the window's summary."""
        levels = asdict(self.levels)
        if not self.levels.calibrated:
            # The same for all features, and in the model's YAML.
            del levels["level"]
        return {
            "levels": levels,
            "findings": [finding.to_dict() for finding in self.findings],
            "prediction_shift": _plain(self.shift),
            "domain_classifier": _plain(self.classifier),
        }

    @property
    def sentences(self) -> list[str]:
        """All of it for people, without the findings."""
        told = [str(each) if isinstance(each, CannotJudge) else each.sentence for each in (self.shift, self.classifier)]
        return [*(sentence[0].upper() + sentence[1:] for sentence in told), self.levels.sentence]

    def markdown(self) -> str:
        """Table of the findings, and the sentences."""
        table = markdown_table([_row(finding) for finding in self.findings], header=_HEADER)
        return "\n\n".join([table if self.findings else "No feature is beyond its level.", *self.sentences])

    def html(self) -> str:
        """The same for the page, as its first section."""
        told = [finding.sentence for finding in self.findings] or ["No feature is beyond its level."]
        items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in told)
        notes = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.sentences)
        style = "font:14px/1.5 sans-serif;color:#1f2933;max-width:70em;margin:16px 24px"
        return f'<section style="{style}"><h2>What moved, and what it did</h2><ol>{items}</ol>{notes}</section>'


def levels_of(platform: Platform, model: ModelSettings, version: int, features: Sequence[str]) -> Levels:
    """The levels that `monitoring.drift.levels` asks for."""
    policy = model.monitoring.drift
    preset = preset_levels(features, policy)
    if policy.levels == "preset":
        return preset
    days = read_days(platform.lake, model.name, version)
    if days is None:
        told = f"The reference of version {version} was kept without its days: the policy's levels hold until the next"
        return replace(preset, sentence=f"{told} promotion.")
    length = parse_every(model.monitoring.window).approximately.days
    n_windows = days.n_days // length
    if policy.levels == "auto" and n_windows < FULL_WINDOWS:
        told = f"The reference holds {n_windows} of the {FULL_WINDOWS} windows that calibrated levels need"
        return replace(preset, n_windows=n_windows, sentence=f"{told}: the policy's levels hold.")
    return calibrate(days, length, preset=preset)


def verdict_of(model: ModelSettings, drifts: Sequence[FeatureDrift], levels: Levels) -> DriftVerdict:
    """Whether the inputs match: at calibrated levels no feature may be beyond its own, else the policy decides."""
    return calibrated_verdict(drifts, levels) if levels.calibrated else drift_verdict(drifts, model.monitoring.drift)


def explain(
    platform: Platform,
    model: ModelSettings,
    version: int,
    *,
    reference: Reference,
    rows: pd.DataFrame,
    drifts: Sequence[FeatureDrift],
    levels: Levels,
) -> Explained:
    """Explain one window's drift.

    Args:
        platform: where the champion is.
        model: the monitored model.
        version: that scored the window.
        reference: of the version.
        rows: the window's predictions with their features.
        drifts: of the features.
        levels: by which they are judged.
    """
    champion = platform.registry.load(model.name, version)
    shift = _shift(champion, reference.sample, rows)
    sources = {
        f"{view}__{feature.name}": platform.catalogue.view(view).sources
        for view in model.features
        for feature in platform.catalogue.view(view).features
    }
    found = findings(
        drifts,
        levels,
        importance=champion.importance(),
        sources=sources,
        shift=None if isinstance(shift, CannotJudge) else shift,
    )
    return Explained(levels, found, shift, _classifier(champion, model, reference.sample, rows))


def _shift(champion: Any, sample: pd.DataFrame, rows: pd.DataFrame) -> PredictionShift | CannotJudge:
    try:
        return prediction_shift(champion, sample, rows)
    except CannotJudge as why:
        return why


def _classifier(
    champion: Any, model: ModelSettings, sample: pd.DataFrame, rows: pd.DataFrame
) -> DomainShift | CannotJudge:
    if EVENT_TIME not in sample.columns:
        return CannotJudge(
            "the reference's sample was kept without the time of its rows", "The next promotion writes one with it"
        )
    days = [local_days(frame[EVENT_TIME], model.timezone) for frame in (sample, rows)]
    try:
        return domain_classifier(
            sample, rows, champion.recipe.columns, reference_days=days[0], current_days=days[1], sample=CLASSIFIED
        )
    except CannotJudge as why:
        return why


def _plain(answer: PredictionShift | DomainShift | CannotJudge) -> dict[str, Any]:
    if isinstance(answer, CannotJudge):
        return {"cannot": {"why": answer.why, "remedy": answer.remedy}}
    return {**asdict(answer), "sentence": answer.sentence}


def _row(finding: Finding) -> tuple[Any, ...]:
    return (
        finding.source or "", len(finding.features), finding.feature, finding.statistic, finding.value, finding.level,
        finding.importance, finding.attribution,
    )  # fmt: skip

"""What a window's rows show that no single feature over all rows does.

Here: the classifier, the principal components, the support and the slices of one window, each with its answer or why
there is none. Not here: their arithmetic (`core.drift.multivariate`, `core.drift.local`), features one by one and the
verdict (`drift_causes`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mlops_assets.core.drift.calibration import Levels
from mlops_assets.core.drift.feature_drift import FeatureDrift
from mlops_assets.core.drift.local import LocalDrift, local_drift
from mlops_assets.core.drift.multivariate import (
    DomainShift,
    ReconstructionError,
    Support,
    domain_classifier,
    outside_support,
    reconstruction_error,
)
from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import local_days
from mlops_assets.pages.markdown import answer_in_words, answered, markdown_table
from mlops_assets.steps.watch.day_profiles import WindowSeen
from mlops_assets.steps.watch.windows.summaries import PlainAnswer
from mlops_assets.world.model_data import EVENT_TIME

_SAMPLE = 8_000
"""Rows that the classifier, the components and the support see: 1 s with 75 features, and their intervals hang on the
number of days."""
_SHOWN = 20
_HEADER = ("slice", "feature", "statistic", "value", "level", "over all rows", "rows in the reference", "rows now")

_T = TypeVar("_T")


@dataclass(frozen=True)
class RowsDrift:
    """What a window's rows show together, each answer or why there is none.

    Attributes:
        classifier: how well the window is told from the reference.
        reconstruction: how well the reference's main components describe its rows.
        support: rows unlike any in the reference.
        local: what moved in slices only; None where the YAML names none.
    """

    classifier: DomainShift | CannotJudge
    reconstruction: ReconstructionError | CannotJudge
    support: Support | CannotJudge
    local: LocalDrift | CannotJudge | None

    def kept(self) -> dict[str, PlainAnswer]:
        """The fields of the window's summary (`DriftSummary`)."""
        parts = {
            "domain_classifier": self.classifier,
            "reconstruction_error": self.reconstruction,
            "outside_support": self.support,
            "local_drift": self.local,
        }
        return {name: answered(answer) for name, answer in parts.items() if answer is not None}

    @property
    def sentences(self) -> list[str]:
        """For people."""
        answers = {
            "Classifier": self.classifier,
            "Reconstruction": self.reconstruction,
            "Support": self.support,
            "Slices": self.local,
        }
        return [f"{what}: {answer_in_words(answer)}" for what, answer in answers.items() if answer is not None]

    def markdown(self) -> str:
        """The slices' findings as a table; empty where there are none."""
        if not isinstance(self.local, LocalDrift) or not self.local.findings:
            return ""
        rows = [
            (f.slice, f.feature, f.statistic, f.value, f.level, f.whole, f.n_reference, f.n_current)
            for f in self.local.findings[:_SHOWN]
        ]
        return markdown_table(rows, header=_HEADER)


def rows_drift(
    model: ModelSettings,
    columns: Sequence[FeatureColumn],
    *,
    window_seen: WindowSeen,
    drifts: Sequence[FeatureDrift],
    levels: Levels,
    importance: Mapping[str, float],
) -> RowsDrift:
    """Look at one window's rows.

    Args:
        model: the monitored model.
        columns: the champion's features.
        window_seen: the window's predictions.
        drifts: of the features over all rows.
        levels: by which they are judged.
        importance: feature -> share of the champion's gain.
    """
    sample, rows = window_seen.against.reference.sample, window_seen.sample
    if EVENT_TIME in sample.columns:
        days = [local_days(frame[EVENT_TIME], model.timezone) for frame in (sample, rows)]
        by_day: dict[str, Any] = {"reference_days": days[0], "current_days": days[1], "sample": _SAMPLE}
        classifier = _or_why(lambda: domain_classifier(sample, rows, columns, **by_day))
        reconstruction = _or_why(lambda: reconstruction_error(sample, rows, columns, **by_day))
    else:
        classifier = reconstruction = CannotJudge(
            "the reference's sample was kept without the time of its rows", "The next promotion writes one with it"
        )
    return RowsDrift(
        classifier,
        reconstruction,
        _or_why(lambda: outside_support(sample, rows, columns, sample=_SAMPLE)),
        _local(window_seen, drifts, levels, importance),
    )


def _local(
    window_seen: WindowSeen, drifts: Sequence[FeatureDrift], levels: Levels, importance: Mapping[str, float]
) -> LocalDrift | CannotJudge | None:
    slices = window_seen.against.slices
    if slices is None or isinstance(slices, CannotJudge):
        return slices
    return local_drift(slices.references, window_seen.slices, whole=drifts, levels=levels, importance=importance)


def _or_why(look: Callable[[], _T]) -> _T | CannotJudge:
    try:
        return look()
    except CannotJudge as why:
        return why

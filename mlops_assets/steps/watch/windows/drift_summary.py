"""What a drift report keeps of a window.

Here: the type. Not here: what all summaries have, files (`windows.summaries`), judging (`drift_report`), what stands
behind the drift (`drift_causes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from mlops_assets.core.drift.attribution import Finding
from mlops_assets.core.drift.multivariate import Support
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.steps.watch.windows.summaries import PlainAnswer, WindowSummary, answer_of


class DriftSummary(WindowSummary, frozen=True, kw_only=True):
    """What a drift report keeps of a window; of one that could not be judged, only what every summary has.

    Attributes:
        faults: kind of fault -> features that are broken so.
        levels: by which the features were judged.
        findings: one a source, what matters most first.
        prediction_shift: how far the champion's mean raw score has moved.
        domain_classifier: how well the window is told from the reference.
        reconstruction_error: how well the reference's main components describe its rows.
        outside_support: rows unlike any in the reference.
        local_drift: what moved in slices only; missing where the YAML names none.
    """

    faults: Mapping[str, list[str]] = {}
    levels: Mapping[str, Any] = {}
    findings: tuple[Finding, ...] = ()
    prediction_shift: PlainAnswer | UnsetType = UNSET
    domain_classifier: PlainAnswer | UnsetType = UNSET
    reconstruction_error: PlainAnswer | UnsetType = UNSET
    outside_support: PlainAnswer | UnsetType = UNSET
    local_drift: PlainAnswer | UnsetType = UNSET

    @property
    def support(self) -> Support | CannotJudge | None:
        """Rows unlike any that the champion was trained on."""
        return answer_of(self.outside_support, Support)

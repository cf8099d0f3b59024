"""What stands in the summaries of windows that were judged: checks, and whether the champion is worse than guessing.

Here: finding and reading them. Not here: judging and writing (`window_reports`, `drift_report`, `performance_report`,
`against_baseline`). Imports nothing heavy: `mlops status` answers at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlops_assets.core.decide.evidence import CheckResult
from mlops_assets.core.performance.against_baseline import Failing, Judged, failing
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.windows import Window
from mlops_assets.world.lake import Lake
from mlops_assets.world.platform import Platform

REPORTS = ("drift", "performance")
GUESSING = "guessing"
"""Where a window's summary has the verdict against guessing and what it rests on."""


def summaries(lake: Lake, model: str, report: str) -> list[dict[str, Any]]:
    """The summaries of a report, oldest window first."""
    paths = sorted(lake.folder("reports", model, report).glob("window=*/summary.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def known_summary(folder: Path) -> dict[str, Any] | None:
    """The summary of a window that was judged before."""
    path = folder / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def folder_of(lake: Lake, model: str, report: str, window: Window) -> Path:
    """Where a window's report stands."""
    return lake.folder("reports", model, report, f"window={window.start:%Y-%m-%dT%H%M}")


def window_checks(platform: Platform, model: ModelSettings) -> list[CheckResult]:
    """The answers of all monitors on all judged windows, oldest first."""
    checks = [
        CheckResult.from_dict(check)
        for report in REPORTS
        for path in sorted(platform.lake.folder("reports", model.name, report).glob("window=*/summary.json"))
        for check in json.loads(path.read_text(encoding="utf-8"))["checks"]
    ]
    return sorted(checks, key=lambda check: (check.window_end, check.name))


def verdicts_of(reports: Sequence[Mapping[str, Any]]) -> list[Judged]:
    """The verdicts in some summaries, in their order; windows that have none are left out."""
    return [Judged.from_dict(summary[GUESSING]["judged"]) for summary in reports if summary.get(GUESSING)]


def failing_of(platform: Platform, model: ModelSettings) -> Failing | None:
    """Whether the champion is worse than guessing by its newest matured window, and since when."""
    verdicts = verdicts_of(summaries(platform.lake, model.name, "performance"))
    champion = platform.registry.champion(model.name) if verdicts else None
    return failing(verdicts, champion.version) if champion else None


def failing_told(platform: Platform, model: ModelSettings) -> str:
    """The same in one sentence; empty where it is not."""
    worse = failing_of(platform, model)
    return worse.in_words(model.name, model.zone) if worse else ""

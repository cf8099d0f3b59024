"""What is kept of every window that was judged: one summary a report, with one codec.

Here: what all summaries have, where they stand, reading and writing them; whether the champion is worse than guessing.
Not here: what a report adds (`windows.performance_summary`, `windows.drift_summary`, `skew`), judging (`drift_report`,
`performance_report`, `against_baseline`). Imports nothing heavy: `mlops status` answers at once.

Fields that a report has come to have in later releases have defaults: summaries of earlier ones are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from mlops_assets.core.decide.evidence import CheckResult
from mlops_assets.core.performance.against_baseline import Compared, Failing, Judged, failing
from mlops_assets.core.record.plain_values import as_plain, from_plain
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.lake import Lake
from mlops_assets.world.platform import Platform

SLIDING = "performance_over_24h"
REPORTS = ("drift", "performance", SLIDING)
PlainAnswer = Mapping[str, Any]
"""An answer as it is kept (`pages.markdown.answered`), or why there is none."""

_KEPT = 50_000
"""Summaries that a process keeps, some 100 MiB."""
_S = TypeVar("_S", bound="WindowSummary")
_A = TypeVar("_A")


class WindowSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What every summary begins with.

    Attributes:
        window: its label.
        start: its start, UTC.
        end: its end, UTC.
        state: of the data that it was judged on; with another it is judged again.
        version: that made most of the predictions; 0 where there are none.
        rows: predictions.
        checks: what the monitors answered.
    """

    window: str
    start: datetime
    end: datetime
    state: str
    version: int
    rows: int
    checks: tuple[CheckResult, ...]

    @property
    def span(self) -> Window:
        """The window itself."""
        return Window(self.start, self.end)


class Guessing(msgspec.Struct, frozen=True):
    """How a version did against guessing in a window; nothing before it has matured.

    Attributes:
        compared: version and baseline on its rows, with what is needed to judge several windows as one; None where
            they could not be compared.
        judged: the verdict.
    """

    compared: Compared | UnsetType | None = UNSET
    judged: Judged | UnsetType = UNSET


class GuessingSummary(WindowSummary, frozen=True, kw_only=True):
    """What `mlops status` reads of a performance summary."""

    guessing: Guessing = Guessing()


# --- files -------------------------------------------------------------------------------------------------


def folder_of(lake: Lake, model: str, report: str, window: Window) -> Path:
    """Where a window's report stands."""
    return lake.folder("reports", model, report, f"window={window.start:%Y-%m-%dT%H%M}")


def judged_folders(lake: Lake, model: str, report: str) -> list[Path]:
    """The folders of the windows that a report has judged, oldest first."""
    return sorted(path.parent for path in lake.folder("reports", model, report).glob("window=*/summary.json"))


def read_summary(folder: Path, kind: type[_S]) -> _S:
    """The summary in a folder.

    Raises:
        DamagedFile: it is damaged.
        FileNotFoundError: there is none.
    """
    if (summary := known_summary(folder, kind)) is None:
        raise FileNotFoundError(f"{folder} has no summary.json: its window was not judged.")
    return summary


def known_summary(folder: Path, kind: type[_S]) -> _S | None:
    """The summary of a window, if it was judged before; parsed again where its file has changed."""
    file = folder / "summary.json"
    try:
        stat = file.stat()
    except OSError:
        return _read(file, kind)
    return _parsed(file, kind, (stat.st_mtime_ns, stat.st_size, stat.st_ino))


@lru_cache(maxsize=_KEPT)
def _parsed(file: Path, kind: type[Any], stamp: tuple[int, ...]) -> Any:
    del stamp
    return _read(file, kind)


def _read(file: Path, kind: type[_S]) -> _S | None:
    return read_state(file, kind, lost="its window is judged again")


def summaries(lake: Lake, model: str, report: str, kind: type[_S]) -> list[_S]:
    """The summaries of a report, oldest window first."""
    return [read_summary(folder, kind) for folder in judged_folders(lake, model, report)]


def newest_summary(lake: Lake, model: str, report: str, kind: type[_S]) -> _S | None:
    """That of the newest window; None where no window was judged."""
    folders = judged_folders(lake, model, report)
    return read_summary(folders[-1], kind) if folders else None


def write_summary(folder: Path, summary: WindowSummary) -> None:
    """Keep a summary, in place of that of an earlier state of the window's data."""
    write_text(folder / "summary.json", json.dumps(as_plain(summary), indent=1))


def answer_of(plain: PlainAnswer | UnsetType, kind: type[_A]) -> _A | CannotJudge | None:
    """The inverse of `answered`; None where nobody asked."""
    if not plain:
        return None
    return CannotJudge(**plain["cannot"]) if "cannot" in plain else from_plain(kind, plain)


# --- what they say -----------------------------------------------------------------------------------------


def window_checks(platform: Platform, model: ModelSettings) -> list[CheckResult]:
    """The answers of all monitors on all judged windows, oldest first."""
    judged = [summary for report in REPORTS for summary in summaries(platform.lake, model.name, report, WindowSummary)]
    return sorted(
        (check for summary in judged for check in summary.checks), key=lambda check: (check.window_end, check.name)
    )


def verdicts_of(guesses: Sequence[Guessing]) -> list[Judged]:
    """The verdicts of some windows, in their order; windows that have none are left out."""
    return [guessing.judged for guessing in guesses if guessing.judged]


def known_verdicts(platform: Platform, model: str) -> list[Judged]:
    """The verdicts of all windows, oldest first."""
    reports = summaries(platform.lake, model, "performance", GuessingSummary)
    return verdicts_of([summary.guessing for summary in reports])


def failing_of(platform: Platform, model: ModelSettings) -> Failing | None:
    """Whether the champion is worse than guessing by its newest matured window, and since when."""
    verdicts = known_verdicts(platform, model.name)
    champion = platform.registry.champion(model.name) if verdicts else None
    return failing(verdicts, champion.version) if champion else None


def failing_told(platform: Platform, model: ModelSettings) -> str:
    """The same in one sentence; empty where it is not."""
    worse = failing_of(platform, model)
    return worse.in_words(model.name, model.zone) if worse else ""

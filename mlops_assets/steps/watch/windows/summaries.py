"""What is kept of every window that was judged: one summary a report, with one codec.

Here: what all summaries have, where they stand, reading and writing them; whether the champion is worse than guessing.
Not here: what a report adds (`windows.performance_summary`, `windows.drift_summary`, `skew`), judging (`drift_report`,
`performance_report`, `against_baseline`). Imports nothing heavy: `mlops status` answers at once.

Fields that a report has come to have in later releases have defaults: summaries of earlier ones are read.
"""

from __future__ import annotations

import json
import os
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial
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
from mlops_assets.world.platform import FITTED_UNTIL, Platform, fitted_until

SLIDING = "performance_over_24h"
REPORTS = ("drift", "performance", SLIDING)
PlainAnswer = Mapping[str, Any]
"""An answer as it is kept (`pages.markdown.answered`), or why there is none."""

LONGEST_WINDOW = timedelta(days=366)
"""One that began earlier than that before a moment had ended by then, where windows are no longer (`within`)."""
_NAME = "window={:%Y-%m-%dT%H%M}"
_KEPT = 50_000
"""Summaries that a process keeps, some 100 MiB."""
_SETTLED_NS = 100_000_000
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
    return lake.folder("reports", model, report, _NAME.format(window.start))


def within(model: ModelSettings, since: datetime | None) -> datetime | None:
    """The moment before which windows may be left out unread; None where windows of the model may be longer."""
    return since if model.monitoring.rhythm.length.approximately < LONGEST_WINDOW else None


def judged_folders(lake: Lake, model: str, report: str, *, since: datetime | None = None) -> list[Path]:
    """The folders of the windows that a report has judged, oldest first.

    Args:
        lake: the lake.
        model: whose windows.
        report: which report.
        since: those that ended `LONGEST_WINDOW` before it or earlier are left out unread.
    """
    table = lake.folder("reports", model, report)
    return [table / name for name in _names(table, since) if os.path.exists(f"{table}/{name}/summary.json")]  # noqa: PTH110  of ten years of days each costs


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
    return _known(os.fspath(folder), kind)


def _known(folder: str, kind: type[_S]) -> _S | None:
    file = f"{folder}/summary.json"
    try:
        stat = os.stat(file)  # noqa: PTH116  as above
    except OSError:
        return _read(file, kind)
    summary: _S | None = _parsed(file, kind, (stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return summary


@lru_cache(maxsize=_KEPT)
def _parsed(file: str, kind: type[Any], stamp: tuple[int, ...]) -> Any:
    del stamp
    return _read(file, kind)


def _read(file: str, kind: type[_S]) -> _S | None:
    return read_state(Path(file), kind, lost="its window is judged again")


def summaries(lake: Lake, model: str, report: str, kind: type[_S], *, since: datetime | None = None) -> list[_S]:
    """The summaries of a report, oldest window first; `since` as for `judged_folders`."""
    return [*reversed([*newest_first(lake, model, report, kind, since=since)])]


def newest_first(lake: Lake, model: str, report: str, kind: type[_S], *, since: datetime | None = None) -> Iterator[_S]:
    """The same from the newest window on, each read when it is asked for."""
    table = lake.folder("reports", model, report)
    for name in reversed(_names(table, since)):
        if (summary := _known(f"{table}/{name}", kind)) is not None:
            yield summary


def newest_summary(lake: Lake, model: str, report: str, kind: type[_S]) -> _S | None:
    """That of the newest window; None where no window was judged."""
    return next(newest_first(lake, model, report, kind), None)


def _names(table: Path, since: datetime | None) -> tuple[str, ...]:
    """The folders of a table's windows, oldest first; they are named after their start."""
    try:
        stat = table.stat()
    except FileNotFoundError:
        return ()
    # Two folders that are made within one tick of the system's clock give the table the same time.
    is_settled = time.time_ns() - stat.st_mtime_ns > _SETTLED_NS
    names = (_kept_names if is_settled else _listed)(os.fspath(table), (stat.st_mtime_ns, stat.st_ino))
    return names if since is None else names[bisect_left(names, _NAME.format(since - LONGEST_WINDOW)) :]


def _listed(table: str, stamp: tuple[int, ...]) -> tuple[str, ...]:
    del stamp
    with os.scandir(table) as entries:
        return tuple(sorted(entry.name for entry in entries if entry.name.startswith("window=")))


_kept_names = lru_cache(maxsize=64)(_listed)


def write_summary(folder: Path, summary: WindowSummary) -> None:
    """Keep a summary, in place of that of an earlier state of the window's data."""
    write_text(folder / "summary.json", json.dumps(as_plain(summary), indent=1))


def answer_of(plain: PlainAnswer | UnsetType, kind: type[_A]) -> _A | CannotJudge | None:
    """The inverse of `answered`; None where nobody asked."""
    if not plain:
        return None
    return CannotJudge(**plain["cannot"]) if "cannot" in plain else from_plain(kind, plain)


# --- what they say -----------------------------------------------------------------------------------------


def window_checks(platform: Platform, model: ModelSettings, *, since: datetime | None = None) -> list[CheckResult]:
    """The answers of all monitors on all judged windows, oldest first; after `since` alone, where that is given."""
    read = partial(summaries, platform.lake, model.name, kind=WindowSummary, since=within(model, since))
    judged = (summary for report in REPORTS for summary in read(report))
    checks = (check for summary in judged for check in summary.checks if since is None or check.window_end > since)
    return sorted(checks, key=lambda check: (check.window_end, check.name))


def verdicts_of(guesses: Sequence[Guessing]) -> list[Judged]:
    """The verdicts of some windows, in their order; windows that have none are left out."""
    return [guessing.judged for guessing in guesses if guessing.judged]


def has_verdicts(platform: Platform, model: str) -> bool:
    """Whether any window has a verdict."""
    return next(_verdicts(platform, model), None) is not None


def _verdicts(platform: Platform, model: str, since: datetime | None = None) -> Iterator[Judged]:
    """Those of matured windows, the newest first."""
    for summary in newest_first(platform.lake, model, "performance", GuessingSummary, since=since):
        if summary.guessing.judged:
            yield summary.guessing.judged


def failing_of(platform: Platform, model: ModelSettings) -> Failing | None:
    """Whether the champion is worse than guessing by its newest matured window, and since when."""
    champion = platform.registry.champion(model.name) if has_verdicts(platform, model.name) else None
    if champion is None:
        return None
    since = fitted_until(champion) if FITTED_UNTIL in champion.tags else None
    run: list[Judged] = []
    # Back to the newest window that it did well in: as a rule the newest of all.
    for verdict in _verdicts(platform, model.name, within(model, since)):
        if verdict.version == champion.version and verdict.worse is not None:
            if not verdict.worse:
                break
            run.append(verdict)
    return failing(run[::-1], champion.version)


def failing_told(platform: Platform, model: ModelSettings) -> str:
    """The same in one sentence; empty where it is not."""
    worse = failing_of(platform, model)
    return worse.in_words(model.name, model.zone) if worse else ""

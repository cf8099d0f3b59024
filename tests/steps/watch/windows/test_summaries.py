"""What earlier releases kept of windows is read, and written again byte for byte; the files in `kept` are theirs."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops_assets.core.decide.evidence import CheckResult
from mlops_assets.core.drift.multivariate import Support
from mlops_assets.core.performance.estimation import Estimated
from mlops_assets.core.record.plain_values import as_plain, from_plain
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window, parse_every
from mlops_assets.steps.watch.classes import ClassesWatched
from mlops_assets.steps.watch.skew import SkewSummary
from mlops_assets.steps.watch.windows import summaries as module
from mlops_assets.steps.watch.windows.drift_summary import DriftSummary
from mlops_assets.steps.watch.windows.performance_summary import PerformanceSummary
from mlops_assets.steps.watch.windows.summaries import (
    GuessingSummary,
    WindowSummary,
    folder_of,
    read_summary,
    write_summary,
)
from mlops_assets.world.lake import Lake

KEPT = Path(__file__).parent / "kept"
KINDS: dict[str, Any] = {
    "classes-watched": ClassesWatched,
    "drift-faults": DriftSummary,
    "drift-unjudged": WindowSummary,
    "performance-classes": PerformanceSummary,
    "performance-fairness": PerformanceSummary,
    "performance-restated": PerformanceSummary,
    "performance-unjudged": PerformanceSummary,
    "skew-features": SkewSummary,
}


def kept(name: str) -> Any:
    return json.loads((KEPT / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", KINDS)
def test_what_was_kept_is_written_byte_for_byte_as_it_was(name: str, tmp_path: Path) -> None:
    before = (KEPT / f"{name}.json").read_bytes()
    summary = from_plain(KINDS[name], json.loads(before))
    assert json.dumps(as_plain(summary), indent=1).encode() == before
    if isinstance(summary, WindowSummary):
        write_summary(tmp_path, summary)
        assert (tmp_path / "summary.json").read_bytes() == before
        assert read_summary(tmp_path, KINDS[name]) == summary


def test_every_file_kept_here_is_read() -> None:
    assert {path.stem for path in KEPT.iterdir()} == set(KINDS)


def test_a_summary_of_an_earlier_release_has_no_estimates() -> None:
    later = ("judged_at", "fairness", "guessing", "estimated", "label_maturity", "label_drift", "restated")
    plain = {name: value for name, value in kept("performance-restated").items() if name not in later}
    summary = from_plain(PerformanceSummary, plain)
    metric = next(iter(summary.performance.metrics))
    assert summary.label_shift is None
    assert isinstance(summary.estimate(metric), Estimated)
    assert "before there were estimates" in (summary.estimate(metric).why or "")
    assert not from_plain(GuessingSummary, plain).guessing.judged
    assert from_plain(PerformanceSummary, as_plain(summary)) == summary


def test_an_answer_that_could_not_be_given_says_why() -> None:
    drift = from_plain(DriftSummary, kept("drift-faults"))
    assert isinstance(drift.support, Support | CannotJudge)
    assert from_plain(DriftSummary, kept("drift-unjudged")).support is None
    shift = from_plain(PerformanceSummary, kept("performance-unjudged")).label_shift
    assert isinstance(shift, CannotJudge)
    assert str(shift) == "cannot judge, because {why}. {remedy}".format(
        **kept("performance-unjudged")["label_drift"]["cannot"]
    )


@pytest.mark.parametrize("text", ["{", '{"window": "2024-03"}', "[]"])
def test_a_damaged_summary_is_named_with_its_remedy(text: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(ValueError, match=r"summary\.json cannot be read .*, or delete it: its window is judged again"):
        read_summary(tmp_path, WindowSummary)


def test_a_summary_is_parsed_again_where_its_file_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that is made anew, and a file that a person changes where it lies, are seen; the same one is kept."""
    parsed: list[Path] = []
    read = module._read
    monkeypatch.setattr(module, "_read", lambda file, kind: (parsed.append(file), read(file, kind))[1])
    file, plain = tmp_path / "summary.json", kept("drift-unjudged")
    assert module.known_summary(tmp_path, WindowSummary) is None
    parsed.clear()
    write_summary(tmp_path, from_plain(WindowSummary, plain))
    for rows in (5, 6):
        file.write_text(json.dumps(plain | {"rows": rows}), encoding="utf-8")
        os.utime(file, ns=(rows, rows))
        assert [read_summary(tmp_path, WindowSummary).rows for _ in range(3)] == [rows] * 3
    write_summary(tmp_path, from_plain(WindowSummary, plain))
    assert read_summary(tmp_path, WindowSummary).rows == plain["rows"]
    assert len(parsed) == 3
    file.unlink()
    assert module.known_summary(tmp_path, WindowSummary) is None


def judged_days(lake: Lake, days: int, first: datetime) -> list[datetime]:
    """The ends of windows of a day that were judged, each with one check."""
    ends = [first + timedelta(days=number + 1) for number in range(days)]
    for end in ends:
        window = Window(end - timedelta(days=1), end)
        check = CheckResult("inputs", "drift", f"{window.start:%Y-%m-%d}", end, True, 0.1, 0.2, "All is well.")
        plain = {"window": check.window, "start": window.start, "end": end, "state": "s", "version": 1, "rows": 10}
        write_summary(folder_of(lake, "orders", "drift", window), WindowSummary(**plain, checks=(check,)))
    return ends


def test_of_a_long_history_what_ended_since_is_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same windows as of all of them, and no more files than lie within the longest window before that."""
    lake, parsed = Lake(root=str(tmp_path)), list[str]()
    ends = judged_days(lake, 400, datetime(2024, 1, 1, tzinfo=UTC))
    read = module._read
    monkeypatch.setattr(module, "_read", lambda file, kind: (parsed.append(file), read(file, kind))[1])
    monkeypatch.setattr(module, "LONGEST_WINDOW", timedelta(days=31))
    since = ends[-10]
    after = module.summaries(lake, "orders", "drift", WindowSummary, since=since)
    assert [each.end for each in after if each.end > since] == ends[-9:]
    assert len(parsed) == 9 + 31
    newest = module.newest_summary(lake, "orders", "drift", WindowSummary)
    assert newest is not None
    assert newest.end == ends[-1]
    assert [each.end for each in module.summaries(lake, "orders", "drift", WindowSummary)] == ends


def test_windows_of_years_are_all_read() -> None:
    since = datetime(2024, 1, 1, tzinfo=UTC)
    lengths = {"day": since, "month": since, "365d": since, "366d": None}
    for text, expected in lengths.items():
        model: Any = SimpleNamespace(monitoring=SimpleNamespace(rhythm=SimpleNamespace(length=parse_every(text))))
        assert module.within(model, since) == expected


def test_a_window_that_was_just_judged_is_there(tmp_path: Path) -> None:
    """Folders of one tick of the system's clock give the table the same time."""
    lake, first = Lake(root=str(tmp_path)), datetime(2024, 1, 1, tzinfo=UTC)
    for number in range(1, 30):
        judged_days(lake, number, first)
        assert len(module.judged_folders(lake, "orders", "drift")) == number
        (lake.folder("reports", "orders", "drift") / f"window=2025-01-{number:02}T0000").mkdir()
        assert len(module.judged_folders(lake, "orders", "drift")) == number

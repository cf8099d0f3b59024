"""What a step costs stands on its materialization and on record, also when it failed; so does a retraining's time."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops_assets.assets.metadata import link_to, markdown_value
from mlops_assets.assets.retrain_time import time_to_retrain
from mlops_assets.core.record.entries import Decision
from mlops_assets.core.values.display import BREAK, ROOM
from mlops_assets.pages.markdown import markdown_table
from mlops_assets.steps.watch.windows.summaries import WindowSummary, write_summary
from mlops_assets.world.costs import Costs
from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform
from tests.landing_home import LandingHome, rows

MODEL: Any = SimpleNamespace(name="orders")
COST = {"step_seconds", "step_cpu_seconds", "step_peak_memory_mib"}


@pytest.fixture
def home(tmp_path: Path) -> LandingHome:
    return LandingHome.at(tmp_path / "home")


def test_a_step_is_on_its_materialization_and_on_record(home: LandingHome) -> None:
    home.land_days([datetime(2024, 3, 1).date()])
    result = home.run()
    (event,) = [e for e in result.asset_materializations_for_node("raw_orders") if set(e.metadata) >= COST]
    (line,) = Costs(home.home.root).lines()
    assert (line["assets"], line["outcome"], line["run"]) == (["raw/orders"], "succeeded", result.run_id)
    assert line["seconds"] >= event.metadata["step_seconds"].value > 0
    assert line["cpu_seconds"] > 0
    assert line["peak_bytes"] > 50 * 2**20, "Python with pandas alone is larger"


def test_a_failed_step_is_on_record_too(home: LandingHome, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise ValueError("the disk is full")

    home.land(rows(datetime(2024, 3, 1).date()))
    monkeypatch.setattr("mlops_assets.assets.landing_source.take_in", full)
    assert not home.run().success
    assert {line["outcome"] for line in Costs(home.home.root).lines()} == {"failed"}


@pytest.mark.parametrize(
    ("header", "row", "opens"),
    [
        # Of the page at 1,400 pixels: this table of rules just fitted, that of slices cut the reason above it off.
        (["rule", "result", "value", "limit"], ["beats_champion", "passed", "0.0011", "0.0000"], False),
        (["slice", "rows", "champion", "challenger", "gain"], ["carrier=MQ", 1_200, 0.7123, 0.7001, -0.0122], True),
        (["rule", "result", "value", "limit"], ["calibration_not_worse", "failed", "0.0011", "0.0000"], True),
        (["what", "why"], ["carrier=MQ", "a long sentence of short words wraps, however long it is " * 3], False),
        (["a|b", "c"], ["x" * 10, "y" * 10], False),
        (["name"], ["x" * 60], True),
    ],
)
def test_a_wide_table_opens_in_a_window_of_its_own(header: list[str], row: list[object], opens: bool) -> None:
    text = f"Of one window.\n\n{markdown_table([row], header=header)}\n\n- and {'a list ' * 20}"
    shown = markdown_value(text).value
    assert shown.rstrip() == text.rstrip()
    assert (len(shown) >= 1_000) is opens, "Dagster shows shorter Markdown in its place"


def test_a_text_without_a_table_stays_in_its_place_and_a_long_one_as_it_is() -> None:
    reason = "roc_auc 0.7364 against 0.7311 of the champion: gain +0.0053 (95% interval +0.0011 to +0.0096)"
    assert markdown_value(reason).value == reason
    long = markdown_table([["x" * 60, 1]] * 30, header=["name", "n"])
    assert markdown_value(long).value == long


def retrained(platform: Platform, decision: str, created: datetime) -> float:
    record = SimpleNamespace(create_timestamp=created)
    context: Any = SimpleNamespace(
        run=SimpleNamespace(run_id="r", tags={"mlops/decision": decision}),
        instance=SimpleNamespace(get_run_record_by_id=lambda run: record),
    )
    return time_to_retrain(context, platform, MODEL, 2)


def test_a_retraining_counts_from_the_report_it_rests_on(tmp_path: Path) -> None:
    platform = Platform.of(Home(tmp_path / "home").prepare())
    now = datetime.now(UTC)
    for window, age in (("2024-03", 500), ("2024-04", 90)):
        file = platform.lake.folder("reports", "orders", "drift", f"window={window}", "summary.json")
        parts: Any = {"window": window, "start": now, "end": now, "state": "", "version": 1, "rows": 0, "checks": ()}
        write_summary(file.parent, WindowSummary(**parts))
        os.utime(file, ((now - timedelta(seconds=age)).timestamp(),) * 2)
    note = platform.ledger.record.note
    note("orders", Decision, at=now, id="d1", action="retrain", rule="gain", window="2024-04")
    note("orders", Decision, at=now, id="d0", action="retrain", rule="first_model", window=None)
    assert retrained(platform, "d1", now - timedelta(seconds=20)) == pytest.approx(90, abs=15)
    assert retrained(platform, "d0", now - timedelta(seconds=20)) == pytest.approx(20, abs=15)
    lines = Costs(platform.home.root).lines()
    assert [(line["kind"], line["model"], line["decision"]) for line in lines] == [
        ("retrain", "orders", "d1"),
        ("retrain", "orders", "d0"),
    ]


def test_a_long_word_in_a_reason_does_not_widen_the_page() -> None:
    """Nor is what Markdown acts upon broken into something else."""
    reason = f"{'a<b>' * 20} of {'x' * 90} against 0.73"
    told = markdown_value(reason).value
    assert told.replace(BREAK, "") == reason.replace("<", "&lt;")
    assert max(len(piece) for piece in re.split(rf"[\s{BREAK}]", told.replace("&lt;", "<"))) <= ROOM
    table = markdown_table([["x" * 60, 1]], header=["name", "n"])
    assert BREAK not in markdown_value(table).value


def test_a_file_that_is_called_by_its_hash_does_not_widen_the_page(tmp_path: Path) -> None:
    name = f"{'2a3751317fcb3ddd' * 4}.parquet"
    shown, _, target = link_to(tmp_path / name).value.partition("](")
    assert max(map(len, shown.removeprefix("[").split(BREAK))) <= ROOM
    assert (shown.removeprefix("[").replace(BREAK, ""), target) == (name, f"{(tmp_path / name).as_uri()})")

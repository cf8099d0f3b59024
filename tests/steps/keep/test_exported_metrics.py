"""The exporter: values from a home's own files, a part that fails, and the cache."""

from __future__ import annotations

import threading
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mlops_assets.steps.keep import metric_values
from mlops_assets.steps.keep.metric_names import BY_NAME
from mlops_assets.steps.keep.metrics import Collector, make_metrics_server
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.costs import Costs, Meter
from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform
from tests.metrics_home import MODEL, fill, judge_drift, without_registry


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    platform = Platform.of(Home(tmp_path / "home").prepare())
    fill(platform)
    return platform


def exposed(collector: Collector) -> dict[tuple[str, tuple[str, ...]], float]:
    """What a scrape gives: (name, label values in the catalogue's order) -> value."""
    registry = CollectorRegistry()
    registry.register(collector)  # type: ignore[arg-type]
    return {
        (sample.name, tuple(sample.labels[label] for label in BY_NAME[sample.name].labels)): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def test_reports_record_costs_and_alerts_are_exposed(platform: Platform) -> None:
    judge_drift(platform, shift=0.0)
    Alerts(root=str(platform.home.root)).send(
        incident="1", happened="a.", did="b.", do="c.", runbook="failed-run", severity="page"
    )
    found = exposed(Collector(platform, parts=without_registry()))
    assert found["mlops_check_passed", (MODEL, "inputs_match_reference")] == 1
    assert found["mlops_drift_share", (MODEL,)] == 0
    assert found["mlops_performance", (MODEL, "roc_auc")] == 0.71
    assert found["mlops_performance_lower", (MODEL, "roc_auc")] == 0.69
    assert found["mlops_estimated_performance", (MODEL, "roc_auc")] == 0.73
    assert ("mlops_estimated_performance", (MODEL, "calibration_error")) not in found, "unknown is absent"
    assert found["mlops_decisions_total", (MODEL, "wait", "nothing")] == 2
    assert found["mlops_outcomes_total", (MODEL, "promotion")] == 1
    assert found["mlops_outcomes_total", (MODEL, "worse")] == 0
    assert found["mlops_model_paused", (MODEL,)] == 1
    assert found["mlops_asset_cpu_seconds", ("m/challenger",)] == 4
    assert found["mlops_asset_cpu_seconds_total", ("m/challenger",)] == 7
    assert found["mlops_asset_steps_total", ("m/challenger", "succeeded")] == 2
    assert found["mlops_asset_peak_memory_bytes", ("dbt_models",)] == 5
    assert found["mlops_time_to_retrain_seconds", (MODEL,)] == 42
    assert found["mlops_incidents_open", ("page",)] == 1
    assert found["mlops_run_queue", ()] == 0
    assert all(found["mlops_collector_up", (part,)] == 1 for part in without_registry())


def test_an_injected_drift_shows_in_share_and_psi(platform: Platform) -> None:
    judge_drift(platform, shift=2.0)
    found = exposed(Collector(platform, parts=without_registry()))
    assert found["mlops_check_passed", (MODEL, "inputs_match_reference")] == 0
    assert found["mlops_drift_share", (MODEL,)] == 0.5
    assert found["mlops_feature_psi", (MODEL, "price")] > 0.2 > found["mlops_feature_psi", (MODEL, "size")]


def test_a_part_that_cannot_be_read_hides_no_other(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    def broken(platform: Platform) -> list[metric_values.Sample]:
        raise ValueError("Restore it from a backup")

    found = exposed(Collector(platform, parts={**without_registry(), "record": broken}))
    assert found["mlops_collector_up", ("record",)] == 0
    assert found["mlops_collector_up", ("reports",)] == 1
    assert ("mlops_model_paused", (MODEL,)) not in found
    assert "Restore it from a backup" in caplog.text


def test_a_record_that_cannot_be_read_hides_no_other(platform: Platform) -> None:
    platform.ledger.file(MODEL).write_text("[1]\n")
    found = exposed(Collector(platform, parts=without_registry()))
    assert found["mlops_collector_up", ("record",)] == 1
    told = {labels[0]: value for (name, labels), value in found.items() if name == "mlops_record_readable"}
    assert told == {name: float(name != MODEL) for name in platform.models()}
    assert ("mlops_model_paused", (MODEL,)) not in found


def test_many_scrapes_are_one_reading(platform: Platform) -> None:
    reads = []
    parts = {"alerts": lambda p: reads.append(1) or metric_values.alerts(p)}
    collector = Collector(platform, keep_seconds=60, parts=parts)
    for _ in range(3):
        exposed(collector)
    assert len(reads) == 1
    collector.keep_seconds = 0
    exposed(collector)
    assert len(reads) == 2


def test_health_reads_nothing_and_metrics_are_served(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops_assets.steps.keep.metrics.PARTS", without_registry())
    with make_metrics_server(platform, host="127.0.0.1", port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with urllib.request.urlopen(f"{address}/health", timeout=10) as reply:
            assert reply.read() == b"ok\n"
        with urllib.request.urlopen(f"{address}/metrics", timeout=60) as reply:
            assert b'mlops_collector_up{collector="reports"} 1.0' in reply.read()
        server.shutdown()


def test_a_step_is_measured(tmp_path: Path) -> None:
    Costs(tmp_path).step(Meter.start().read(), run="r", job="j", step="s", assets=["a"], outcome="failed")
    meter = Meter.start()
    held = bytearray(200 * 2**20)
    del held
    large = meter.read()
    meter = Meter.start()
    # On a busy machine a process gets less of a second than the second.
    deadline, began = datetime.now(UTC) + timedelta(seconds=0.2), time.process_time()
    while datetime.now(UTC) < deadline or time.process_time() - began < 0.06:
        pd.Series(range(100)).sum()
    small = meter.read()
    assert small.seconds >= 0.2
    assert 0.05 < small.cpu_seconds <= small.seconds * 8
    if small.peak_since == "step":
        assert large.peak_bytes - small.peak_bytes > 150 * 2**20, "the mark of the step before is set back"


def test_a_line_that_a_kill_left_unfinished_is_cut_off(tmp_path: Path) -> None:
    costs = Costs(tmp_path)
    costs.append("retrain", {"model": "m", "seconds": 1})
    with costs.file.open("a") as file:
        file.write('{"kind": "ste')
    assert len(costs.lines()) == 1
    costs.append("retrain", {"model": "m", "seconds": 2})
    assert [line["seconds"] for line in costs.lines()] == [1, 2]

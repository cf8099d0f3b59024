"""The rules and the dashboard against the metrics there are; a real Prometheus that scrapes, and whose rules fire."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_assets.steps.keep.metric_names import METRICS
from mlops_assets.steps.keep.metrics import make_metrics_server
from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform
from tests.checkout import CHECKOUT
from tests.metrics_home import MODEL, fill, judge_drift, without_registry

MONITORING = CHECKOUT / "deploy" / "monitoring"
SERIES = {name for spec in METRICS for name in spec.series}
LOUD = "NOT TESTED: {} is not installed, so nothing says that the rules work. Install it: apt-get install prometheus"


def tool(name: str) -> str:
    """The path of a program of Debian's package `prometheus`; without it the test is skipped, and says so."""
    return shutil.which(name) or pytest.skip(LOUD.format(name))


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def named(expression: str) -> set[str]:
    """The metrics and recorded series that a query names."""
    return set(re.findall(r"\bmlops[\w:]*", re.sub(r'"[^"]*"', "", expression)))


def queries() -> list[str]:
    """Every query of the dashboard."""
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            found.extend(node[key] for key in ("expr", "definition") if isinstance(node.get(key), str))
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(child)

    walk(json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8")))
    return found


def test_rules_and_dashboard_name_metrics_that_exist() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for expression in [*(rule["expr"] for rule in rules()), *queries()]:
        assert named(expression) - SERIES - recorded == set(), expression
    assert len(queries()) > 30


def test_every_metric_is_looked_at_somewhere() -> None:
    used = set().union(*(named(expression) for expression in [*(rule["expr"] for rule in rules()), *queries()]))
    # Read by people who ask, in no panel.
    spare = {
        "mlops_model_clock_timestamp_seconds",
        "mlops_window_end_timestamp_seconds",
        "mlops_window_rows",
        "mlops_check_value",
        "mlops_run_end_timestamp_seconds",
        "mlops_source_newest_timestamp_seconds",
        "mlops_collector_seconds",
        "mlops_estimated_performance_lower",
        "mlops_estimated_performance_upper",
        "mlops_request_seconds_sum",
        "mlops_request_seconds_count",
    }
    assert SERIES - used == spare


def test_labels_of_ours_are_not_those_of_prometheus() -> None:
    assert {label for spec in METRICS for label in spec.labels} & {"job", "instance", "le"} == set()


def test_every_alert_says_how_it_hurries_and_where_it_is_explained() -> None:
    sections = re.findall(r"(?m)^## (\S+)$", (CHECKOUT / "docs" / "runbook.md").read_text(encoding="utf-8"))
    page = (CHECKOUT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len(alerts) >= 15
    for rule in alerts:
        assert rule["labels"]["severity"] in ("page", "notify", "digest"), rule["alert"]
        assert rule["annotations"]["runbook"].removeprefix("docs/runbook.md#") in sections, rule["alert"]
        assert f"`{rule['alert']}`" in page, f"docs/monitoring.md lacks {rule['alert']}"
    drift = next(rule for rule in alerts if rule["alert"] == "Drift")
    assert drift["labels"]["severity"] == "digest", "an alarm without consequence is never a page"


def test_every_metric_is_documented_with_its_labels() -> None:
    page = (CHECKOUT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"(?m)^\| `(mlops_\w+)` \| (.*?) \|", page))
    assert documented == {spec.name: ", ".join(f"`{label}`" for label in spec.labels) for spec in METRICS}


def test_promtool_accepts_the_rules_and_their_tests_pass() -> None:
    promtool = tool("promtool")
    for words in (["check", "config", "prometheus.yml"], ["test", "rules", "rules_test.yml"]):
        done = subprocess.run([promtool, *words], cwd=MONITORING, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    tested = (MONITORING / "rules_test.yml").read_text(encoding="utf-8")
    assert [rule["alert"] for rule in rules() if "alert" in rule and rule["alert"] not in tested] == []


def test_promtool_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    promtool = tool("promtool")
    plain = [q.replace("$model", ".*") for q in queries() if not q.startswith("label_values")]
    made = {"groups": [{"name": "panels", "rules": [{"record": f"panel:{i}", "expr": q} for i, q in enumerate(plain)]}]}
    (tmp_path / "panels.yml").write_text(yaml.safe_dump(made))
    done = subprocess.run([promtool, "check", "rules", "panels.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# --- a real Prometheus -------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    platform = Platform.of(Home(tmp_path / "home").prepare())
    fill(platform)
    judge_drift(platform, shift=0.0)
    return platform


@pytest.fixture
def exporter(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The exporter of the home, without its cache; its port."""
    monkeypatch.setattr("mlops_assets.steps.keep.metrics.PARTS", without_registry())
    monkeypatch.setattr("mlops_assets.steps.keep.metrics.KEEP_SECONDS", 0.0)
    with make_metrics_server(platform, host="127.0.0.1", port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def ask(exporter: int, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A running Prometheus with this repository's rules, every second and without their waiting; asks its API."""
    program, port = tool("prometheus"), free_port()
    settings = yaml.safe_load((MONITORING / "prometheus.yml").read_text(encoding="utf-8"))
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s", "scrape_timeout": "1s"}
    jobs = {job["job_name"]: job for job in settings["scrape_configs"]}
    jobs["mlops"] |= {"static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}], "scrape_timeout": "1s"}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
    groups = yaml.safe_load((MONITORING / "rules.yml").read_text(encoding="utf-8"))
    for rule in (rule for group in groups["groups"] for rule in group["rules"]):
        rule.pop("for", None)
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(groups))
    words = ["--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.path=data"]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program, *words], cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)

    def api(path: str, **parameters: str) -> Any:
        address = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=10) as reply:
            return json.load(reply)["data"]

    try:
        yield api
    finally:
        process.terminate()
        process.wait(timeout=30)


def until(found: Callable[[], Any], seconds: float = 90) -> Any:
    """What it finds, once it finds something."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if result := found():
                return result
        except OSError:
            pass  # it is not up yet
        assert time.monotonic() < deadline, "nothing was found in time"
        time.sleep(0.3)


@pytest.mark.slow
def test_prometheus_scrapes_and_an_injected_drift_fires(ask: Callable[..., Any], platform: Platform) -> None:
    def value(query: str) -> float | None:
        result = ask("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else None

    def firing() -> dict[str, dict[str, Any]]:
        return {a["labels"]["alertname"]: a for a in ask("alerts")["alerts"] if a["state"] == "firing"}

    until(lambda: value('up{job="mlops"}') == 1)
    until(lambda: value(f'mlops_performance{{model="{MODEL}", metric="roc_auc"}}') == 0.71)
    assert value(f'mlops_check_passed{{model="{MODEL}", check="inputs_match_reference"}}') == 1
    assert "Drift" not in firing()

    judge_drift(platform, shift=2.0)
    alert = until(lambda: firing().get("Drift"))
    assert alert["labels"]["severity"] == "digest"
    assert alert["labels"]["model"] == MODEL
    assert alert["annotations"]["runbook"] == "docs/runbook.md#drift"
    assert value("mlops_drift_share") == 0.5

    judge_drift(platform, shift=0.0)
    until(lambda: "Drift" not in firing())

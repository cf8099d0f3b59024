"""What a person sees of a replay: progress, the table, where things are. The replay has tests of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from mlops_assets.commands import running
from mlops_assets.commands.replay import _say_result, shown_progress
from mlops_assets.simulate.replay import Replayed
from mlops_assets.world.home import Home

Mlops = Callable[..., Result]


def test_what_tools_say_goes_to_the_log_and_progress_to_the_person(
    home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    with shown_progress(home) as progress:
        progress("training the first champion", 1, 11)
        subprocess.run([sys.executable, "-c", "import sys; sys.stderr.write('dbt says [this]')"], check=True)
    sys.stderr.write("afterwards")
    told = capfd.readouterr().err
    assert "[1/11] training the first champion" in told
    assert "dbt says" not in told
    assert told.endswith("afterwards")
    assert (home.root / "logs" / "replay.log").read_text() == "dbt says [this]"


def test_on_a_terminal_the_tools_do_not_talk_into_the_bar(home: Home) -> None:
    # In a process of its own: here sys.stdout is the capture's, not the terminal's.
    code = (
        "from mlops_assets.commands.replay import shown_progress; from mlops_assets.world.home import Home\n"
        "with shown_progress(Home.from_environment()) as progress:\n"
        "    progress('training', 1, 11); print('dbt says this')"
    )
    env = {**os.environ, **home.environment(), "FORCE_COLOR": "1"}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert "training" in ran.stderr
    assert "dbt says this" not in ran.stdout + ran.stderr
    assert (home.root / "logs" / "replay.log").read_text() == "dbt says this\n"


def test_status_says_that_a_demo_runs_and_how_far_it_is(mlops: Mlops, home: Home) -> None:
    below = Home(home.replays / "flight_delay-20130501").prepare()
    with shown_progress(home, "demo") as progress, shown_progress(below, below.root.name) as other:
        progress("living through 2013-05", 3, 11)
        other("training", 1, 5)
        shown = mlops("status").stdout
        with pytest.raises(ValueError, match="A replay is at work in"), shown_progress(home, "demo"):
            pass
        assert "Up     no\n" in shown
        assert f"Runs   demo, 3 of 11 steps done: living through 2013-05 (process {os.getpid()})" in shown
        assert "Runs   flight_delay-20130501, 1 of 5 steps done: training" in shown
        ours, _ = json.loads(mlops("status", "--json").stdout)["replays"]
        assert (ours["name"], ours["step"], ours["done"], ours["steps"]) == ("demo", "living through 2013-05", 3, 11)
    assert "nothing runs by itself until" in mlops("status").stdout


def test_a_demo_that_was_killed_does_not_run(mlops: Mlops, home: Home) -> None:
    home.prepare()
    code = (
        "import os; from mlops_assets.commands.running import replaying; from mlops_assets.world.home import Home\n"
        "with replaying(Home.from_environment(), 'demo'): os.kill(os.getpid(), 9)"
    )
    ran = subprocess.run([sys.executable, "-c", code], env={**os.environ, **home.environment()}, check=False)
    assert ran.returncode == -9
    assert json.loads(mlops("status", "--json").stdout)["replays"] == []


def test_the_log_is_let_go_of_after_an_error(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), shown_progress(home):
        _ = 1 / 0
    sys.stdout.write("afterwards")
    assert capfd.readouterr().out == "afterwards"


def test_the_result_is_a_table_and_where_to_read_on(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    period = {
        "start": "2013-04-01",
        "end": "2013-05-01",
        "label": "2013-04",
        "rows": 28330,
        "labelled_rows": 27000,
        "label_mean": 0.2,
        "static": 0.65,
        "auto": 0.7,
        "always": None,
        "checks": {"performance_holds": False},
        "decision": "retrain",
        "rule": "performance",
        "reason": "because",
        "retrained": True,
        "promoted": False,
        "champion_version": 1,
        "verdict_reason": "rejected",
    }
    summary = {"static": 0.65, "auto": 0.7, "always": None, "seconds": 61.4, "always_trainings": 1}
    summary |= {"retrains": 1, "promotions": 0, "rejections": 1}
    result = {"model": "flight_delay", "metric": "roc_auc", "task": "binary", "greater_is_better": True}
    result |= {"left_out": ["2013-03"]}
    _say_result(Replayed({**result, "periods": [period], "summary": summary}, Path("reports/replay.html"), home))
    shown = capsys.readouterr().out
    row = next(line for line in shown.splitlines() if "2013-04" in line)
    assert "27,000" in row
    assert "rejected" in row
    assert "No first champion before 2013-04-01: 2013-03 left out." in shown
    assert "Report: reports/replay.html" in shown
    assert f"mlops --home {home.root} up" in shown


def test_a_demo_does_not_race_a_running_daemon(mlops: Mlops, home: Home) -> None:
    with running.claimed(home, dagster="http://127.0.0.1:3000", mlflow="http://127.0.0.1:5000"):
        refused = mlops("demo")
    assert refused.exit_code == 1
    assert "would start the same runs. Stop it" in refused.stderr


def test_a_replay_that_ends_before_it_starts(mlops: Mlops, home: Home, tmp_path: Path) -> None:
    days = ["--start", "2013-05-01", "--end", "2013-04-01"]
    refused = mlops("replay", "flight_delay", *days, "--report", str(tmp_path))
    assert (refused.exit_code, "swap --start and --end" in refused.stderr) == (1, True)
    known = mlops("replay", "trains", *days, "--report", str(tmp_path))
    assert "Known: arrival_delay, card_fraud, carrier_delay, flight_delay." in known.stderr


def test_resuming_what_was_never_started(mlops: Mlops, home: Home, tmp_path: Path) -> None:
    days = ["--start", "2013-04-01", "--end", "2013-05-01"]
    refused = mlops("replay", "flight_delay", *days, "--report", str(tmp_path), "--resume", "nothing")
    assert (refused.exit_code, "no replay 'nothing' to resume" in refused.stderr) == (1, True)

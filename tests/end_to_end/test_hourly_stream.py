"""A stream by the hour, from messages to candidate: an hour that has moved starts a training before its day is over."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mlops_assets.onboarding.projects.new_project import make
from tests import forked
from tests.checkout import CHECKOUT
from tests.hourly_stream import TODAY


@pytest.mark.slow
def test_an_hour_that_has_moved_starts_a_candidate_on_its_day(tmp_path: Path) -> None:
    project, out = make("shop", tmp_path), tmp_path / "lived.json"
    environment = {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT),
        "MLOPS_PROJECT": str(project),
        "MLOPS_HOME": str(tmp_path / "home"),
    }
    live = "import runpy; runpy.run_module('tests.hourly_stream', run_name='__main__')"
    done = forked.run(live, str(out), place=CHECKOUT, environment=environment)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    lived = json.loads(out.read_text(encoding="utf-8"))
    assert lived["first"] == 1
    quiet, moved = lived["hours"]
    assert (quiet["landed"], quiet["now"], quiet["tags"]) == (1, f"{TODAY}T10:00:00+00:00", [])
    assert (quiet["decision"]["action"], quiet["decision"]["window"]) == ("wait", f"{TODAY}T09..10")
    # The day goes on for thirteen hours.
    assert (moved["landed"], moved["now"]) == (1, f"{TODAY}T11:00:00+00:00")
    of_today = {window: passed for window, passed in lived["windows"].items() if window.startswith(f"{TODAY}")}
    assert of_today == {f"{TODAY}T09..10": [True, None], f"{TODAY}T10..11": [False, None]}
    decision, (tags,) = moved["decision"], moved["tags"]
    assert (decision["action"], decision["rule"], decision["window"]) == ("retrain", "drift", f"{TODAY}T10..11")
    assert decision["reasons"][0].startswith(
        f"The trigger drift (psi 0.2) asks for a training: in window {TODAY}T10..11: 1 of "
    )
    assert "feat_returns__amount PSI" in decision["reasons"][0]
    # A Friday among all days: that is no drift.
    assert "feat_returns__event_weekday cannot be judged: it goes by the calendar" in decision["reasons"][0]
    assert (tags["mlops/rule"], tags["mlops/decision"]) == ("drift", decision["id"])

"""How far a demo is: its stages are counted together, and none starts over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlops_assets.simulate import demo, fraud_demo
from mlops_assets.simulate.replay import Progress
from mlops_assets.simulate.replay_settings import ReplaySettings, periods_of, steps_of
from mlops_assets.world.home import Home

Line = tuple[str, int, int]


def told_by_a_replay(settings: ReplaySettings, *, progress: Progress, **_: Any) -> None:
    """What a replay tells, one period less than planned: before it no champion came to be."""
    steps = steps_of(periods_of(settings, "America/New_York"))
    progress("building", 0, steps)
    progress("training", 1, steps)
    for number in range(steps - 3):
        progress("living", number + 2, steps - 1)
    progress("scoring", steps - 1, steps - 1)


@pytest.mark.parametrize("module", [demo, fraud_demo])
def test_no_stage_starts_over(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[Line] = []

    def streamed(home: Home, *, progress: Progress) -> None:
        for day in (*range(7, fraud_demo.DAYS, 7), fraud_demo.DAYS):
            progress("streaming", day, fraud_demo.DAYS)

    monkeypatch.setattr(module, "replay", told_by_a_replay)
    monkeypatch.setattr(demo, "land", lambda *_: None)
    monkeypatch.setattr(fraud_demo, "stream_payments", streamed)
    monkeypatch.setattr(module, "leave_others_alone", lambda *_: None)
    monkeypatch.setattr(module, "come_to_rest", lambda home, progress: progress("looking", 1, 1))
    run = demo.demo if module is demo else fraud_demo.demo_fraud
    run(home=Home(tmp_path / "home"), progress=lambda *line: lines.append(line))
    done = [line[1] for line in lines]
    assert done == sorted(done)
    assert len({line[2] for line in lines}) == 1, "the total stays"
    assert (lines[0][1] <= 1, lines[-1][0], lines[-1][1]) == (True, "looking", lines[-1][2])
    assert lines[-2][1] < lines[-1][1]

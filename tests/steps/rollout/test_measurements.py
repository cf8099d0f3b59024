"""Looks at a candidate: their levels, and pairs of scores by event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from mlops_assets.core.rollout.answer_counts import bucket_of
from mlops_assets.core.rollout.moves import Rollout, RolloutPolicy
from mlops_assets.steps.predict import answer_counts
from mlops_assets.steps.rollout.measurements import confidence_of_look, files_state, pairs_of
from mlops_assets.world.lake import Lake


def test_all_looks_together_err_as_seldom_as_one() -> None:
    levels = [1.0 - confidence_of_look(0.95, number) for number in range(1, 10_001)]
    assert levels[0] == pytest.approx(0.025)
    # The sum of 1 / (n (n + 1)) up to N is N / (N + 1).
    assert sum(levels) == pytest.approx(0.05 * 10_000 / 10_001)


def test_an_event_counts_when_both_have_scored_it_whoever_answered() -> None:
    now = datetime(2013, 3, 4, tzinfo=UTC)
    said = pd.DataFrame(
        [("a", 0.1, 1), ("a", 0.2, 2), ("b", 0.3, 2), ("b", 0.4, 1), ("c", 0.5, 1), ("d", 0.6, 2), ("a", 0.9, 3)],
        columns=["key", "score", "model_version"],
    ).assign(event_timestamp=now)
    rollout = Rollout(version=2, champion=1, state="canary", step=0, since=now, decision="d")
    found = pairs_of(said, ["key"], rollout)
    assert found.events["key"].tolist() == ["a", "b"]
    assert found.candidate.tolist() == [0.2, 0.3]
    assert found.other.tolist() == [0.1, 0.4]


def test_a_broken_limit_of_requests_asks_for_a_look_at_once_and_counts_alone_do_not(tmp_path: Path) -> None:
    now = datetime(2013, 3, 4, 12, tzinfo=UTC)
    lake = Lake(root=str(tmp_path))
    platform: Any = SimpleNamespace(lake=lake, data=lambda model: SimpleNamespace(day=lambda moment: moment.date()))
    model: Any = SimpleNamespace(name="m", rollout=RolloutPolicy(), label=SimpleNamespace(model="lbl"))
    rollout = Rollout(version=2, champion=1, state="canary", step=0, since=now, decision="d")

    def counted(writer: str, seconds: float, *, failed: bool = False, count: int = 100, arm: str = "canary") -> str:
        row = (now + timedelta(minutes=1), 2, arm, failed, bucket_of(seconds), count)
        answer_counts.write(lake, "m", now.date(), writer, [row])
        return files_state(platform, model, now, rollout)

    before = files_state(platform, model, now, rollout)
    assert counted("fast", 0.01) == before
    assert counted("one slow", 0.5, count=1) == before
    assert counted("in shadow", 0.5, arm="shadow") == before
    slow = counted("slow", 0.5)
    assert slow != before
    assert counted("failing", 0.01, failed=True) not in (before, slow)

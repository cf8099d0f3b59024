"""Where no small change would have changed a decision, a larger one does, and its replay shows it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.core.decide.counterfactuals import _other_novelty, larger_changes, replay
from mlops_assets.core.decide.evidence import Novelty
from mlops_assets.core.decide.policy import CheckResult, Evidence, History, RetrainPolicy, decide

NOW = datetime(2013, 3, 4, tzinfo=UTC)
POLICY = RetrainPolicy(drift_breaches=2)


def drifting(*names: str, **values: object) -> Evidence:
    """Two weeks in which these checks failed."""
    checks = tuple(
        CheckResult(name, "drift", f"w{week}", NOW - timedelta(days=7 * week), passed=False)
        for name in names
        for week in (1, 0)
    )
    known = {"champion_version": "1", "champion_since": NOW - timedelta(days=14), "matured_labels": 9_000}
    return Evidence("m", "w0", checks, **{**known, **values})  # type: ignore[arg-type]


def test_a_decision_by_two_checks_is_changed_by_both() -> None:
    evidence = drifting("inputs", "scores")
    decision = decide(evidence, POLICY, History(), NOW)
    assert (decision.action, decision.rule) == ("retrain", "drift")
    found = larger_changes(evidence, POLICY, History(), NOW, decision.action)
    assert found[0].sentence == ("If inputs and scores had passed in every window, the answer would have been wait.")
    assert found[0].checks == {"inputs": True, "scores": True}


@pytest.mark.parametrize(
    "evidence",
    [
        drifting("inputs"),
        drifting(),
        drifting("inputs", matured_labels=3),
        drifting("inputs", paused="moving"),
        drifting("inputs", data_ok=False),
        Evidence("m", None, matured_labels=9_000),
    ],
)
def test_each_change_flips_the_action_when_it_is_replayed(evidence: Evidence) -> None:
    decision = decide(evidence, POLICY, History(), NOW)
    for change in larger_changes(evidence, POLICY, History(), NOW, decision.action):
        assert replay(change, evidence, POLICY, History(), NOW) == change.action != decision.action
        assert change.action.replace("_", " ") in change.sentence


def test_every_decision_has_one() -> None:
    for evidence in (drifting("inputs"), drifting(), Evidence("m", None, matured_labels=9_000)):
        action = decide(evidence, POLICY, History(), NOW).action
        assert larger_changes(evidence, POLICY, History(), NOW, action)


@pytest.mark.parametrize("share", [0.0095001, 0.00954, 0.012, 0.95, 1e-9])
def test_two_numbers_that_differ_are_written_so(share: float) -> None:
    now = datetime(2024, 3, 4, tzinfo=UTC)
    (change,) = _other_novelty(Evidence(model="m", window="w", novelty=Novelty(share, "w", now)), RetrainPolicy())
    first, second = re.findall(r"[0-9.]+%", change.sentence)
    assert float(first[:-1]) < float(second[:-1])
    assert change.policy["max_novelty"] < share

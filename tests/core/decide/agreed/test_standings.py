"""How agreed triggers stand: value, limit and state, in a line each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_assets.core.decide.agreed.reading import read_triggers
from mlops_assets.core.decide.agreed.results import CANNOT_FIRE, InWindow, drift_result
from mlops_assets.core.decide.agreed.standings import Standing, standings
from mlops_assets.core.decide.agreed.triggers import OnDrift
from mlops_assets.core.decide.evidence import CheckResult, Evidence
from mlops_assets.core.decide.history import History, Past
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.drift.feature_drift import FeatureDrift
from mlops_assets.core.time.calendar_cycles import part_of_cycle
from mlops_assets.core.time.windows import Window

FITTED = datetime(2024, 3, 4, tzinfo=UTC)


def stand(
    entry: Any, *answers: tuple[bool | None, float | None, float | None], answered: int = 0, **of: Any
) -> Standing:
    """A trigger after windows of a day with these answers, the first `answered` of which a training has answered.

    With another `action` an earlier decision has known them.
    """
    (trigger,) = read_triggers([entry])
    results = [
        CheckResult(
            of.get("name", trigger.name),
            trigger.kind,
            f"2024-03-{4 + day:02}",
            FITTED + timedelta(days=day + 1),
            *answer,
        )
        for day, answer in enumerate(answers)
    ]
    evidence = Evidence("m", None, champion_version="1", champion_since=FITTED)
    field = "triggers" if trigger.is_checked else "checks"
    evidence = Evidence("m", None, champion_version="1", champion_since=FITTED, **{field: tuple(results)})
    ends = {result.name: result.window_end for result in results[:answered]}
    past = Past(FITTED + timedelta(days=30), of.get("action", "retrain"), "", judged=ends, triggered=ends)
    (standing,) = standings(RetrainPolicy(on=(trigger,)), evidence, History((past,) if answered else ()))
    return standing


NO, YES = (False, 0.25, 0.0), (True, 0.0, 0.0)
CASES: dict[str, tuple[Standing, str]] = {
    "holds": (stand({"drift": {"psi": 0.2}}, YES, YES), "drift (psi 0.2): 0.0% drifted, limit 0.0%: holds"),
    "known, and over": (
        stand({"drift": {"psi": 0.2}}, NO, YES, answered=1, action="wait"),
        "drift (psi 0.2): 0.0% drifted, limit 0.0%: holds",
    ),
    "beyond": (
        stand({"drift": {"psi": 0.2}}, YES, NO),
        "drift (psi 0.2): 25.0% drifted, limit 0.0%: beyond it",
    ),
    "in a row": (
        stand({"drift": {"psi": 0.2, "windows": 3}}, NO, YES, NO, NO),
        "drift (psi 0.2, windows 3): 25.0% drifted, limit 0.0%: beyond it, 2 of 3 windows",
    ),
    "asks": (
        stand({"drift": {"psi": 0.2, "windows": 2}}, YES, NO, NO),
        "drift (psi 0.2, windows 2): 25.0% drifted, limit 0.0%: beyond it",
    ),
    "a run that nobody has answered asks, whatever came after it": (
        stand({"drift": {"psi": 0.2, "windows": 2}}, NO, NO, YES, (False, 0.5, 0.0)),
        "drift (psi 0.2, windows 2): 25.0% drifted, limit 0.0%: beyond it up to window 2024-03-05",
    ),
    "what a training has answered counts no more": (
        stand({"drift": {"psi": 0.2, "windows": 2}}, NO, NO, answered=1),
        "drift (psi 0.2, windows 2): 25.0% drifted, limit 0.0%: beyond it, 1 of 2 windows",
    ),
    "answered": (
        stand({"performance": {"floor": 0.9}}, (False, 0.8, 0.9), answered=1),
        "performance (floor 0.9): 0.8, limit 0.9: answered by a training",
    ),
    "nothing yet": (stand({"drift": {"psi": 0.2}}), "drift (psi 0.2): nothing judged yet"),
    "cannot judge": (
        stand({"importance": {"ndcg": 0.8}}, (None, None, 0.8)),
        "importance (ndcg 0.8): cannot judge",
    ),
    "rows": (stand({"data": {"rows": 5000}}, (True, 1234.0, 5000.0)), "data (rows 5000): 1,234, limit 5,000: holds"),
    "lag": (
        stand({"freshness": {"lag": "3d"}}, (True, 12.5, 72.0)),
        "freshness (lag 3d): 12.5 h, limit 72.0 h: holds",
    ),
    "schedule": (
        stand({"schedule": {"every": "7d"}}, (True, None, None)),
        "schedule (every 7d): next due at 2024-03-04",
    ),
    "due": (stand({"schedule": {"every": "7d"}}, (False, None, None)), "schedule (every 7d): due since 2024-03-04"),
    "monitors": (
        stand("drift", NO, name="inputs_match_reference"),
        "drift: 25.0% drifted, limit 0.0%: beyond it, 1 of 2 windows",
    ),
    "gain": (stand("gain"), "gain: nothing judged yet"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_trigger_stands_in_one_line(name: str) -> None:
    standing, line = CASES[name]
    assert standing.line == line


def test_a_name_is_never_cut() -> None:
    names = [f"feat_flight__feature_{number}" for number in range(9)]
    line = stand({"drift": {"psi": 0.2, "features": names}}, NO).line
    assert all(name in line for name in names)
    assert line.endswith("beyond it")


def test_what_goes_by_the_calendar_alone_cannot_fire() -> None:
    (trigger,) = read_triggers([{"drift": {"psi": 0.2}}])
    assert isinstance(trigger, OnDrift)
    why = part_of_cycle("week", Window(FITTED, FITTED + timedelta(days=1)))
    weekday = FeatureDrift("feat__weekday", "numeric", 100, 100, why=why)
    result = drift_result(trigger, [weekday], InWindow("2024-03-04", FITTED + timedelta(days=1)))
    evidence = Evidence("m", None, champion_version="1", champion_since=FITTED, triggers=(result,))
    (standing,) = standings(RetrainPolicy(on=(trigger,)), evidence, History())
    assert standing.line == "drift (psi 0.2): cannot fire"
    assert result.sentence.startswith("It cannot fire: feat__weekday: it goes by the calendar, and the window holds")
    assert result.sentence.endswith("or set a monitoring.window that holds the whole cycle.")
    assert "nothing has to be done" not in result.sentence
    # Beside others it is no news, and nobody has to do anything.
    assert why.endswith("so nothing has to be done.")


def test_what_cannot_fire_stands_so() -> None:
    (trigger,) = read_triggers([{"drift": {"chi2_p": 0.05}}])
    silent = trigger.result("", FITTED, passed=None, sentence=f"{CANNOT_FIRE} chi2_p says nothing of numbers.")
    evidence = Evidence("m", None, champion_version="1", champion_since=FITTED, triggers=(silent,))
    (standing,) = standings(RetrainPolicy(on=(trigger,)), evidence, History())
    assert standing.line == "drift (chi2_p 0.05): cannot fire"

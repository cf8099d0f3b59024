"""Events that ask for a training: on record once, one at a time, and what becomes of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.core.record.entries import Decision, Freeze, Promotion, Rejection, Request, RolloutMove, only
from mlops_assets.steps.decide.asked_parameters import as_asked, with_parameters
from mlops_assets.steps.decide.retrain_events import Conflict, RetrainEvent, TrainingWish, ask, event, parameters_of
from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform
from mlops_assets.world.record.record import Record
from mlops_assets.world.runs.training_runs import TrainingRun, TrainingRuns

MODEL = "flight_delay"
NOW = datetime(2013, 5, 1, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def asked(home: Home, **values: Any) -> tuple[RetrainEvent, bool]:
    options = {name: values.pop(name) for name in ("now", "key", "joins_training") if name in values}
    request = TrainingWish(**{"by": "ci", "reason": "a new tariff", **values})
    return ask(home, MODEL, request, **{"now": lambda: NOW, **options})


def decided(home: Home, action: str = "retrain", *, rule: str = "request", id: str = "d1", **values: Any) -> None:
    record = Record(home.ledger)
    record.append(MODEL, Decision(id=id, model=MODEL, at=NOW, action=action, rule=rule, **values))  # type: ignore[arg-type]


def state(home: Home, id: str) -> tuple[str, str, str | None, str | None, int | None]:
    known = event(home, id)
    assert known is not None
    return known.state, known.why, known.decision, known.run, known.version


def test_a_request_from_its_event_to_its_verdict(home: Home) -> None:
    begun, is_new = asked(home, parameters={"trials": 3})
    assert (is_new, begun.state, begun.by, begun.parameters) == (True, "waiting", "ci", {"trials": 3})
    assert state(home, begun.id)[:2] == ("waiting", "The retrain sensor has not looked yet.")
    decided(home, "wait", rule="rollout_open", id="d0", reasons=("Version 4 is in canary.",))
    assert state(home, begun.id)[:2] == ("waiting", "Version 4 is in canary.")
    decided(home)
    assert state(home, begun.id) == ("decided", "", "d1", None, None)
    runs = TrainingRuns(home.root)
    runs.note(MODEL, "d1", TrainingRun("r1", "It failed in challenger: no disk."))
    assert state(home, begun.id) == ("broken", "It failed in challenger: no disk.", "d1", "r1", None)
    runs.note(MODEL, "d1", TrainingRun("r2"))
    assert state(home, begun.id) == ("running", "", "d1", "r2", None)
    Record(home.ledger).note(MODEL, Rejection, version=2, decision="d1", reason="It is no better.")
    assert state(home, begun.id) == ("rejected", "It is no better.", "d1", "r2", 2)
    again, is_new = asked(home)
    assert (is_new, again.id != begun.id) == (True, True)


@pytest.mark.parametrize(
    ("at", "then"), [("canary", "in rollout"), ("rolled_back", "rejected"), ("champion", "promoted")]
)
def test_a_rollout_comes_before_the_verdict(home: Home, at: str, then: str) -> None:
    begun, _ = asked(home)
    decided(home)
    Record(home.ledger).note(MODEL, RolloutMove, version=2, decision="d1", state=at, since=NOW, reason="Step 1.")
    assert state(home, begun.id)[0] == then


def test_a_storm_of_events_is_one_request_and_then_one_training(home: Home) -> None:
    first, _ = asked(home)
    for number in range(20):
        assert asked(home, reason=f"event {number}", key=f"key {number}") == (first, False)
    decided(home)
    TrainingRuns(home.root).note(MODEL, "d1", TrainingRun("r1"))
    answer, is_new = asked(home, reason="one more")
    assert (answer.id, answer.state, answer.run, is_new) == (first.id, "running", "r1", False)
    assert len(only(Record(home.ledger).entries(MODEL), Request)) == 1
    word, is_new = asked(home, reason="a person's word", joins_training=False)
    assert (is_new, word.state) == (True, "waiting"), "a person's word waits for the next one"
    assert asked(home, reason="another word", joins_training=False) == (word, False)
    decided(home, id="d2")
    Record(home.ledger).note(MODEL, Rejection, version=3, decision="d2", reason="It is no better.")
    Record(home.ledger).note(MODEL, Promotion, version=2, decision="d1", reason="It is better.")
    assert asked(home, reason="one more")[1]


def test_a_training_that_no_event_asked_for_answers_with_its_decision(home: Home) -> None:
    decided(home, rule="schedule", id="d7", reasons=("It was due.",))
    answer, is_new = asked(home)
    assert (answer.id, answer.by, answer.reason, answer.state, is_new) == (
        "d7",
        "the platform",
        "It was due.",
        "decided",
        False,
    )
    assert event(home, "d7") == answer


def test_the_same_key_is_the_same_request_for_ever(home: Home) -> None:
    first, _ = asked(home, key="order 7")
    decided(home)
    Record(home.ledger).note(MODEL, Rejection, version=2, decision="d1", reason="It is no better.")
    again, is_new = asked(home, key="order 7")
    assert (again.id, again.state, is_new) == (first.id, "rejected", False)
    with pytest.raises(Conflict, match=r"the key order 7 was used for another request.*use a new one"):
        asked(home, key="order 7", reason="something else")
    assert asked(home, key="order 8")[1]


def test_a_request_that_says_nothing_of_force_is_one_without(home: Home) -> None:
    first, _ = asked(home, key="k")
    (file,) = home.ledger.glob("*.jsonl")
    older = Home(home.root / "older")
    # As an earlier release has written it.
    Record(older.ledger).note(MODEL, Request, id=first.id, reason="a new tariff", by="ci")
    assert "force" not in (older.ledger / file.name).read_text()
    assert asked(older, key="k") == (replace(first, at=only(Record(older.ledger).entries(MODEL), Request)[0].at), False)


def test_a_frozen_model_is_asked_by_whoever_insists(home: Home) -> None:
    record = Record(home.ledger)
    record.note(MODEL, Freeze, reason="year-end.", by="ada", until=datetime(2013, 6, 1, tzinfo=UTC))
    with pytest.raises(Conflict, match=r"frozen until 2013-06-01 00:00 UTC by ada: year-end\. Lift it .*or insist: "):
        asked(home)
    assert asked(home, now=lambda: datetime(2013, 6, 2, tzinfo=UTC))[1], "the freeze is over"
    assert asked(home, force=True)[1], "a request that insists is another than one that does not"
    assert record.request_is_forced(MODEL)
    assert not asked(home, force=True)[1]


def test_a_damaged_record_hides_no_other_models_events(home: Home) -> None:
    begun, _ = asked(home)
    (home.ledger / "aaa.jsonl").write_text("[1]\n")
    assert event(home, begun.id) is not None
    assert event(home, "request-none") is None


def test_parameters_are_fields_of_training_for_this_candidate_alone(home: Home) -> None:
    model = Platform.of(home).models()[MODEL]
    changed = with_parameters(model, {"trials": 3, "window": "rolling: 90d"})
    assert (changed.training.trials, changed.training.window) == (3, "rolling: 90d")
    assert model.training.trials != 3
    assert as_asked(model, {"mlops/parameters": '{"trials": 3}'}).training.trials == 3
    assert as_asked(model, {}) is model
    asked(home, parameters={"trials": 3})
    decided(home)
    assert parameters_of(Record(home.ledger).entries(MODEL), "d1") == {"trials": 3}
    decided(home, rule="schedule", id="d2")
    assert parameters_of(Record(home.ledger).entries(MODEL), "d2") == {}


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"trails": 3}, "parameters: trails: is no field; use fields of training: .*trials"),
        ({"trials": -1}, "parameters"),
        ({"window": "soon"}, "window"),
        ({"trials": "many"}, "parameters: trials: "),
    ],
)
def test_parameters_that_cannot_be_had_are_refused(home: Home, parameters: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        with_parameters(Platform.of(home).models()[MODEL], parameters)


def test_only_the_newest_runs_are_remembered(home: Home) -> None:
    runs = TrainingRuns(home.root)
    for number in range(205):
        runs.note(MODEL, f"d{number}", TrainingRun(f"r{number}"))
    assert (len(runs.of(MODEL)), min(runs.of(MODEL), key=lambda d: int(d[1:]))) == (200, "d5")

"""The record checked, asked and explained: ledger verify, champion-at, explain, reproduce, decide --policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs
from typer.testing import Result

from mlops_assets.core.decide.policy import CheckResult, Decision, Evidence, History, RetrainPolicy, decide
from mlops_assets.core.record.entries import OutcomeFound, Pause, Promotion, Rejection, Rollback
from mlops_assets.world.home import Home
from mlops_assets.world.record.record import Record

Mlops = Callable[..., Result]
NOW = datetime(2013, 4, 8, tzinfo=UTC)


def drifted(weeks: int = 2) -> Decision:
    """A decision on a drift check that failed in so many weeks."""
    checks = tuple(
        CheckResult("inputs_match_reference", "drift", f"w{n}", NOW - timedelta(days=7 * n), False, 0.4, 0.05)
        for n in range(weeks)
    )
    evidence = Evidence("flight_delay", "w0", checks, 9000, "1", NOW - timedelta(days=14))
    return decide(evidence, RetrainPolicy(), History(), NOW)


def put(home: Home, decision: Decision) -> str:
    Record(home.ledger).append(decision.model, decision)
    return decision.id


@pytest.fixture
def lived(home: Home) -> Record:
    """Two promotions and a rollback."""
    record = Record(home.ledger)
    for day, kind, version, decision in (
        (2, Promotion, 1, "d1"),
        (6, Promotion, 3, "d3"),
        (9, Rollback, 1, None),
    ):
        extra = {"decision": decision} if decision else {"by": "ada"}
        at = datetime(2013, 4, day, tzinfo=UTC)
        record.note("flight_delay", kind, at=at, version=version, reason=f"why [{version}]", **extra)
    return record


# --- ledger verify -----------------------------------------------------------------------------------------


def test_a_whole_record_is_said_to_be_whole(mlops: Mlops, lived: Record) -> None:
    lived.note("arrival_delay", Pause, reason="test", by="ada")
    shown = mlops("record", "verify")
    assert shown.exit_code == 0
    assert "arrival_delay: 1 entry, whole, head " in shown.stdout
    assert "flight_delay: 3 entries, whole, head " in shown.stdout
    one = json.loads(mlops("record", "verify", "flight_delay", "--json").stdout)
    assert [(found["model"], found["whole"], found["entries"]) for found in one] == [("flight_delay", True, 3)]


def test_a_changed_record_ends_with_1_and_the_first_line(mlops: Mlops, lived: Record) -> None:
    file = lived.file("flight_delay")
    file.write_text(file.read_text().replace("why [3]", "why not"))
    failed = mlops("record", "verify")
    assert failed.exit_code == 1
    assert "flight_delay: line 2: its content no longer has the hash that it was written with" in failed.stdout
    assert "from a backup" in failed.stdout
    failed = mlops("record", "verify", "--json")
    assert failed.exit_code == 1
    assert [(f["line"], f["fault"]) for f in json.loads(failed.stdout)] == [(2, "edited")]


def test_a_record_that_is_gone_is_missed(mlops: Mlops, lived: Record) -> None:
    lived.file("flight_delay").unlink()
    failed = mlops("record", "verify")
    assert failed.exit_code == 1
    assert "missing at the end: 3 of 3 entries" in failed.stdout


def test_nothing_on_record_yet_is_whole_and_writes_nothing(mlops: Mlops, home: Home) -> None:
    assert mlops("record", "verify").stdout.strip() == "Nothing is on record in this home yet."
    assert "flight_delay: 0 entries, whole" in mlops("record", "verify", "flight_delay").stdout
    assert mlops("record", "verify", "flights_delay").exit_code == 1
    assert not home.ledger.exists()


# --- champion-at -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "version"),
    [
        ("2013-04-02", 1),
        ("2013-04-05T23:59", 1),
        ("2013-04-06T00:00Z", 3),
        ("2013-04-06T01:00+02:00", 1),
        ("2013-04-08 12:00", 3),
        ("2013-12-31", 1),
    ],
)
def test_who_was_champion(mlops: Mlops, lived: Record, time: str, version: int) -> None:
    assert f"Version {version} was champion" in mlops("champion-at", "flight_delay", time).stdout
    found = json.loads(mlops("champion-at", "flight_delay", time, "--json").stdout)
    assert found["champion"]["version"] == version


def test_since_when_by_what_and_until_when(mlops: Mlops, lived: Record) -> None:
    shown = mlops("champion-at", "flight_delay", "2013-04-07").stdout
    assert "since  2013-04-06 00:00 UTC, by a promotion, until 2013-04-09 00:00 UTC, followed by version 1" in shown
    assert "decision d3 (mlops explain d3)" in shown
    assert "why [3]" in shown
    last = mlops("champion-at", "flight_delay", "2013-05-01").stdout
    assert "by a rollback, and still is" in last
    assert "no decision" in last


def test_where_there_was_none(mlops: Mlops, home: Home, lived: Record) -> None:
    before = mlops("champion-at", "flight_delay", "2013-04-01")
    assert before.exit_code == 0
    assert "had no champion at 2013-04-01 00:00 UTC: the first, version 1, was promoted at 2013-04-02" in before.stdout
    never = mlops("champion-at", "arrival_delay", "2013-04-01").stdout
    assert "none has been promoted in this home yet" in never
    assert json.loads(mlops("champion-at", "arrival_delay", "2013-04-01", "--json").stdout)["champion"] is None
    wrong = mlops("champion-at", "flight_delay", "April")
    assert wrong.exit_code == 1
    assert "'April' is not a date or time. Write an ISO date" in wrong.stderr


# --- explain -----------------------------------------------------------------------------------------------


def test_a_decision_explained(mlops: Mlops, home: Home) -> None:
    identity = put(home, drifted())
    at = NOW + timedelta(hours=1)
    record = Record(home.ledger)
    record.note("flight_delay", Promotion, at=at, version=2, decision=identity, reason="better [by far]")
    record.note(
        "flight_delay", OutcomeFound, at=at, version=2, promotion="p", decision=identity, result="kept", reason="Sure"
    )
    shown = mlops("explain", identity[:6])
    assert shown.exit_code == 0
    for told in (
        "retrain (rule: drift)", "inputs_match_reference failed in 2 windows", "9000", "drift_breaches",
        "promotion of version 2", "better [by far]", "outcome of version 2: kept", "the answer is the same: retrain",
        "If inputs_match_reference had passed in every window, the answer would have been wait.",
    ):  # fmt: skip
        assert told in shown.stdout, told


def test_what_would_have_changed_it_is_replayed(mlops: Mlops, home: Home) -> None:
    """The policy itself, given the change that is told, takes the other action."""
    identity = put(home, drifted())
    found = json.loads(mlops("explain", identity, "--json").stdout)
    assert found["replayed"] == "retrain"
    flip = next(flip for flip in found["flips"] if flip["changed"].get("checks"))
    evidence = drifted().evidence
    checks = [{**c, "passed": flip["changed"]["checks"].get(c["name"], c["passed"])} for c in evidence["checks"]]
    again = decide(Evidence.from_dict({**evidence, "checks": checks}), RetrainPolicy(), History(), NOW)
    assert again.action == flip["answer"] != "retrain"


def test_a_decision_is_replayed_with_what_was_on_record_before_it(mlops: Mlops, home: Home) -> None:
    """A retraining a day before holds this one back, and its promotion stands on record."""
    first = put(home, drifted())
    Record(home.ledger).note("flight_delay", Rejection, at=NOW, version=2, decision=first, reason="no better")
    history = History.of([drifted()])
    fresh = CheckResult("inputs_match_reference", "drift", "w", NOW + timedelta(days=1), False, 0.4, 0.05)
    evidence = Evidence("flight_delay", "w", (*Evidence.from_dict(drifted().evidence).checks, fresh), 9000, "1", NOW)
    later = decide(evidence, RetrainPolicy(drift_breaches=1), history, NOW + timedelta(days=1))
    assert later.rule == "cooldown"
    found = json.loads(mlops("explain", put(home, later), "--json").stdout)
    assert found["replayed"] == "wait"
    assert "retrain" in {flip["answer"] for flip in found["flips"]}
    assert found["came_of_it"] == []


def test_a_wait_needs_nothing_to_come_of_it(mlops: Mlops, home: Home) -> None:
    shown = mlops("explain", put(home, drifted(weeks=1))).stdout
    assert "no retraining: no rule asked for one" in shown
    assert "Nothing came of it, and nothing had to" in shown
    assert "the answer would have been retrain" in shown


def test_a_decision_of_an_agreed_trigger_is_explained(mlops: Mlops, home: Home) -> None:
    policy = RetrainPolicy.from_dict({"on": [{"drift": {"psi": 0.2}}, {"schedule": {"every": "7d"}}]})
    assert policy.on is not None
    told = policy.on[0].result("w0", NOW, passed=False, value=0.3, limit=0.2, sentence="PSI 0.3 in w0")
    evidence = Evidence("flight_delay", "w0", (), 9000, "1", NOW - timedelta(days=14), triggers=(told,))
    decision = decide(evidence, policy, History(), NOW)
    shown = mlops("explain", put(home, decision))
    assert shown.exit_code == 0, shown.exception
    assert "drift (psi 0.2)" in shown.stdout
    assert "PSI 0.3 in w0" in shown.stdout


def test_no_decision_or_several_of_that_name(mlops: Mlops, home: Home) -> None:
    record = Record(home.ledger)
    for model, identity in (("flight_delay", "abc1"), ("arrival_delay", "abc2")):
        record.append(model, structs.replace(drifted(), model=model, id=identity))
    several = mlops("explain", "abc")
    assert several.exit_code == 1
    assert "'abc' begins the ids of 2 decisions: abc2 (arrival_delay), abc1 (flight_delay). Give more" in several.stderr
    assert mlops("explain", "abc1").exit_code == 0
    none = mlops("explain", "zz")
    assert none.exit_code == 1
    assert "There is no decision 'zz' in this home" in none.stderr


def test_a_decision_of_another_version_of_the_platform(mlops: Mlops, home: Home) -> None:
    """Fields that held nothing are no obstacle; one that held something cannot be replayed."""
    for identity, value in (("old1", None), ("old2", 0.3)):
        put(home, structs.replace(drifted(), id=identity, evidence={**drifted().evidence, "hunch": value}))
    assert "the answer is the same: retrain" in mlops("explain", "old1").stdout
    shown = mlops("explain", "old2")
    assert shown.exit_code == 0
    assert "written by another version of the platform" in shown.stdout
    assert "hunch" in shown.stdout


# --- decide with another policy ----------------------------------------------------------------------------


@pytest.fixture
def considered(monkeypatch: pytest.MonkeyPatch) -> None:
    """One week of drift as the evidence: gathering it takes a lake, and is tested elsewhere."""
    from mlops_assets.steps.decide import evidence

    decision = drifted(weeks=1)
    known = Evidence.from_dict(decision.evidence)
    monkeypatch.setattr(evidence, "consider", lambda *_, **__: (decision, known, True))


def policy_file(home: Home, text: str) -> str:
    home.root.mkdir(parents=True, exist_ok=True)
    file = home.root / "policy.yaml"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize("text", ["drift_breaches: 1\n", "retrain:\n  drift_breaches: 1\n  budget: 2 per 14d\n"])
def test_both_answers_are_told_where_they_differ(mlops: Mlops, home: Home, considered: None, text: str) -> None:
    file = policy_file(home, text)
    shown = mlops("decide", "flight_delay", "--dry-run", "--policy", file)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.index("With the policy of the model's YAML") < shown.stdout.index(
        "no retraining: no rule asked for one"
    )
    assert shown.stdout.index("policy.yaml:") < shown.stdout.index("retrain (rule: drift)")
    assert shown.stdout.rstrip().endswith("Nothing was written.")
    found = json.loads(mlops("decide", "flight_delay", "--dry-run", "--policy", file, "--json").stdout)
    assert (found["action"], found["with_policy"]["action"], found["differs"]) == ("wait", "retrain", True)
    assert found["with_policy"]["policy"]["drift_breaches"] == 1
    assert not home.ledger.exists()


def test_the_same_answer_is_told_once(mlops: Mlops, home: Home, considered: None) -> None:
    shown = mlops("decide", "flight_delay", "--dry-run", "--policy", policy_file(home, "cooldown: 1d")).stdout
    assert "gives the same answer" in shown
    assert shown.count("no rule asked for one") == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cooldwon: 3d", "retrain has no field 'cooldwon'"),
        ("cooldown: soon", "cooldown is 'soon', which is not a duration"),
        ("window: 3d", "window follows monitoring.window"),
        ("- 1", "it holds no fields"),
        ("a: [", "is no policy"),
    ],
)
def test_a_policy_that_cannot_be_read_names_file_and_field(
    mlops: Mlops, home: Home, considered: None, text: str, told: str
) -> None:
    failed = mlops("decide", "flight_delay", "--dry-run", "--policy", policy_file(home, text))
    assert failed.exit_code == 1
    assert "policy.yaml is no policy" in failed.stderr
    assert told in failed.stderr


# --- reproduce ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agrees", "code", "told"),
    [(True, 0, "flight_delay version 2 agrees"), (False, 1, "differs"), (None, 1, "cannot be trained again")],
)
def test_reproduce_tells_what_came_of_it(
    mlops: Mlops, home: Home, monkeypatch: pytest.MonkeyPatch, agrees: bool | None, code: int, told: str
) -> None:
    from mlops_assets.steps.promote import reproduction

    found = reproduction.Reproduction(
        model="flight_delay",
        version=2,
        agrees=agrees,
        registered="a" * 64,
        refitted=None if agrees is None else ("a" if agrees else "b") * 64,
        trained_on="c" * 64,
        ships="refit",
        rows=None if agrees is None else 500,
        differences=() if agrees else ("The code was 1, and is 2.",),
        remedy="" if agrees else "Do [this].",
    )
    monkeypatch.setattr(reproduction, "reproduce", lambda *_: found)
    shown = mlops("reproduce", "flight_delay", "2")
    assert shown.exit_code == code
    assert told in shown.stdout
    assert ("Do [this]." in shown.stdout) == (not agrees)
    assert json.loads(mlops("reproduce", "flight_delay", "2", "--json").stdout)["agrees"] is agrees


def test_a_policy_that_is_not_there(mlops: Mlops, home: Home, considered: None) -> None:
    failed = mlops("decide", "flight_delay", "--dry-run", "--policy", "nowhere.yaml")
    assert failed.exit_code == 1
    assert "There is no file nowhere.yaml. Name a YAML file" in failed.stderr


def test_the_policy_of_the_models_is_not_touched(home: Home) -> None:
    """`--policy` changes a copy."""
    from mlops_assets.simulate.policy_files import other_policy

    own = RetrainPolicy()
    other = other_policy(own, Path(policy_file(home, "max_age: never\nbudget: 2 per 14d")))
    assert (other.max_age, other.budget, other.budget_period) == (None, 2, timedelta(days=14))
    assert (own, other.cooldown) == (RetrainPolicy(), own.cooldown)

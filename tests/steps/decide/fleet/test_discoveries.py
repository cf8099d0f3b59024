"""Gains of a day are tested together: who is held back, by what record, and who is found once others are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mlops_assets.core.decide.evidence import Evidence
from mlops_assets.core.decide.fleet.false_discoveries import AmongLooks, any_dependence
from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
from mlops_assets.core.decide.history import History
from mlops_assets.core.decide.policy import decide
from mlops_assets.core.decide.probe_result import Gain, Probed
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.record.entries import Decision
from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.steps.decide.fleet.discoveries import GainsOfTheDay, among, known_on, now_found, rate_of
from mlops_assets.steps.decide.fleet.on_record import on_file
from tests.fleet_home import NOW, FleetHome
from tests.steps.decide.fleet.conftest import NewFleet

DAY = timedelta(days=1)
FDR = TrainingsPolicy(fdr=0.05)
OF_FIVE = 0.05 / (5 * any_dependence(5))
"""The limit of the surest of five looks, 0.0044; that of the k-th is k times as large."""


def evidence(model: str, p: float, **more: Any) -> Evidence:
    gain = Gain("refit:expanding", 0.05, 0.1, 1, 1_000, 28, p=p)
    probed = Probed(gain, None, "refit:expanding", 1, 0.1, "It has looked.", looked_at=NOW, rows_per_day=100.0)
    values = {"champion_version": "1", "champion_since": NOW - 9 * DAY, "matured_labels": 900, "window": "w", **more}
    return Evidence(model, probe=probed, **values)


def decided_on(known: Evidence, **policy: Any) -> Decision:
    return decide(known, RetrainPolicy(**policy), History(), NOW)


def limit_among(
    fleet: FleetHome, model: str, p: float, gains: GainsOfTheDay | None = None, **more: Any
) -> AmongLooks | None:
    known = evidence(model, p, **more)
    return among(fleet.platform, known, decided_on(known), gains)


def held(fleet: FleetHome, model: str, p: float, limit: float) -> None:
    """A gain that was not sure enough is on record."""
    among_looks = as_plain(AmongLooks(NOW.date(), 5, limit))
    fleet.decided(model, "many_looks", action="wait", p=p, among=among_looks)


def test_the_surest_of_five_looks_alone(new_fleet: NewFleet) -> None:
    fleet = new_fleet(FDR)
    assert rate_of(fleet.platform) == (0.05, 5)
    for p, is_found in ((0.9 * OF_FIVE, True), (1.1 * OF_FIVE, False)):
        found = limit_among(fleet, "a", p)
        assert found is not None
        assert (found.day, found.looks, found.limit) == (NOW.date(), 5, pytest.approx(OF_FIVE))
        assert (found.refusal(p) == "") is is_found


def test_others_of_the_same_day_speak_for_it(new_fleet: NewFleet) -> None:
    fleet = new_fleet(FDR)
    fleet.decided("b", p=0.5 * OF_FIVE)
    found = limit_among(fleet, "a", 1.9 * OF_FIVE)
    assert found is not None
    assert found.limit == pytest.approx(2 * OF_FIVE)
    # Also where their decision has had its training since, and is not the newest any more.
    fleet.promoted(fleet.decided("c", p=0.5 * OF_FIVE))
    fleet.decided("c", "cooldown", action="wait", at=NOW + timedelta(seconds=1))
    assert known_on(fleet.platform, NOW.date()) == {"b": 0.5 * OF_FIVE, "c": 0.5 * OF_FIVE}
    # And where they are not on record yet.
    gains = GainsOfTheDay()
    gains.add(evidence("d", 3.5 * OF_FIVE))
    found = limit_among(fleet, "a", 3.9 * OF_FIVE, gains)
    assert found is not None
    assert found.limit == pytest.approx(4 * OF_FIVE)


def test_those_of_another_day_do_not(new_fleet: NewFleet) -> None:
    fleet = new_fleet(FDR)
    fleet.decided("b", p=0.5 * OF_FIVE, looked=NOW - DAY)
    found = limit_among(fleet, "a", 1.9 * OF_FIVE)
    assert found is not None
    assert found.refusal(1.9 * OF_FIVE)


def test_what_is_held_back_is_a_decision_with_its_reason(new_fleet: NewFleet) -> None:
    fleet = new_fleet(FDR)
    known = evidence("a", 0.02)
    limit = limit_among(fleet, "a", 0.02)
    waits = decide(Evidence(**{**vars(known), "among": limit}), RetrainPolicy(), History(), NOW)
    assert (waits.action, waits.rule) == ("wait", "many_looks")
    assert waits.reasons[0] == (
        "Its gain is not certain enough among the 5 looks of the day: p 0.02, limit 0.0044. Its next look decides anew."
    )
    # It is replayed from what stands on record, and says what would have changed it.
    again = Evidence.from_dict(waits.to_dict()["evidence"])
    assert decide(again, RetrainPolicy(), History(), NOW) == waits
    assert any("no other model had been looked at" in change.sentence for change in waits.counterfactuals)


def test_it_is_found_once_others_of_its_day_are(new_fleet: NewFleet) -> None:
    fleet = new_fleet(FDR)
    held(fleet, "a", 1.9 * OF_FIVE, OF_FIVE)
    assert now_found(fleet.platform) == []
    fleet.decided("b", p=0.5 * OF_FIVE)
    assert now_found(fleet.platform) == ["a"]
    # Another decision was made on it since: nothing is to be done.
    fleet.decided("a", "data", action="quarantine", at=NOW + timedelta(seconds=1))
    assert now_found(fleet.platform) == []


def test_the_same_look_is_no_news_and_what_was_found_stays_found(new_fleet: NewFleet) -> None:
    fleet = new_fleet(FDR)
    held(fleet, "a", 4.5 * OF_FIVE, OF_FIVE)
    fleet.decided("b", p=3.5 * OF_FIVE)
    # By the others its own place is the second by now; it is held back as before, so its limit stays.
    before = limit_among(fleet, "a", 4.5 * OF_FIVE)
    assert before is not None
    assert before.limit == pytest.approx(OF_FIVE)
    found = AmongLooks(NOW.date(), 5, 5 * OF_FIVE)
    fleet.decided("c", p=4.9 * OF_FIVE, among=as_plain(found))
    assert limit_among(fleet, "c", 4.9 * OF_FIVE) == found
    # Its next look is another one.
    assert limit_among(fleet, "c", 4.8 * OF_FIVE) != found


@pytest.mark.parametrize(
    "more",
    [
        {"request": "Because [r]"},
        {"failing": "It is worse than guessing."},
        {"probe": Probed(None, None, "refit:4", 1, 0.1, "It cannot say."), "definition": "A feature was added."},
    ],
    ids=["a person asks", "worse than guessing", "a changed definition"],
)
def test_what_no_measured_gain_asks_for_is_no_discovery(new_fleet: NewFleet, more: dict[str, Any]) -> None:
    fleet = new_fleet(FDR)
    known = Evidence(**{**vars(evidence("a", 0.05)), **more})
    decision = decided_on(known)
    assert decision.action == "retrain"
    assert among(fleet.platform, known, decision) is None


def test_neither_are_triggers_that_people_have_agreed_on(new_fleet: NewFleet) -> None:
    fleet = new_fleet(FDR)
    known = evidence("a", 0.05)
    decision = decide(known, RetrainPolicy().changed({"on": ["gain"]}), History(), NOW)
    assert (decision.action, decision.rule) == ("retrain", "gain")
    assert among(fleet.platform, known, decision) is None


def test_nor_is_a_wait_or_what_nobody_tested(new_fleet: NewFleet) -> None:
    fleet = new_fleet(FDR)
    known = evidence("a", 1e-9)
    assert among(fleet.platform, known, decided_on(known, cooldown=timedelta(0), budget=0)) is None
    unset = Evidence(**{**vars(known), "probe": Probed(None, None, "refit:4", 1, 0.1, "It cannot say.")})
    assert among(fleet.platform, unset, decided_on(known)) is None


def test_models_with_agreed_triggers_are_not_counted(new_fleet: NewFleet) -> None:
    fleet = new_fleet(FDR, "a", "b")
    assert rate_of(fleet.platform)[1] == 2
    agreed = fleet.defs / "b" / "defs.yaml"
    text = agreed.read_text(encoding="utf-8")
    agreed.write_text(text.replace("attributes:", "attributes:\n  retrain: {on: [{schedule: {every: 7d}}]}", 1))
    assert rate_of(fleet.platform)[1] == 1


@pytest.mark.parametrize("policy", [None, TrainingsPolicy(fdr="never"), TrainingsPolicy(runs_a_day=3, fdr="never")])
def test_without_a_rate_each_model_is_alone(new_fleet: NewFleet, policy: TrainingsPolicy | None) -> None:
    fleet = new_fleet(policy)
    assert limit_among(fleet, "a", 0.09) is None
    assert now_found(fleet.platform) == []


def test_one_model_alone_is_not_held_to_a_rate_unless_somebody_says_so(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TrainingsPolicy(runs_a_day=3), "a")
    assert limit_among(fleet, "a", 0.09) is None
    fleet.policy = FDR
    found = limit_among(fleet, "a", 0.09)
    assert found is not None
    assert found.limit == 0.05


def test_a_proposal_is_tested_as_a_training_is(new_fleet: NewFleet) -> None:
    """It takes a person's time."""
    fleet = new_fleet(FDR)
    known = evidence("a", 0.05)
    decision = decided_on(known, mode="propose")
    assert decision.action == "propose_retrain"
    assert among(fleet.platform, known, decision) is not None
    fleet.platform.ledger.append("a", decision)
    gain = on_file(fleet.platform.ledger.record, "a").tested
    assert gain is not None
    assert (gain.p, gain.is_held) == (0.05, False)

"""What holds for every decision: seeded random evidence, policies, histories and clocks.

A thousand cases a property; a case that breaks one is named by its seed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from msgspec import structs

from mlops_assets.core.decide.counterfactuals import replay
from mlops_assets.core.decide.evidence import Novelty
from mlops_assets.core.decide.fleet.false_discoveries import AmongLooks
from mlops_assets.core.decide.policy import (
    RULES,
    CheckResult,
    Evidence,
    History,
    Past,
    RetrainPolicy,
    decide,
)
from mlops_assets.core.decide.probe_result import Gain, Probed, ProfitGain
from mlops_assets.core.decide.requests import Answer, Hold
from mlops_assets.core.decide.rules import asked, conclude
from mlops_assets.core.record.entries import entry_of
from mlops_assets.core.time.quiet_hours import quiet_until

CASES = range(1_000)
START = datetime(2013, 5, 6, tzinfo=UTC)
DAY = timedelta(days=1)
CHANGES = ("retrain", "revert")
AGREED = (
    "gain", "drift", "performance", "importance", {"drift": {"psi": 0.2, "windows": 2}},
    {"performance": {"floor": 0.9}}, {"novelty": {"share": 0.1}}, {"data": {"rows": 500}},
    {"freshness": {"lag": "2d"}}, {"schedule": {"every": "7d"}},
)  # fmt: skip

Case = tuple[Evidence, RetrainPolicy, History, datetime]


def case(seed: int) -> Case:
    """One situation; each rule is met by many of them."""
    rng = np.random.default_rng(seed)

    def maybe(share: float) -> bool:
        return bool(rng.random() < share)

    now = START + float(rng.uniform(0, 20)) * DAY
    champion = maybe(0.9)
    policy = RetrainPolicy(
        cooldown=int(rng.integers(0, 9)) * DAY,
        budget=int(rng.integers(0, 5)),
        max_age=None if maybe(0.5) else "auto",
        max_novelty=0.1 if maybe(0.5) else None,
        price_money=float(rng.uniform(0, 60)) if maybe(0.3) else None,
        mode="propose" if maybe(0.3) else "act",
        quiet_hours=("mon-fri 08:00-18:00",) if maybe(0.3) else (),
        timezone="America/New_York",
    )
    evidence = Evidence(
        model="m",
        window="w" if maybe(0.9) else None,
        checks=_checks(rng, now),
        matured_labels=int(rng.choice([0, 499, 500, 9_000], p=[0.05, 0.05, 0.1, 0.8])),
        champion_version="3" if champion else None,
        champion_since=now - int(rng.integers(1, 60)) * DAY if champion else None,
        data_ok=maybe(0.95),
        request="a person asks" if maybe(0.1) else None,
        paused="a person pauses" if maybe(0.05) else None,
        cannot_judge=("there are no rows",) if maybe(0.1) else (),
        probe=_probe(rng) if maybe(0.8) else None,
        request_forced=maybe(0.3),
        frozen=_hold(rng, now) if maybe(0.15) else None,
        snoozed=_hold(rng, now) if maybe(0.15) else None,
        rollout="Version 4 is in canary." if maybe(0.1) else "",
        labels_at_fit=int(rng.choice([0, 10_000, 50_000])) if champion else 0,
        definition="The definition has changed." if maybe(0.1) else "",
        novelty=Novelty(float(rng.uniform(0, 0.2)), "w", now) if maybe(0.5) else None,
        **({"failing": "It has been worse than guessing.", "fall_back_to": 2} if maybe(0.1) else {}),  # type: ignore[arg-type]
    )
    if maybe(0.4):
        change = str(rng.choice(CHANGES))
        question = asked(evidence, change, "revert" if change == "revert" else "gain")  # type: ignore[arg-type]
        evidence = replace(evidence, answer=Answer("d", question, maybe(0.6), "ana", now))
    if maybe(0.15):
        entries = [entry for entry in AGREED if maybe(0.3)] or ["gain"]
        policy = policy.changed({"on": entries, "growth": "never" if maybe(0.5) else 0.5})
        evidence = replace(evidence, triggers=_triggers(rng, policy, now))
    if maybe(0.3):
        evidence = replace(evidence, among=AmongLooks(now.date(), 1_000, float(rng.uniform(0, 0.05))))
    past = [Past(now - int(rng.integers(0, 40)) * DAY, str(rng.choice(["retrain", "wait"])), "f") for _ in range(3)]  # type: ignore[arg-type]
    return evidence, policy, History(tuple(sorted(past, key=lambda p: p.at))) if maybe(0.4) else History(), now


def _checks(rng: np.random.Generator, now: datetime) -> tuple[CheckResult, ...]:
    kinds = {"inputs": "drift", "holds": "performance"}
    answers = (True, False, None)
    return tuple(
        CheckResult(name, kind, f"w{k}", now - 7 * k * DAY, answers[int(rng.integers(0, 3))])  # type: ignore[arg-type]
        for name, kind in kinds.items()
        for k in range(int(rng.integers(0, 4)))
    )


def _triggers(rng: np.random.Generator, policy: RetrainPolicy, now: datetime) -> tuple[CheckResult, ...]:
    answers = (True, False, None)
    return tuple(
        trigger.result(f"w{k}", now - 7 * k * DAY, passed=answers[int(rng.integers(0, 3))], sentence="It says so.")
        for trigger in policy.on or ()
        for k in range(int(rng.integers(0, 3)) if trigger.is_checked else 0)
    )


def _probe(rng: np.random.Generator) -> Probed:
    def gain(candidate: str) -> Gain | None:
        if rng.random() < 0.2:
            return None
        lower = float(rng.uniform(-0.05, 0.1))
        money = ProfitGain(float(rng.uniform(-0.01, 0.01)), 0.01, 200.0) if rng.random() < 0.8 else None
        return Gain(
            candidate, lower, lower + float(rng.uniform(0, 0.1)), 1, 1000, 28, money, p=float(rng.uniform(0, 0.1))
        )

    return Probed(gain("refit:4"), gain("revert:2"), "refit:4", 2, 0.02, "The probe has looked.")


def _hold(rng: np.random.Generator, now: datetime) -> Hold:
    return Hold("ana", "a reason", now + float(rng.uniform(-5, 5)) * DAY)


def answer(given: Case) -> tuple[str, str]:
    return conclude(*given)[:2]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [case(seed) for seed in CASES]


def test_the_cases_meet_every_rule(cases: list[Case]) -> None:
    assert {answer(given)[1] for given in cases} == set(RULES)


def test_deciding_is_deterministic_and_survives_the_record(cases: list[Case]) -> None:
    for evidence, policy, history, now in cases[:60]:
        one = decide(evidence, policy, history, now)
        plain = json.loads(json.dumps(one.to_dict()))
        again = decide(Evidence.from_dict(plain["evidence"]), RetrainPolicy.from_dict(plain["policy"]), history, now)
        assert json.dumps(again.to_dict()) == json.dumps(one.to_dict())
        assert decide(evidence, policy, history, now, explained=False) == structs.replace(one, counterfactuals=())
        assert entry_of(plain) == one
        assert all(replay(c, evidence, policy, history, now) == c.action != one.action for c in one.counterfactuals)


def test_more_gain_never_turns_a_training_into_a_wait(cases: list[Case]) -> None:
    seen = {"gain": 0, "other": 0}
    for evidence, policy, history, now in cases:
        refit = evidence.probe.refit if evidence.probe else None
        if refit is None or evidence.probe is None or answer((evidence, policy, history, now))[0] != "retrain":
            continue
        for more in (0.001, 0.05, 1.0):
            money = refit.profit and replace(refit.profit, lower=refit.profit.lower + more)
            better = replace(refit, lower=refit.lower + more, mean=refit.mean + more, profit=money)
            raised = replace(evidence, probe=replace(evidence.probe, refit=better))
            after = answer((raised, policy, history, now))
            rule = answer((evidence, policy, history, now))[1]
            # What was approved is a training by another rule: one for its gain has to be approved by itself.
            if rule == "gain" or policy.mode == "act":
                assert after[0] == "retrain", (evidence, policy, history, now)
                seen["gain" if rule == "gain" else "other"] += 1
    assert min(seen.values()) > 80


def test_broken_or_unjudgeable_data_never_change_a_champion_by_themselves(cases: list[Case]) -> None:
    for evidence, policy, history, now in cases:
        broken = replace(evidence, data_ok=False)
        assert answer((broken, policy, history, now)) == ("quarantine", "data")
        blind = replace(evidence, cannot_judge=("there are no rows",), request=None)
        assert answer((blind, policy, history, now))[0] in ("wait", "cannot_judge", "quarantine")


def test_nothing_starts_by_itself_while_a_person_or_an_hour_forbids_it(cases: list[Case]) -> None:
    met = dict.fromkeys(("frozen", "rollout", "snoozed", "quiet", "propose", "paused"), 0)
    for evidence, policy, history, now in cases:
        action, rule = answer((evidence, policy, history, now))
        if evidence.frozen and evidence.frozen.holds(now):
            assert action not in CHANGES or (rule == "request" and evidence.request_forced)
            met["frozen"] += 1
        if evidence.rollout:
            assert action not in ("retrain", "propose_retrain")
            met["rollout"] += 1
        if rule == "request":
            continue
        if evidence.snoozed and evidence.snoozed.holds(now):
            assert action not in ("retrain", "propose_retrain")
            met["snoozed"] += 1
        if policy.quiet_hours and quiet_until(policy.quiet_hours, now, policy.timezone):
            assert action != "retrain"
            met["quiet"] += 1
        if policy.mode == "propose":
            said = evidence.answer
            agreed = said is not None and said.approved and said.question == asked(evidence, action, rule)  # type: ignore[arg-type]
            assert action not in CHANGES or agreed
            met["propose"] += 1
        if evidence.paused is not None:
            assert action not in CHANGES
            met["paused"] += 1
    assert min(met.values()) > 20


@pytest.mark.parametrize("share", [0.0001, 0.00015, 0.0123, 0.1, 0.12345, 0.3, 0.30000000000000004, 0.7, 1.0])
def test_the_limit_that_would_have_changed_the_answer_is_the_nearest_one(share: float) -> None:
    """By brute force: every limit in steps of 0.01 % is tried, and the largest that leads to a training is named."""
    window = {"window": "w", "champion_version": "3", "champion_since": START, "checks": _checks_passed()}
    evidence, policy = (
        Evidence(model="m", novelty=Novelty(share, "w", START + DAY), **window),
        RetrainPolicy(growth=None),
    )  # type: ignore[arg-type]
    evidence = replace(evidence, matured_labels=9_000, labels_at_fit=9_000)
    limits = [step / 10_000 for step in range(10_000)]
    tried = [replace(policy, max_novelty=limit) for limit in limits]
    answers = [conclude(evidence, other, History(), START + DAY)[0] for other in tried]
    nearest = max(limit for limit, action in zip(limits, answers, strict=True) if action == "retrain")
    decision = decide(evidence, replace(policy, max_novelty=None), History(), START + DAY)
    (change,) = (c for c in decision.counterfactuals if "novelty" in c.sentence)
    assert change.policy == {"max_novelty": nearest}
    assert f"the limit of novelty had been {nearest:.2%}" in change.sentence


@pytest.mark.parametrize("lower", [0.0001, 0.00499, 0.005, 0.00501, 0.0123, 0.05, 0.07])
def test_the_price_that_would_have_changed_the_answer_is_the_nearest_one(lower: float) -> None:
    gain = Gain("refit:4", lower, lower + 0.01, 1, 1000, 28, None)
    evidence = Evidence(
        model="m", window="w", champion_version="3", champion_since=START, checks=_checks_passed(),
        matured_labels=9_000, labels_at_fit=9_000, probe=Probed(gain, None, "refit:4", 2, 0.02, "It has looked."),
    )  # fmt: skip
    policy = RetrainPolicy(min_gain=0.01, growth=None)

    def trains(price: float) -> bool:
        return conclude(evidence, replace(policy, min_gain=price), History(), START + DAY)[0] == "retrain"

    prices = [step / 10_000 for step in range(2_000)]
    paid = max(price for price in prices if trains(price))
    wanted = min(price for price in prices if not trains(price)) if trains(0.01) else paid
    decision = decide(evidence, policy, History(), START + DAY)
    (change,) = (c for c in decision.counterfactuals if "of the loss" in c.sentence)
    assert (change.policy, f"{wanted:.2%}" in change.sentence) == ({"min_gain": wanted}, True)


def _checks_passed() -> tuple[CheckResult, ...]:
    return (CheckResult("holds", "performance", "w", START + DAY, True),)

"""Candidates that the gate cannot judge, lived: kept back by default, shipped where that was agreed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pandas as pd

from mlops_assets.core.record.entries import Request
from mlops_assets.core.rollout.moves import RolloutPolicy
from mlops_assets.steps.promote.cards import card_file
from mlops_assets.steps.promote.golden import write_golden
from tests.assets.test_agreed_triggers import agreed, decided
from tests.real_slice import COLD_START, World

LATER = date(2013, 2, 20)
"""Two days after the champion was fitted: too few for hours, too."""
SHIP = {"window": "14d", "when_unjudgeable": "ship"}
OFTEN = {"schedule": {"every": "2d"}}


def after_two_days(world: World, *entries: Any, **changes: Any) -> World:
    world.at(LATER)
    return world.with_settings(retrain=agreed(*(entries or (OFTEN,))), **changes)


def test_by_default_the_champion_stays_and_the_decision_says_what_is_missing(world: World) -> None:
    later = after_two_days(world)
    assert later.tick().runs == ()
    assert (decided(later).action, later.aliases()["champion"]) == ("cannot_judge", 1)
    assert "2 days of labels" in decided(later).reasons[0]
    assert "and 3 days with 100 are needed: 1 more day, by about 2013-02-2" in decided(later).reasons[0]
    assert "The trigger schedule (every 2d) asks for a training" in " ".join(decided(later).reasons)


def test_by_agreement_a_schedule_ships_without_judgement_and_says_so(world: World, mlops: Callable[..., Any]) -> None:
    later = after_two_days(world, gate=SHIP)
    later.tick()
    decision, why = decided(later), "no 3 days of matured labels are there to judge on (the champion was fitted on rows"
    assert (decision.action, decision.rule) == ("retrain", "schedule")
    assert decision.reasons[-1].startswith(f"It cannot be judged against the champion, because {why}")
    assert decision.reasons[-1].endswith("it ships by the agreed rule (gate.when_unjudgeable: ship).")
    (promotion,) = later.ledger("promotion")[1:]
    assert (promotion["version"], promotion["previous"], promotion["promised"]) == (2, 1, None)
    assert promotion["reason"].startswith(f"not judged against the champion, because {why}")
    assert "it ships by the agreed rule (gate.when_unjudgeable: ship); roc_auc" in promotion["reason"]
    assert later.aliases() == {"champion": 2, "previous": 1}
    verdict = later.platform.record(later.model.name, "evaluation")["verdict"]
    assert (verdict["promote"], verdict["judged"]) == (True, False)
    # The twin that is held against guessing has not seen those rows.
    prepared = later.platform.record(later.model.name, "training_set")
    assert prepared["last_event"] < prepared["gate_start"] < COLD_START.isoformat()
    assert prepared["unjudged"]["why"].startswith("no 3 days of matured labels")
    # Older rows say whether it is better than guessing, and like its twin; slices are compared with the champion.
    assert [rule["name"] for rule in verdict["rules"]] == ["beats_champion", "beats_baseline", "twin_agrees"]
    # Later windows are held against what it reached there.
    tags = later.platform.registry.version(later.model.name, 2).tags
    assert f"roc_auc {float(tags['gate_value']):.4f} against 0.5000 of the baseline" in promotion["reason"]
    card = card_file(later.platform.lake, later.model.name, 2).with_suffix(".md").read_text()
    assert ", version 2: promoted without judgement" in card
    told = " ".join(mlops("why", "flight_delay").output.split())
    assert "retrain" in told
    assert "It cannot be judged against the champion" in told
    assert "not judged against the champion" in told
    # Two days later the same rule asks again, and no sooner.
    assert later.tick().runs == ()


def test_a_drift_trigger_ships_as_well(world: World) -> None:
    world.at(LATER)
    daily = {"window": "day"}
    world.with_settings(monitoring=daily).watch(COLD_START, LATER)
    later = after_two_days(world, "psi_0_2", gate=SHIP, monitoring=daily)
    later.tick()
    assert (decided(later).rule, later.aliases()["champion"]) == ("drift", 2)


def test_an_agreed_row_still_rejects(world: World) -> None:
    """What needs no champion and no new label is asked of what would ship unjudged."""
    world.at(LATER)
    file, _ = write_golden(world.platform, world.model, rows=5, expires=date(2013, 12, 31))
    rows = pd.read_csv(file)
    rows.assign(expected_score=0.999, tolerance=0.0001).to_csv(file, index=False)
    later = after_two_days(world, gate={**SHIP, "golden_set": file.name})
    later.tick()
    (rejection,) = later.ledger("rejection")
    assert rejection["reason"].startswith("5 of 5 golden rows")
    assert later.aliases() == {"champion": 1}
    assert later.platform.record(later.model.name, "evaluation")["verdict"]["judged"]


def test_where_there_is_a_rollout_it_goes_through_it(world: World) -> None:
    later = after_two_days(world, gate=SHIP, rollout=RolloutPolicy())
    later.tick()
    (begun,) = later.ledger("rollout")
    assert (begun["state"], begun["version"], later.aliases()["champion"]) == ("shadow", 2, 1)
    assert "not judged against the champion" in begun["reason"]


def test_a_first_model_is_always_judged(new_world: Callable[..., World]) -> None:
    young = new_world(gate=SHIP)
    young.at(date(2013, 1, 7))
    assert young.tick().runs == ()
    assert decided(young).action == "cannot_judge"


def test_labels_of_one_class_since_the_champion_are_no_reason_to_stay(world: World) -> None:
    """The window is long enough; only the run sees that nothing can be compared on it."""
    lake, cut = world.platform.lake, pd.Timestamp(COLD_START, tz="America/New_York")
    for path in lake.partitions("labels", world.model.label.model).values():
        rows = pd.read_parquet(path)
        calm = (rows["event_timestamp"] >= cut) & rows["is_late"].notna()
        lake.write(rows.assign(is_late=rows["is_late"].mask(calm, 0)), path)
    world.at(date(2013, 3, 4))
    kept = world.with_settings(retrain=agreed(OFTEN))
    ships = world.with_settings(retrain=agreed(OFTEN), gate=SHIP)
    for later, champion in ((kept, 1), (ships, 3)):
        later.tick()
        verdict = later.platform.record(later.model.name, "evaluation")["verdict"]
        assert (verdict["judged"], later.aliases()["champion"]) == (False, champion)
        world.platform.ledger.record.note("flight_delay", Request, reason="again", by="ada")


def test_a_person_is_told_before_they_agree(world: World) -> None:
    retrain = {**agreed(OFTEN), "mode": "propose"}
    world.at(LATER)
    later = world.with_settings(retrain=retrain, gate=SHIP)
    assert "It cannot be judged against the champion" in later.tick().skipped


def test_again_and_again_each_training_ships(world: World) -> None:
    """As a replay lives it: period by period, each decided on at its end."""
    often = world.with_settings(retrain=agreed(OFTEN), gate=SHIP)
    for number, (first, end) in enumerate(((COLD_START, LATER), (LATER, date(2013, 2, 22))), start=2):
        often.live(first, end)
        assert often.aliases()["champion"] == number
    assert [entry["reason"].startswith("not judged") for entry in often.ledger("promotion")] == [False, True, True]

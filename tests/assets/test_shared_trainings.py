"""The retrain sensor where all trainings of a location share a budget: into the queue, out of it, and to a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.assets.retrain_sensor import DECISION_TAG, Deciding
from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
from mlops_assets.core.record.entries import Decision, Freeze, Request, Unfreeze, only
from mlops_assets.steps.decide.evidence import consider
from mlops_assets.steps.decide.fleet.waiting import TrainingQueue
from mlops_assets.world.platform import Platform
from mlops_assets.world.runs.training_runs import TrainingRuns
from mlops_assets.world.runs.training_starts import TrainingStart, TrainingStarts
from tests.real_slice import World

Agree = Callable[[TrainingsPolicy | None], None]
NAME = "flight_delay"
ONE = TrainingsPolicy(runs_a_day=1)


@pytest.fixture
def agree(monkeypatch: pytest.MonkeyPatch) -> Agree:
    """Agree on something for all trainings, as the project's file would."""

    def agreed(policy: TrainingsPolicy | None) -> None:
        monkeypatch.setattr(Platform, "trainings_policy", lambda _: policy)

    return agreed


@pytest.fixture
def full(drifting: World) -> Iterator[World]:
    """Another model has taken the day's training."""
    now = drifting.platform.now(drifting.model)
    TrainingStarts(drifting.home.root).note([TrainingStart("card_fraud", "d1", now)])
    yield drifting


def waiting(world: World) -> list[str]:
    queue = TrainingQueue(world.platform, {NAME: world.model}, ONE)
    return [each.decision for each in queue.waiting]


def starts(world: World) -> list[str]:
    return [start.decision for start in TrainingStarts(world.home.root).all()]


def decisions(world: World) -> list[Decision]:
    return only(world.platform.ledger.entries(NAME), Decision)


def test_within_the_budget_it_starts_at_once_with_the_key_of_its_decision(drifting: World, agree: Agree) -> None:
    agree(ONE)
    (first,), _ = drifting.engine.requests(drifting.sensor)
    assert (first.run_key, first.tags[DECISION_TAG]) == (decisions(drifting)[-1].id, decisions(drifting)[-1].id)
    assert first.asset_selection == [
        dg.AssetKey([NAME, s]) for s in ("training_set", "challenger", "evaluation", "champion")
    ]
    (again,), _ = drifting.engine.requests(drifting.sensor)
    assert again.run_key == first.run_key
    assert starts(drifting) == [first.run_key]


def test_its_run_is_counted_with_what_it_took(drifting: World, agree: Agree) -> None:
    agree(ONE)
    assert len(drifting.tick().runs) == 1
    # The first champion's, and this one.
    runs = list(TrainingRuns(drifting.home.root).of(NAME).values())
    assert [run.broke for run in runs] == ["", ""]
    assert min(run.cpu_seconds for run in runs) > 0.0
    queue = TrainingQueue(drifting.platform, {NAME: drifting.model}, ONE)
    mean = sum(run.cpu_seconds for run in runs) / 2
    assert queue.expected_cpu_hours(NAME) == pytest.approx(mean / 3600.0)
    assert queue.waiting == []
    assert drifting.tick().runs == ()


def test_above_the_budget_it_waits_and_the_next_day_it_starts(full: World, agree: Agree) -> None:
    agree(ONE)
    assert "It starts in its turn: mlops " in full.tick().skipped
    told = full.ledger()
    for _ in range(2):
        assert full.tick().runs == ()
    assert full.ledger() == told
    decision = decisions(full)[-1]
    assert (decision.action, waiting(full)) == ("retrain", [decision.id])
    full.home.configure(replace(full.home.settings, until=full.platform.now(full.model) + timedelta(days=1)))
    (request,), _ = full.engine.requests(full.sensor)
    # By the later clock it may have been decided on anew; it has waited since the first time.
    assert request.run_key == decisions(full)[-1].id
    assert starts(full) == ["d1", request.run_key]


def test_while_it_waits_a_freeze_takes_it_out_and_its_end_brings_it_back(full: World, agree: Agree) -> None:
    """The evidence is the same as before: no decision would go on record a second time."""
    agree(ONE)
    full.tick()
    (decision,) = waiting(full)
    record = full.platform.ledger.record
    for _ in range(2):
        record.note(NAME, Freeze, reason="year-end.", by="ada", until="2013-03-05T05:00:00+00:00")
        assert "wait (frozen): The model is frozen" in full.tick().skipped
        assert waiting(full) == []
        record.note(NAME, Unfreeze, reason="done", by="ada")
        assert "It starts in its turn: mlops " in full.tick().skipped
        assert waiting(full) == [decision]
    assert len({entry["id"] for entry in full.ledger()}) == len(full.ledger())
    assert full.platform.ledger.verify(NAME).whole


def test_a_request_takes_the_place_of_what_waits_and_outlives_other_decisions(full: World, agree: Agree) -> None:
    agree(ONE)
    full.tick()
    (before,) = waiting(full)
    record = full.platform.ledger.record
    record.note(NAME, Request, reason="now", by="ada")
    full.tick()
    (asked,) = waiting(full)
    assert asked != before
    assert decisions(full)[-1].rule == "request"
    record.note(NAME, Freeze, reason="year-end.", by="ada", until="2013-03-05T05:00:00+00:00")
    full.tick()
    assert decisions(full)[-1].rule == "frozen"
    assert waiting(full) == [asked]
    assert TrainingQueue(full.platform, {NAME: full.model}, ONE).waiting[0].held.startswith("The model is frozen")
    record.note(NAME, Unfreeze, reason="done", by="ada")
    told = full.ledger()
    full.tick()
    # It waits for its run: nothing else is decided, and nothing of it is written twice.
    assert full.ledger() == told
    assert waiting(full) == [asked]


def test_who_insists_starts_although_the_day_is_full(full: World, agree: Agree) -> None:
    agree(ONE)
    full.platform.ledger.record.note(NAME, Request, reason="now", by="ada", force=True)
    (request,), _ = full.engine.requests(full.sensor)
    assert request.tags["mlops/rule"] == "request"
    assert starts(full) == ["d1", request.run_key]


def test_a_person_s_own_process_waits_for_nobody_and_is_counted(full: World, agree: Agree) -> None:
    agree(ONE)
    full.platform.ledger.record.note(NAME, Request, reason="now", by="ada")
    tick = full.engine.decide(full.model)
    assert len(tick.runs) == 1
    assert len(starts(full)) == 2


def test_bad_data_that_came_while_it_waited_hold_it(full: World, agree: Agree) -> None:
    from mlops_assets.world.landed.intake import Taken

    agree(ONE)
    full.tick()
    taken = full.platform.sources.intakes()["flights"].record
    newest = taken.entries()["2013-03-03"]
    assert isinstance(newest, Taken)
    taken.put("2013-03-03", replace(newest, status="quarantined", reason="dep_delay is text."))
    assert full.tick().skipped.startswith("quarantine (data): flights/2013-03-03 is in quarantine")
    assert waiting(full) == []


def test_without_the_setting_what_waited_starts_at_once(full: World, agree: Agree) -> None:
    agree(ONE)
    full.tick()
    (decision,) = waiting(full)
    agree(None)
    (request,), _ = full.engine.requests(full.sensor)
    assert request.run_key == decision


def test_what_is_agreed_on_is_news_for_all(full: World, agree: Agree) -> None:
    """Whether one waits for its turn depends on it."""
    from mlops_assets.steps.decide.revisions import Revisions

    stamps = []
    for policy in (None, ONE, TrainingsPolicy(runs_a_day=2), None):
        agree(policy)
        stamps.append(Revisions(full.platform).of(full.model))
    assert len({*stamps}) == 3
    assert stamps[0] == stamps[3]


def test_an_agreement_that_cannot_be_read_stops_trainings_and_is_told(
    full: World, agree: Agree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Platform) -> TrainingsPolicy:
        raise ValueError("pyproject.toml: tool.mlops.trainings.runs_a_day is 0: write a whole number.")

    monkeypatch.setattr(Platform, "trainings_policy", broken)
    told = full.ledger()
    for _ in range(2):
        tick = full.tick()
        assert (tick.runs, tick.skipped) == (
            (),
            "pyproject.toml: tool.mlops.trainings.runs_a_day is 0: write a whole number.",
        )
    assert full.ledger() == told
    incidents = full.definitions.resources["alerts"].incidents
    assert [incident.key for incident in incidents.state().open] == ["undecided/trainings"]
    agree(ONE)
    full.tick()
    assert incidents.state().open == ()


# --- many looks ------------------------------------------------------------------------------------------------


def by_gain(world: World, monkeypatch: pytest.MonkeyPatch, p: float) -> None:
    """The probe has measured a gain on the newest window, of this p-value."""
    from mlops_assets.core.decide.probe_result import Gain, Probed
    from mlops_assets.steps.decide import evidence

    at = world.platform.now(world.model)
    gain = Gain("refit:expanding", 0.05, 0.1, 1, 1_000, 28, p=p)
    probed = Probed(gain, None, "refit:expanding", 1, 0.1, "It has looked.", looked_at=at, rows_per_day=800.0)
    monkeypatch.setattr(evidence, "probed", lambda *_, **__: probed)


def test_a_gain_that_is_not_certain_enough_waits_on_record(
    drifting: World, agree: Agree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four models are declared: the first limit is 0.05 / (4 x 25/12), 0.006."""
    agree(TrainingsPolicy())
    by_gain(drifting, monkeypatch, 0.02)
    skipped = drifting.tick().skipped
    assert skipped.startswith(
        "wait (many_looks): Its gain is not certain enough among the 4 looks of the day: p 0.02, limit 0.006."
    )
    held = decisions(drifting)[-1]
    assert (held.action, held.rule, held.evidence["among"]["looks"]) == ("wait", "many_looks", 4)
    told = drifting.ledger()
    for _ in range(2):
        assert drifting.tick().runs == ()
    assert drifting.ledger() == told
    # Its next look adds evidence.
    by_gain(drifting, monkeypatch, 0.001)
    (request,), _ = drifting.engine.requests(drifting.sensor)
    assert request.tags["mlops/rule"] == "gain"
    assert decisions(drifting)[-1].evidence["among"]["limit"] == pytest.approx(0.05 / (4 * 25 / 12))


def test_it_starts_in_the_tick_in_which_another_gain_of_its_day_is_found(
    drifting: World, agree: Agree, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.fleet_home import decision

    agree(TrainingsPolicy())
    by_gain(drifting, monkeypatch, 0.01)
    drifting.tick()
    now = drifting.platform.now(drifting.model)
    drifting.platform.ledger.append("card_fraud", decision("card_fraud", at=now, looked=now, p=0.001))
    # Nothing of its own was written: the cursor alone would let it rest.
    (request,), _ = drifting.engine.requests(drifting.sensor)
    assert request.tags["mlops/rule"] == "gain"


def test_each_of_two_gains_speaks_for_the_other_in_one_tick(
    drifting: World, agree: Agree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither alone is below 0.006, both are below 0.012: no wait goes on record before the other is known."""
    policy = TrainingsPolicy()
    agree(policy)
    by_gain(drifting, monkeypatch, 0.01)
    deciding = Deciding(drifting.platform, drifting.instance, policy)
    before = drifting.ledger()
    look = deciding.look(drifting.model)
    assert look.sentence.startswith("wait (many_looks)")
    assert drifting.ledger() == before
    now = drifting.platform.now(drifting.model)
    deciding.gains.known["card_fraud"] = (now.date(), 0.011)
    looks = deciding.together({NAME: drifting.model}, lambda _, again: again())
    assert looks[NAME].request is not None
    assert [entry["rule"] for entry in drifting.ledger()[len(before) :]] == ["gain"]


def test_without_a_policy_evidence_and_ids_are_what_they_were(drifting: World, agree: Agree) -> None:
    agree(None)
    without, evidence, _ = consider(drifting.platform, drifting.model)
    assert "among" not in without.evidence
    agree(TrainingsPolicy(fdr="never"))
    assert consider(drifting.platform, drifting.model)[0].id == without.id  # the probe has not looked here
    assert evidence.probe is None


def test_a_replay_lives_alone(tmp_path: Path) -> None:
    from mlops_assets.world.atomic import write_text
    from mlops_assets.world.home import Home
    from mlops_assets.world.record.replayed import SETTINGS

    home = Home(tmp_path / "home")
    write_text(home.root / SETTINGS, "{}")
    assert Platform.of(home).trainings_policy() is None

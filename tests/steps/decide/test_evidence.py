"""Evidence on real reports: what is gathered, what is left out, and what a home without MLflow says."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import skops.io
from sklearn.preprocessing import StandardScaler

from mlops_assets.core.decide.policy import RetrainPolicy, decide
from mlops_assets.core.models.families.transformer import unfitted
from mlops_assets.core.record.entries import Pause, Rejection, Request, Resume
from mlops_assets.core.time.windows import midnight
from mlops_assets.steps.decide.evidence import consider, gather, history, keep
from mlops_assets.steps.decide.model_changes import changed_definition
from mlops_assets.steps.features.code_versions import CONSTANT
from mlops_assets.steps.promote.conclusion import finish_promotion
from mlops_assets.steps.promote.training import prepare
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import Registry
from mlops_assets.world.mlflow.store import MlflowUnavailable
from mlops_assets.world.record.chain import Head
from tests.real_slice import LAST_DAY, World, working_in

NewWorld = Callable[..., World]


@pytest.fixture
def reading(drifting_home: Home):
    with working_in(drifting_home):
        yield World.of(drifting_home)


def test_what_is_known_of_a_champion_on_its_second_monday(reading: World) -> None:
    evidence = gather(reading.platform, reading.model, reading.platform.now(reading.model))
    assert (evidence.champion_version, evidence.champion_since) == ("1", datetime(2013, 2, 18, 5, tzinfo=UTC))
    assert len(evidence.checks) == 6  # three checks in two weeks
    assert evidence.window == "2013-02-25..2013-03-03"
    labels = reading.platform.data(reading.model).events(as_of=datetime(2013, 3, 4, 5, tzinfo=UTC))
    since = labels["label_available_at"] > datetime(2013, 2, 18, 5, tzinfo=UTC)
    assert evidence.matured_labels == int(since.sum())
    assert (evidence.data_ok, evidence.request, evidence.paused, evidence.cannot_judge) == (True, None, None, ())


def test_what_reports_say_besides_their_checks_is_part_of_it(reading: World) -> None:
    evidence = gather(reading.platform, reading.model, reading.platform.now(reading.model))
    assert evidence.definition == ""
    assert evidence.novelty is not None
    assert (evidence.novelty.window, 0.0 <= evidence.novelty.share < 0.1) == ("2013-02-25..2013-03-03", True)
    matters, novel = evidence.notes
    assert matters.startswith("Drift that matters most in 2013-02-25..2013-03-03: flights: 12 of its 28 features")
    assert "lie outside its joint support (expected 1%)" in novel


def test_a_changed_definition_is_evidence_until_a_version_was_trained_by_it(drifting: World) -> None:
    changed = drifting.with_settings(exclude=["distance_miles"])
    evidence = gather(changed.platform, changed.model, changed.platform.now(changed.model))
    assert evidence.definition == (
        "The definition has changed since version 1 was trained: 1 gone (feat_flight__distance_miles)."
    )
    # The tick is held back by nothing: drift asks first where the probe has not looked.
    changed.tick()
    # Windows before the new champion speak of another model.
    evidence = gather(changed.platform, changed.model, changed.platform.now(changed.model))
    assert (evidence.champion_version, evidence.checks, evidence.matured_labels) == ("2", (), 0)
    assert (evidence.definition, evidence.novelty, evidence.notes) == ("", None, ())
    assert changed_definition(drifting.platform, drifting.model).endswith("1 new (feat_flight__distance_miles).")
    # What held still in a training was left out of it: counted as new, it would ask for one training after another.
    registry = drifting.platform.registry
    assert registry.version(drifting.model.name, 2).tags[CONSTANT] == "[]"
    registry.client.set_model_version_tag(drifting.model.name, "2", CONSTANT, '["feat_flight__distance_miles"]')
    assert changed_definition(drifting.platform, drifting.model) == ""


def test_another_transformer_is_a_changed_definition(
    drifting: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def definition(pipeline: str | None) -> str:
        world = drifting.with_settings(training={"families": ["linear"], "pipeline": pipeline, "min_rows": 100})
        return changed_definition(world.platform, world.model)

    folder = drifting.home.root / "pipelines"
    folder.mkdir()
    skops.io.dump(StandardScaler(), folder / "scaled.skops")
    trained = "The definition has changed since version 1 was trained: "
    assert definition("scaled.skops") == f"{trained}training.pipeline is new."
    assert definition(None) == ""
    assert definition("lost.skops") == "", "a training is refused for it"
    load = Registry.load
    text = unfitted((folder / "scaled.skops").read_bytes(), "")

    def behind_it(self: Registry, name: str, version: int) -> Any:
        model = load(self, name, version)
        return SimpleNamespace(recipe=replace(model.recipe, transformer=text))

    monkeypatch.setattr(Registry, "load", behind_it)
    assert definition("scaled.skops") == ""
    assert definition(None) == f"{trained}training.pipeline is gone."
    # Written by another release, the same is other bytes.
    older = base64.b64encode(zlib.compress(zlib.decompress(base64.b64decode(text)), 1)).decode()
    assert older != text
    text = older
    assert definition("scaled.skops") == ""
    skops.io.dump(StandardScaler(with_mean=False), folder / "scaled.skops")
    assert definition("scaled.skops") == f"{trained}the transformer in {folder / 'scaled.skops'}."


def test_considering_writes_nothing_and_another_policy_may_be_asked(reading: World) -> None:
    before = reading.ledger()
    decision, _, is_new = consider(reading.platform, reading.model)
    assert (decision.action, decision.rule, is_new) == ("retrain", "drift", True)
    patient = RetrainPolicy(drift_breaches=3)
    assert consider(reading.platform, reading.model, policy=patient)[0].action == "wait"
    assert reading.ledger() == before


def test_a_broken_retraining_costs_no_budget(drifting: World) -> None:
    decision, _, _ = consider(drifting.platform, drifting.model)
    keep(drifting.platform, decision)
    assert [past.rule for past in history(drifting.platform, "flight_delay").retrains] == ["first_model"]
    drifting.platform.ledger.record.note(
        "flight_delay", Rejection, id="r", decision=decision.id, version=2, reason="rejected"
    )
    assert [past.rule for past in history(drifting.platform, "flight_delay").retrains] == ["first_model", "drift"]


def test_a_promotion_that_was_not_put_on_record_is_put_there(drifting: World) -> None:
    drifting.tick()
    ledger = drifting.platform.ledger.file("flight_delay")
    told = drifting.ledger()
    assert told[-1]["kind"] == "promotion"
    # Killed before its line, and so before its head.
    *kept, _ = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(kept))
    Head(len(kept), json.loads(kept[-1])["hash"]).write(drifting.platform.ledger.record.head_file("flight_delay"))
    finish_promotion(drifting.platform, drifting.model)
    assert drifting.ledger() == told
    finish_promotion(drifting.platform, drifting.model)
    assert drifting.ledger() == told


def test_young_data_say_what_they_wait_for(new_world: NewWorld) -> None:
    world = new_world()
    world.at(date(2013, 1, 5))
    decision, evidence, _ = consider(world.platform, world.model)
    assert decision.action == "cannot_judge"
    known = world.platform.data(world.model).known_labels(before=midnight(date(2013, 1, 5), "America/New_York"))
    (told,) = evidence.cannot_judge
    wanted = "a first model needs 500 labelled rows to train on, and then 14 days with 200 more to be judged on"
    assert f"because {known:,} labelled rows are known, and {wanted}. At " in told
    world.at(date(2013, 1, 6))
    assert consider(world.platform, world.model)[0].id != decision.id
    found = re.search(r"it can be trained by about ([\d-]+)\. Wait for labels", told)
    assert found
    by = date.fromisoformat(found[1])
    world.at(by - timedelta(days=2))
    assert "first model needs" in consider(world.platform, world.model)[1].cannot_judge[0]
    world.at(by + timedelta(days=1))
    assert consider(world.platform, world.model)[1].cannot_judge == ()


@pytest.mark.parametrize("is_first", [True, False])
def test_a_training_window_that_never_holds_enough_is_named_with_what_to_change(
    request: pytest.FixtureRequest, is_first: bool
) -> None:
    """Some 450 flights a day: seven days hold a third of 10,000, however long is waited."""
    if is_first:
        world = request.getfixturevalue("new_world")()
        world.at(date(2013, 2, 20))
    else:
        world = request.getfixturevalue("drifting")
        world.platform.ledger.record.note(world.model.name, Request, reason="new features", by="me")
    each = world.with_settings(training={"window": "rolling: 7d", "min_rows": 10_000})
    decision, evidence, _ = consider(each.platform, each.model)
    (text,) = evidence.cannot_judge
    assert (decision.action, text in decision.reasons) == ("cannot_judge", True)
    found = re.search(r"at ([\d,]+) a day training.window \(rolling: 7d\) holds about ([\d,]+)\.", text)
    assert found, text
    pace, holds = (int(number.replace(",", "")) for number in found.groups())
    assert 400 < pace < 500
    # Of the newest hours a few labels are still to come.
    assert 6.8 * pace < holds <= 7 * pace
    days = re.search(r"Name a training.window of about (\d+) days, or lower training.min_rows to ([\d,]+)\.", text)
    assert days, text
    assert abs(int(days[1]) - 10_000 / pace) <= 2
    assert "by about" not in text
    fewer = world.with_settings(training={"window": "rolling: 7d", "min_rows": holds * 9 // 10})
    assert consider(fewer.platform, fewer.model)[1].cannot_judge == ()


def test_a_training_that_could_not_succeed_is_not_started(new_world: NewWorld) -> None:
    world = new_world(training={"min_rows": 20})
    world.at(date(2013, 1, 20))
    assert consider(world.platform, world.model)[1].cannot_judge == ()
    lake = world.platform.lake
    for path in lake.partitions("labels", world.model.label.model).values():
        lake.write(pd.read_parquet(path).assign(**{world.model.label.column: 1}), path)
    decision, evidence, _ = consider(world.platform, world.model)
    assert decision.action == "cannot_judge"
    assert "labels are 1, one class only. Widen training.window" in evidence.cannot_judge[0]


@pytest.mark.parametrize(("a_day", "is_enough"), [(12, False), (13, True)])
def test_a_training_whose_version_would_have_no_reference_is_not_started(
    new_world: NewWorld, a_day: int, is_enough: bool
) -> None:
    """A gate that asks for few rows: what a promotion keeps of the judged days takes a hundred, and 8 * 12 are 96."""
    few = {"min_rows": 20, "slice_min_rows": 20}
    world = new_world(training={"min_rows": 20}, retrain={"min_matured_labels": 20}, gate={"window": "8d", **few})
    world.at(date(2013, 1, 20))
    lake, label = world.platform.lake, world.model.label
    for path in lake.partitions("labels", label.model).values():
        rows = pd.read_parquet(path)
        known = rows[label.column].dropna()
        first = rows.index.isin(known.sample(min(a_day, len(known)), random_state=0).index)
        lake.write(rows.assign(**{label.column: rows[label.column].where(first)}), path)
    decision, evidence, _ = consider(world.platform, world.model)
    assert (decision.action != "cannot_judge") == is_enough
    if not is_enough:
        (told,) = evidence.cannot_judge
        assert re.search(r"judged on, [-\d]+ to [-\d]+, have 96 labelled rows, and 100 are needed", told)
        assert told.endswith("Lengthen gate.window (now 8d), or wait for labels.")


def test_the_clock_moves_no_evidence(reading: World) -> None:
    now = midnight(LAST_DAY, reading.model.timezone) + timedelta(days=3)  # everything landed is known
    model = reading.model.model_copy(update={"gate": replace(reading.model.gate, window="9d")})
    ids = {gather(reading.platform, model, now + timedelta(minutes=n)).fingerprint() for n in range(3)}
    assert len(ids) == 1


def test_without_mlflows_file_nothing_is_decided_or_trained(drifting: World) -> None:
    told, files = drifting.ledger(), drifting.files()
    database = drifting.home.mlflow / "mlflow.db"
    content = database.read_bytes()
    database.unlink()
    for step in (
        lambda: consider(drifting.platform, drifting.model),
        lambda: prepare(drifting.platform, drifting.model),
    ):
        with pytest.raises(MlflowUnavailable, match=r"mlflow.db is gone, but its artifacts .* Restore the file"):
            step()
    assert not database.exists()
    assert (drifting.ledger(), drifting.files()) == (told, files)
    database.write_bytes(content)
    assert drifting.aliases() == {"champion": 1}
    assert consider(drifting.platform, drifting.model)[0].rule == "drift"


def test_bad_data_is_decided_on_at_its_own_end_where_the_clock_stands_still(new_world: NewWorld) -> None:
    world = new_world()
    flights, day = world.platform.sources.intakes()["flights"], LAST_DAY + timedelta(days=3)
    before, _, _ = consider(world.platform, world.model)
    flights.record.put(str(day), replace(flights.taken()[str(LAST_DAY)], status="quarantined", reason="It is empty."))
    now, zone = world.platform.now(world.model), world.model.timezone
    assert before.at == now == midnight(LAST_DAY + timedelta(days=1), zone)
    decision, evidence, is_new = consider(world.platform, world.model)
    assert (decision.action, decision.at, is_new) == ("quarantine", midnight(day + timedelta(days=1), zone), True)
    # Its identity is that of its evidence: it is no other decision for being told at another moment.
    assert (
        decide(evidence, world.model.retrain_policy, history(world.platform, world.model.name), now).id == decision.id
    )
    world.at(day)
    assert consider(world.platform, world.model)[0].action != "quarantine", "a replay does not know of it yet"


def test_a_champion_of_few_days_says_how_many_more_the_gate_needs(drifting: World) -> None:
    """Five days after the champion was fitted, no eight days of labels can be there."""
    drifting.at(date(2013, 2, 23))
    drifting.platform.ledger.record.note(drifting.model.name, Request, reason="new features", by="me")
    decision, evidence, _ = consider(drifting.platform, drifting.model)
    (told,) = evidence.cannot_judge
    assert (decision.action, told in decision.reasons) == ("cannot_judge", True)
    found = re.search(r"because (\d) days of labels, .* since 2013-02-18 .*: (\d) more days, by about ([\d-]+)\.", told)
    assert found, told
    assert int(found[1]) + int(found[2]) == 8
    # The days themselves may have begun; their labels come within hours.
    assert date(2013, 2, 26) <= date.fromisoformat(found[3]) <= date(2013, 2, 28)
    drifting.at(date.fromisoformat(found[3]) + timedelta(days=1))
    assert consider(drifting.platform, drifting.model)[1].cannot_judge == ()


def test_a_leader_of_too_few_rows_before_the_judged_days_says_how_many_more(
    drifting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.steps.decide import training_scope
    from mlops_assets.steps.decide.training_scope import TrainingPlan

    day = date(2013, 3, 2)
    monkeypatch.setattr(training_scope, "plan", lambda *_: TrainingPlan(f"since: {day}"))
    evidence = consider(drifting.platform, drifting.model)[1]
    (told,) = evidence.cannot_judge
    found = re.search(r"because 0 labelled rows of .* \(since: 2013-03-02\) .* about (\d+) more days, by about", told)
    assert found, told
    gate = training_scope.scope(drifting.platform, drifting.model, as_of=drifting.platform.now(drifting.model)).gate
    start = drifting.platform.data(drifting.model).day(gate.start)
    # At some 450 flights a day, 500 rows take two days from the break on; their labels are known within one.
    assert int(found[1]) == (day - start).days + 3
    assert "Lower training.min_rows, or name a longer training.window" not in told


def test_in_a_replay_a_decision_without_data_is_of_its_own_period(new_world: NewWorld) -> None:
    """The slice ends on March 10; a replay's clock stands there, and its time goes on."""
    world = new_world()
    world.at(date(2013, 4, 1))
    now, passed = world.platform.now(world.model), midnight(date(2013, 4, 1), world.model.timezone)
    assert now == midnight(LAST_DAY + timedelta(days=1), world.model.timezone) < passed
    world.platform.ledger.record.note(world.model.name, Pause, reason="holidays", by="me")
    decision, evidence, _ = consider(world.platform, world.model)
    assert (decision.action, decision.at) == ("wait", passed)
    assert (
        decide(evidence, world.model.retrain_policy, history(world.platform, world.model.name), now).id == decision.id
    )
    world.platform.ledger.record.note(world.model.name, Resume, reason="back", by="me")
    training, _, _ = consider(world.platform, world.model)
    assert (training.action, training.at) == ("retrain", now), "it is trained on what is known by the clock"

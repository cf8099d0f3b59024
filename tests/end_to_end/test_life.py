"""A model's life on real flights: cold start, drift, decision, retraining, promotion and rejection.

Sensors are ticked in process, as a replay does; the real daemon has a test of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from mlops_assets.assets.retrain_sensor import DECISION_TAG
from mlops_assets.definitions import build_definitions
from mlops_assets.steps.decide.evidence import consider, keep
from mlops_assets.steps.predict.references import read_reference
from mlops_assets.world.home import Home
from tests.real_slice import LAST_DAY, WEEKS, World

CRIPPLED = {"max_rounds": 1}


def outcome(world: World) -> dict:
    return world.ledger("promotion", "rejection")[-1]


def succeeded(world: World) -> bool:
    return all(run.status == dg.DagsterRunStatus.SUCCESS for run in world.instance.get_runs())


def test_the_first_model_is_promoted_against_the_base_rate(champion_home: Home) -> None:
    world = World.of(champion_home)
    decision, promotion = world.ledger()
    assert (decision["action"], decision["rule"], promotion["kind"]) == ("retrain", "first_model", "promotion")
    assert decision["reasons"][0] == "There is no champion yet."
    assert promotion["decision"] == decision["id"]
    assert "0.5000 of the baseline" in promotion["reason"]  # a constant score ranks nothing: AUC is one half
    assert world.aliases() == {"champion": 1}
    champion = world.platform.registry.champion(world.model.name)
    assert champion is not None
    assert champion.tags["decision"] == decision["id"]
    assert champion.tags["fitted_until"] == "2013-02-18T05:00:00+00:00"  # the clock: midnight in New York
    assert len(read_reference(world.platform.lake, world.model.name, 1).sample) == 5_000
    (run,) = world.instance.get_runs(filters=dg.RunsFilter(tags={DECISION_TAG: decision["id"]}))
    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert world.platform.registry.client.get_run(champion.run_id).info.status == "FINISHED"


def test_after_the_promotion_one_word_is_said_and_then_none(world: World) -> None:
    before = world.runs()
    assert "No monitoring window has closed since the champion was trained" in world.tick().skipped
    told = world.ledger()
    assert [e["action"] for e in told if e["kind"] == "decision"] == ["retrain", "wait"]
    world.tick()
    world.tick()
    assert world.ledger() == told
    assert world.runs() == before


def test_drift_leads_to_a_retraining_that_is_promoted(drifting: World) -> None:
    world = drifting
    tick = world.tick()
    (run,) = tick.runs
    decision, promotion = world.ledger()[-2:]
    assert (decision["rule"], decision["action"]) == ("drift", "retrain")
    assert "inputs_match_reference failed in 2 windows" in decision["reasons"][0]
    assert run.dagster_run.tags[DECISION_TAG] == decision["id"]
    assert (promotion["kind"], promotion["decision"]) == ("promotion", decision["id"])
    assert (promotion["version"], promotion["previous"]) == (2, 1)
    assert world.aliases() == {"champion": 2, "previous": 1}
    registry = world.platform.registry
    # The judged twin and what shipped are two models of one recipe, both on record.
    tags = registry.version(world.model.name, 2).tags
    assert tags["judged_sha256"] != tags["sha256"] == registry.load(world.model.name, 2).sha256
    assert tags["training_set"] != tags["refit_set"]
    assert registry.load(world.model.name, "previous").sha256 == registry.version(world.model.name, 1).sha256

    told, files, runs = world.ledger(), world.files(), world.runs()
    assert world.tick().runs == world.tick().runs == ()
    assert (len(world.ledger()) - len(told), world.runs()) == (1, runs)  # "no window yet" for the new champion
    assert (world.ledger()[-1]["action"], world.files()) == ("wait", files)

    # The next week is scored by the new champion; the weeks before keep their scores.
    world.at(LAST_DAY)
    world.watch(WEEKS[-1], LAST_DAY)
    rows = world.platform.lake.read("predictions", world.model.name, name="batch", columns=["model_version"])
    assert rows["model_version"].value_counts().to_dict().keys() == {1, 2}
    assert {k: v for k, v in world.files().items() if k in files and k.startswith("predictions")} == {
        k: v for k, v in files.items() if k.startswith("predictions")
    }


def test_a_rejection_is_an_outcome_and_no_failure(drifting: World) -> None:
    world = drifting.with_settings(training=CRIPPLED)
    world.tick()
    decision, rejection = world.ledger()[-2:]
    assert (decision["rule"], rejection["kind"], rejection["decision"]) == ("drift", "rejection", decision["id"])
    assert rejection["reason"].startswith("roc_auc")
    assert world.aliases() == {"champion": 1}
    assert world.platform.registry.version(world.model.name, 2).tags["verdict"] == "reject"
    assert succeeded(world)
    assert world.alerts() == []
    champion = dg.AssetKey([world.model.name, "champion"])
    assert len(world.instance.fetch_materializations(champion, limit=5).records) == 1  # the cold start's
    evaluations = world.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey([world.model.name, "evaluation"]), "challenger_beats_champion"), limit=1
    )
    (evaluation,) = (record.evaluation for record in evaluations)
    assert evaluation is not None
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)

    told, runs = world.ledger(), world.runs()
    assert world.tick().runs == world.tick().runs == ()
    assert world.runs() == runs
    assert world.ledger()[len(told) :] == [] or world.ledger()[-1]["action"] == "wait"


def test_promoting_the_same_evaluation_again_changes_nothing(drifting: World) -> None:
    from mlops_assets.steps.promote.conclusion import conclude

    world = drifting
    world.tick()
    aliases, told = world.aliases(), world.ledger()
    assert conclude(world.platform, world.model)["promoted"] is True
    assert (world.aliases(), world.ledger()) == (aliases, told)


def test_a_decision_whose_run_never_came_gets_it_at_the_next_tick(drifting: World) -> None:
    world = drifting
    decision, _, is_new = consider(world.platform, world.model)
    assert is_new
    keep(world.platform, decision)  # here the process dies
    requests, _ = world.engine.requests(world.sensor)
    assert [request.run_key for request in requests] == [decision.id]
    world.engine.execute(requests[0])
    assert outcome(world)["decision"] == decision.id
    assert len(world.ledger("decision")) == 2
    assert world.engine.requests(world.sensor)[0] == []


def test_a_person_asks_once_and_gets_one_run(world: World, mlops: Callable) -> None:
    world.at(WEEKS[-1])
    assert mlops("retrain", world.model.name, "--reason", "a new feature").exit_code == 0
    crippled = world.with_settings(training=CRIPPLED)
    assert len(crippled.tick().runs) == 1
    decision = world.ledger("decision")[-1]
    assert decision["rule"] == "request"
    assert "a new feature" in decision["reasons"][0]
    assert outcome(world)["decision"] == decision["id"]
    assert crippled.tick().runs == crippled.tick().runs == ()


def test_a_pause_holds_until_it_is_lifted(drifting: World, mlops: Callable) -> None:
    world = drifting
    mlops("pause", world.model.name, "--reason", "the feed is being moved")
    assert "the feed is being moved" in world.tick().skipped
    assert world.tick().runs == ()
    assert world.ledger("decision")[-1]["rule"] == "paused"
    mlops("resume", world.model.name, "--reason", "it has moved")
    (request,), _ = world.engine.requests(world.sensor)
    assert world.ledger("decision")[-1]["rule"] == "drift"
    assert request.run_key == world.ledger("decision")[-1]["id"]


def test_a_failing_data_test_stops_the_training_and_rings(drifting: World) -> None:
    from mlops_assets.simulate.engine import RunFailed

    world = drifting
    world.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("feat_flight"), check_name="feat_flight_keys_are_unique", passed=False
        )
    )
    before, aliases = world.files(), world.aliases()
    with pytest.raises(RunFailed):
        world.tick()
    assert (world.files(), world.aliases()) == (before, aliases)
    # While dbt is at work, what it said last holds.
    world.instance.create_run_for_job(build_definitions(world.home).resolve_job_def("landing_flights"))
    with pytest.raises(RunFailed):
        world.engine.execute(dg.RunRequest(job_name="retrain"))
    alert, _ = world.alerts()
    assert "retrain failed in flight_delay_training_set" in alert.happened
    assert "flight_delay/training_set.data_tests_pass failed. Failing: feat_flight.feat_flight_keys_are_unique" in (
        alert.happened
    )
    assert "champion and data are as they were" in alert.did
    assert "re-execute" in alert.do
    # The decision stands: what asks again asks under its key, so the daemon starts no second run.
    assert {r.run_key for r in world.engine.requests(world.sensor)[0]} <= {world.ledger("decision")[-1]["id"]}


def test_a_model_is_trained_while_dbt_is_at_work(drifting: World) -> None:
    """A landing run that has begun has planned its checks, and not one is answered yet."""
    drifting.instance.create_run_for_job(build_definitions(drifting.home).resolve_job_def("landing_flights"))
    request = dg.RunRequest(job_name="retrain")
    run = drifting.engine.execute(request, only=[dg.AssetKey(["flight_delay", "training_set"])])
    assert [check.passed for check in run.get_asset_check_evaluations()] == [True]


def test_nothing_is_decided_before_there_is_data(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlops_assets.world.home import HomeSettings

    home = Home(tmp_path / "empty")
    home.configure(HomeSettings(clock="data"))
    home.prepare()
    monkeypatch.setenv("MLOPS_HOME", str(home.root))
    world = World.of(home)
    assert "Source flights has no good partition" in world.tick().skipped
    assert world.ledger() == []

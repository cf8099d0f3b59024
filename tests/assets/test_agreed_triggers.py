"""Each trigger of `retrain.on`, lived: the check fails, a candidate starts, and the reason names the trigger."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from mlops_assets.assets.retrain_sensor import DECISION_TAG
from mlops_assets.core.decide.policy import RetrainPolicy
from mlops_assets.core.record.entries import Decision, Rejection, only
from mlops_assets.steps.decide.evidence import consider
from mlops_assets.steps.decide.upcoming import upcoming
from mlops_assets.steps.keep.standing import _known
from tests.real_slice import COLD_START, World


def agreed(*entries: Any, **fields: Any) -> dict[str, Any]:
    """The policy of a list of triggers; nothing else holds a training back: what is tried is what asks for it."""
    policy = RetrainPolicy.from_dict({"on": list(entries), "cooldown": "0d", "min_matured_labels": 0, **fields})
    return {field: getattr(policy, field) for field in (*fields, *SET)}


SET = ("on", "cooldown", "min_matured_labels", "growth", "max_age", "definition_change")

ASKING: dict[str, tuple[Any, str, str]] = {
    "psi_0_2": ("psi_0_2", "drift", r"The trigger drift \(psi 0.2\) asks for a training: .* PSI .* over 0.2"),
    "ks_0_05": ("ks_0_05", "drift", r"The trigger drift \(ks_p 0.05, chi2_p 0.05\) asks for a training: .* under 0.05"),
    "kl_0_15": ("kl_0_15", "drift", r"The trigger drift \(kl 0.15\) asks for a training: .* KL .* over 0.15"),
    "weekly": ("weekly_or_drift", "schedule", r"The trigger schedule \(every 7d\) asks for a training: it was due at"),
    "monitors": ("drift", "drift", r"inputs_match_reference failed in 2 windows up to"),
    "scores": (
        {"drift": {"of": "scores", "psi": 0.001}},
        "drift",
        r"\(of scores, psi 0.001\) asks for a training: .* score PSI",
    ),
    "in a row": (
        {"drift": {"psi": 0.2, "windows": 2}},
        "drift",
        r"\(psi 0.2, windows 2\) asks for a training: .*2013-02-25..2013-03-03",
    ),
    "ndcg": (
        {"importance": {"ndcg": 0.9999}},
        "importance",
        r"The trigger importance \(ndcg 0.9999\) .*NDCG; limit 0\.9999\)",
    ),
    "novelty": (
        {"novelty": {"share": 0.0001}},
        "novelty",
        r"The trigger novelty \(share 0.0001\) asks.*joint support \(expected 1%\); the limit of that is 0\.01%",
    ),
    "auc": (
        {"performance": {"floor": 0.99}},
        "performance",
        r"\(floor 0.99\) .*roc_auc 0\.\d+ in window .* breaks the",
    ),
    "rows": (
        {"data": {"rows": 500}},
        "new_data",
        r"\(rows 500\) .*: [\d,]+ rows with a label have come since the last",
    ),
    "files": (
        {"data": {"files": 14}},
        "new_data",
        r"\(files 14\) .*: \d+ partitions have come since the last training",
    ),
    "lag": (
        {"freshness": {"lag": "36h"}},
        "freshness",
        r"\(lag 36h\) .*the newest rows are .* newer than those of the",
    ),
    "cron": ({"schedule": {"cron": "0 2 * * sun"}}, "schedule", r"it was due at 2013-03-03 02:00 America/New_York"),
}


def requests(world: World) -> list[dg.RunRequest]:
    return world.engine.requests(world.sensor)[0]


def decided(world: World) -> Decision:
    return only(world.platform.ledger.entries("flight_delay"), Decision)[-1]


@pytest.mark.parametrize("name", ASKING)
def test_it_starts_a_candidate_and_the_reason_names_it(drifting: World, name: str) -> None:
    entry, rule, reason = ASKING[name]
    world = drifting.with_settings(retrain=agreed(entry))
    (request,) = requests(world)
    decision = decided(world)
    assert (request.tags["mlops/rule"], request.tags[DECISION_TAG]) == (rule, decision.id)
    assert (decision.action, decision.rule) == ("retrain", rule)
    assert re.search(reason, decision.reasons[0]), decision.reasons
    assert not re.search(r"\.\.( |$)| [:.]|  ", " ".join(decision.reasons)), decision.reasons


QUIET: dict[str, tuple[Any, str]] = {
    "psi": (
        {"drift": {"psi": 40.0}},
        r"drift \(psi 40\): in window 2013-02-25..2013-03-03: 0 of \d+ features have drifted",
    ),
    "windows": ({"drift": {"psi": 0.2, "windows": 3}}, r"drift \(psi 0.2, windows 3\): "),
    "auc": ({"performance": {"floor": 0.2}}, r"keeps the limit of 0.2"),
    "rows": ({"data": {"rows": 10**7}}, r"a candidate is due at 10,000,000"),
    "files": ({"data": {"files": 1000}}, r"partitions have come since the last training"),
    "every": ({"schedule": {"every": "60d"}}, r"it is next due at 2013-04-19 01:00 America/New_York"),
    "cron": ({"schedule": {"cron": "0 2 1 1 *"}}, r"it is next due at 2014-01-01 02:00 America/New_York"),
    "lag": ({"freshness": {"lag": "30d"}}, r"newer than those of the last training \(limit 30d\)"),
    "gain": ("gain", r"."),
}


@pytest.mark.parametrize("name", QUIET)
def test_it_asks_for_nothing_and_says_how_it_stands(drifting: World, name: str) -> None:
    entry, sentence = QUIET[name]
    world = drifting.with_settings(retrain=agreed(entry))
    assert requests(world) == []
    decision = decided(world)
    assert (decision.action, decision.rule) == ("wait", "nothing")
    assert re.search(sentence, decision.reasons[0]), decision.reasons


def test_two_at_once_start_one_candidate_with_both_reasons(drifting: World) -> None:
    world = drifting.with_settings(retrain=agreed("weekly_or_drift"))
    (first,), (second,) = requests(world), requests(world)
    assert first.run_key == second.run_key
    decision = decided(world)
    assert [reason.split(" asks")[0] for reason in decision.reasons[:2]] == [
        "The trigger schedule (every 7d)",
        "The trigger drift (psi 0.2)",
    ]


def test_what_a_candidate_has_answered_starts_no_second_one(drifting: World) -> None:
    world = drifting.with_settings(retrain=agreed("weekly_or_drift"))
    (request,) = requests(world)
    decision = decided(world)
    world.instance.add_run(
        dg.DagsterRun(
            job_name="retrain",
            run_id="2" * 32,
            tags={**request.tags, "dagster/run_key": decision.id},
            status=dg.DagsterRunStatus.SUCCESS,
        )
    )
    said = {"decision": decision.id, "version": 2, "reason": "It is no better."}
    world.platform.ledger.record.note("flight_delay", Rejection, **said)
    assert requests(world) == []
    assert (decided(world).action, decided(world).rule) == ("wait", "nothing")
    # The schedule counts from the training, promoted or not.
    told = upcoming(world.platform, world.model, _known(world.platform, world.model, world.platform.now(world.model)))
    assert "Its schedule (every 7d) is next due at 2013-03-11 05:00 UTC." in told


def test_before_any_window_was_judged_a_check_asks_for_nothing_and_a_schedule_does(world: World) -> None:
    world.at(date(2013, 2, 26))
    checked = world.with_settings(retrain=agreed("psi_0_2"))
    assert requests(checked) == []
    assert (decided(checked).action, decided(checked).rule) == ("wait", "no_window")
    (request,) = requests(world.with_settings(retrain=agreed({"schedule": {"every": "7d"}})))
    assert request.tags["mlops/rule"] == "schedule"


def test_a_metric_that_no_window_has_measured_yet_says_so(drifting: World) -> None:
    world = drifting.with_settings(retrain=agreed({"performance": {"metric": "f1", "floor": 0.85}}))
    assert requests(world) == []
    assert "f1 was not measured; it is in windows that close from now on" in decided(world).reasons[0]


def test_a_feature_that_there_is_not_is_named(drifting: World) -> None:
    entry = {"drift": {"psi": 0.2, "features": ["feat_flight__wingspan"]}}
    world = drifting.with_settings(retrain=agreed(entry))
    assert requests(world) == []
    assert (
        "feat_flight__wingspan is not a feature that the model is trained on. Correct its" in decided(world).reasons[0]
    )


CATEGORIES = ["feat_flight__plane_manufacturer"]
SILENT: dict[str, tuple[Any, str]] = {
    "categories alone": (
        {"drift": {"ks_p": 0.05, "features": CATEGORIES}},
        "ks_p says nothing of categories, and it watches no others. Set a limit that is about them, such as psi",
    ),
    "numbers alone": (
        {"drift": {"chi2_p": 0.05, "features": ["feat_flight__distance_miles"]}},
        "chi2_p says nothing of numbers, and it watches no others",
    ),
}


@pytest.mark.parametrize("name", SILENT)
def test_what_cannot_fire_says_so_at_the_trigger(
    drifting: World, name: str, mlops: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    entry, why = SILENT[name]
    world = drifting.with_settings(retrain=agreed(entry, {"drift": {"psi": 40.0}}))
    assert requests(world) == []
    assert f"It cannot fire: {why}" in decided(world).reasons[0]
    silent = next(result for result in decided(world).evidence["triggers"] if "cannot fire" in result["sentence"])
    assert (silent["passed"], silent["value"]) == (None, None)
    for command in (("status",), ("why", "flight_delay"), ("explain", decided(world).id)):
        assert f"annot fire: {why}" in " ".join(mlops(*command).output.split()), command
    lines = mlops("why", "flight_delay").output.splitlines()
    own = [line.strip() for line in lines if ": 0.0% drifted, limit 0.0%: holds" in line]
    assert own == ["drift (psi 40): 0.0% drifted, limit 0.0%: holds"]
    assert max(map(len, lines[:-1])) <= 80


def test_a_trigger_on_labels_cannot_fire_where_none_come(drifting: World) -> None:
    """All labels of after the champion's training are lost; what can be waited for still may come."""
    lake = drifting.platform.lake
    world = drifting.with_settings(
        retrain=agreed({"performance": {"floor": 0.5}}, {"data": {"rows": 10}}, "gain", {"schedule": {"every": "90d"}})
    )
    for day, path in lake.partitions("labels", world.model.label.model).items():
        if day >= COLD_START:
            rows = pd.read_parquet(path)
            lake.write(
                rows.assign(label_available_at=rows["label_available_at"].mask(rows["label_available_at"].notna())),
                path,
            )
    evidence = consider(world.platform, world.model)[1]
    silent = {r.name: r.sentence for r in evidence.triggers if r.sentence.startswith("It cannot fire:")}
    assert set(silent) == {"performance (floor 0.5)", "data (rows 10)", "gain"}
    why = f"no event since {COLD_START} has a label, and the first have waited for theirs longer than"
    assert all(why in sentence for sentence in silent.values())
    # A day after the training they may still come.
    world.at(COLD_START + timedelta(days=1))
    assert not any("cannot fire" in r.sentence for r in consider(world.platform, world.model)[1].triggers)

"""The gate's limits on real flights: in the verdict, on the materialization, on the card."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.model import fit
from mlops_assets.core.performance.fairness_policy import FairnessPolicy
from mlops_assets.core.stats.metrics import metric
from mlops_assets.core.time.windows import Window, midnight
from mlops_assets.steps.promote.cards import card_file
from mlops_assets.steps.promote.gate import Scored
from mlops_assets.steps.promote.gate_limits import rules_of_what_ships, single_predictions
from mlops_assets.steps.promote.season import YEAR, season_rules
from mlops_assets.steps.watch.fairness_report import differences
from mlops_assets.world.model_data import EVENT_TIME, LABEL
from tests.real_slice import COLD_START, World

pytestmark = pytest.mark.slow

ON = {"max_calibration_error": 0.5, "calibration_margin": 0.5, "max_size_mb": 50.0, "max_latency_ms": 10_000.0}
GROUPS = FairnessPolicy(by=("origin",), measure="demographic_parity", max_difference=0.9)


def verdict_of(world: World) -> dict:
    return world.platform.record(world.model.name, "evaluation")["verdict"]


def test_every_limit_is_in_the_verdict_on_the_materialization_and_on_the_card(drifting: World) -> None:
    world = drifting.with_settings(gate={**ON, "same_season": True}, monitoring={"fairness": GROUPS})
    world.tick()
    rules = {rule["name"]: rule for rule in verdict_of(world)["rules"]}
    wanted = {
        "fairness_holds": 0.9, "calibration_holds": 0.5, "calibration_not_worse": 0.5, "size_holds": 50.0,
        "latency_holds": 10_000.0,
    }  # fmt: skip
    assert {name: rules[name]["limit"] for name in wanted} == wanted
    assert all(rules[name]["passed"] and rules[name]["value"] > 0 for name in wanted if name != "calibration_not_worse")
    assert rules["same_season_holds"]["passed"]
    assert "has 0 labelled rows and 50 are needed" in rules["same_season_holds"]["sentence"]
    version = world.platform.record("flight_delay", "evaluation")["version"]
    card = card_file(world.platform.lake, "flight_delay", version).with_suffix(".md").read_text()
    (event,) = world.instance.fetch_materializations(dg.AssetKey(["flight_delay", "evaluation"]), limit=1).records
    shown = str(event.asset_materialization.metadata["rules"].value)
    for name in (*wanted, "same_season_holds"):
        assert name in card, name
        assert name in shown, name


def test_a_limit_that_is_broken_keeps_the_champion(drifting: World) -> None:
    world = drifting.with_settings(gate={"max_size_mb": 0.000_1})
    world.tick()
    found = verdict_of(world)
    assert (found["promote"], found["judged"]) == (False, True)
    assert [rule["name"] for rule in found["rules"] if not rule["passed"]] == ["size_holds"]
    assert "at most 0.0001 agreed" in found["reason"]
    assert world.aliases()["champion"] == 1


def test_nothing_is_measured_unless_it_is_asked_for(world: World) -> None:
    champion = world.platform.registry.load("flight_delay", 1)
    as_of = world.platform.now(world.model)
    assert rules_of_what_ships(world.platform, world.model, champion, pd.DataFrame(), as_of) == []


def test_single_predictions_are_timed_one_by_one(world: World) -> None:
    data = world.platform.data(world.model)
    rows = data.with_features(data.events(date(2013, 1, 2), date(2013, 1, 3), as_of=world.platform.now(world.model)))
    took = single_predictions(world.platform.registry.load("flight_delay", 1), rows)
    assert took.shape == (300,)
    assert (took > 0).all()


def test_a_group_that_is_no_column_is_named(world: World) -> None:
    named = world.with_settings(monitoring={"fairness": FairnessPolicy(by=("airport",))})
    rows = pd.DataFrame({EVENT_TIME: [pd.Timestamp("2013-01-01", tz="UTC")], LABEL: [0.0]})
    with pytest.raises(ValueError, match=r"monitoring.fairness.by names 'airport', .* Correct the name"):
        differences(named.model, rows, np.zeros(1))


# --- the same season ---------------------------------------------------------------------------------------


@pytest.fixture
def season(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[World, dict]:
    """A year of four weeks, so that the slice has one: 2013-01-28 to 02-10 is the season of 02-25 to 03-10."""
    monkeypatch.setattr("mlops_assets.steps.promote.season.YEAR", timedelta(days=28))
    held = world.with_settings(gate={"same_season": True})
    data, zone = held.platform.data(held.model), held.model.timezone
    gate = Window(midnight(date(2013, 2, 25), zone), midnight(date(2013, 3, 11), zone))
    then = Window(midnight(date(2013, 1, 28), zone), midnight(date(2013, 2, 11), zone))
    known = data.training_rows(known_by=midnight(COLD_START, zone))
    recipe = replace(held.platform.registry.load("flight_delay", 1).recipe, rounds=15)
    challenger = fit(recipe, known, known[LABEL].to_numpy())
    scored = Scored(known.head(0), np.empty(0), (), known, challenger, known)
    return held, {"data": data, "gate": gate, "then": then, "challenger": challenger, "scored": scored}


def judged(world: World, at: dict, **changes: object) -> object:
    given = {name: changes.get(name, at[name]) for name in ("data", "challenger", "scored", "gate")}
    (rule,) = season_rules(world.platform, *given.values(), as_of=world.platform.now(world.model))
    return rule


def test_both_models_are_fitted_again_without_the_season(season: tuple[World, dict]) -> None:
    world, at = season
    rule = judged(world, at)
    assert rule.passed
    assert "(challenger fitted again without these rows; champion fitted again without these rows)" in rule.sentence
    # By hand: the challenger's value is that of a fit on the other rows.
    rest = at["scored"].known
    rest = rest[~at["then"].contains(rest[EVENT_TIME])]
    rows = at["data"].events(date(2013, 1, 28), date(2013, 2, 11), as_of=world.platform.now(world.model))
    rows = at["data"].with_features(rows[rows[LABEL].notna()].reset_index(drop=True))
    again = fit(at["challenger"].recipe, rest, rest[LABEL].to_numpy())
    value = metric("roc_auc").score(rows[LABEL], again.predict(rows))
    assert f"roc_auc {value:.4f} against" in rule.sentence
    assert f"on {len(rows):,} rows of 2013-01-28..2013-02-10" in rule.sentence


def test_a_challenger_that_forgets_the_season_is_rejected(season: tuple[World, dict]) -> None:
    world, at = season
    known = at["scored"].known
    shuffled = known.assign(**{LABEL: 1 - known[LABEL]})
    rule = judged(world, at, scored=replace(at["scored"], known=shuffled))
    assert not rule.passed
    assert rule.value < -0.02
    assert "surely worse by more than 2%" in rule.sentence


def test_a_model_that_has_not_seen_the_season_is_taken_as_it_is(season: tuple[World, dict]) -> None:
    world, at = season
    known = at["scored"].known
    before = known[~at["then"].contains(known[EVENT_TIME])]
    rule = judged(world, at, scored=replace(at["scored"], known=before))
    assert "challenger as it is, not fitted on these rows; champion fitted again" in rule.sentence


def test_a_training_set_that_is_gone_is_said_and_rejects_nothing(season: tuple[World, dict]) -> None:
    world, at = season
    for file in (world.home.lake / "training_sets").glob("*.parquet"):
        file.unlink()
    rule = judged(world, at)
    assert (rule.passed, rule.value) == (True, None)
    assert "cannot be fitted without these rows" in rule.sentence


def test_the_season_is_of_the_same_days_of_the_week() -> None:
    assert YEAR.days % 7 == 0
    assert 363 <= YEAR.days <= 366


# --- the report --------------------------------------------------------------------------------------------


def test_the_performance_report_says_how_groups_fare(drifting: World) -> None:
    from fairlearn.metrics import MetricFrame, selection_rate

    from mlops_assets.steps.decide.evidence import gather
    from mlops_assets.steps.predict.predictions import SCORE, read_scores
    from mlops_assets.steps.watch.performance_report import watch_performance

    groups = FairnessPolicy(by=("origin",), measure="demographic_parity", max_difference=0.000_001, window="14d")
    world = drifting.with_settings(monitoring={"fairness": groups})
    watched = watch_performance(world.platform, world.model)
    assert watched is not None
    folder = world.platform.lake.folder("reports", "flight_delay", "performance")
    first, second = (json.loads(p.read_text()) for p in sorted(folder.glob("window=*/summary.json")))
    (alone,) = (check for check in first["checks"] if check["name"] == "fairness_holds")
    assert alone["passed"] is None  # seven days: no interval yet
    found = {one["measure"]: one for one in second["fairness"]}
    assert list(found) == ["demographic_parity", "equalized_odds", "roc_auc"]
    rows = read_scores(world.platform, world.model, COLD_START, date(2013, 3, 4))
    frame = MetricFrame(
        metrics=selection_rate, y_true=rows[SCORE], y_pred=rows[SCORE] >= 0.5, sensitive_features=rows["origin"]
    )
    assert found["demographic_parity"]["value"] == pytest.approx(frame.difference())
    assert found["demographic_parity"]["lower"] is not None
    assert "| demographic_parity" in watched.more["fairness"]
    assert "origin=EWR" in watched.more["fairness"]
    evidence = gather(world.platform, world.model, world.platform.now(world.model))
    assert {check.kind for check in evidence.checks} == {"performance", "drift"}


def test_without_groups_the_report_is_as_it_was(drifting: World) -> None:
    from mlops_assets.assets.monitoring_assets import build_monitoring_assets

    reports = {asset.keys.__iter__().__next__().path[-1]: asset for asset in build_monitoring_assets(drifting.model)}
    assert {spec.name for spec in reports["performance_report"].check_specs} == {
        "performance_holds",
        "not_worse_than_guessing",
    }
    named = drifting.with_settings(monitoring={"fairness": GROUPS}).model
    checks = {spec.name for asset in build_monitoring_assets(named) for spec in asset.check_specs}
    assert "fairness_holds" in checks

"""Windows of bad data, one test a kind: what cannot be told has its reason and remedy, and nothing is trained on it.

Each changes the second week of a champion on real flights, and lets reports and policy look at it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd

from mlops_assets.core.decide.policy import CheckResult, Decision, History, RetrainPolicy, decide
from mlops_assets.core.record.plain_values import from_plain
from mlops_assets.steps.decide.evidence import gather
from mlops_assets.steps.predict.predictions import BATCH, VERSION
from mlops_assets.steps.watch.drift_report import watch_drift
from mlops_assets.steps.watch.performance_report import watch_performance
from tests.real_slice import WEEKS, World

Change = Callable[[pd.DataFrame], pd.DataFrame]
FEATURE = "feat_flight__distance_miles"
SECOND = "2013-02-25..2013-03-03"


def predictions_of_second_week(world: World) -> dict:
    days = world.platform.lake.partitions("predictions", "flight_delay", name=BATCH)
    return {day: path for day, path in days.items() if WEEKS[1] <= day < WEEKS[2]}


def with_predictions(world: World, change: Change) -> None:
    for path in predictions_of_second_week(world).values():
        world.platform.lake.write(change(pd.read_parquet(path)), path)


def with_labels(world: World, change: Change) -> None:
    for day, path in world.platform.lake.partitions("labels", world.model.label.model).items():
        if WEEKS[1] <= day < WEEKS[2]:
            world.platform.lake.write(change(pd.read_parquet(path)), path)


def reports(world: World) -> tuple[dict, dict]:
    """The second week's drift and performance, judged again."""
    watch_drift(world.platform, world.model)
    watch_performance(world.platform, world.model)
    found = []
    for report in ("drift", "performance"):
        folder = world.platform.lake.folder("reports", "flight_delay", report)
        summaries = [json.loads(path.read_text()) for path in folder.glob("window=*/summary.json")]
        found.append(next(s for s in summaries if s["window"] == SECOND))
    return found[0], found[1]


def check(summary: dict, name: str) -> CheckResult:
    return from_plain(CheckResult, next(c for c in summary["checks"] if c["name"] == name))


def feature(world: World, name: str = FEATURE) -> pd.Series:
    folder = world.platform.lake.folder("reports", "flight_delay", "drift", "window=2013-02-25T0500")
    return pd.read_parquet(folder / "features.parquet").set_index("feature").loc[name]


def decided(world: World, *checks: CheckResult) -> Decision:
    """What the policy makes of these checks alone, impatient as it can be."""
    evidence = replace(gather(world.platform, world.model, world.platform.now(world.model)), checks=checks)
    policy = RetrainPolicy(drift_breaches=1, max_age=None, growth=None)
    return decide(evidence, policy, History(), world.platform.now(world.model))


def quarantined(world: World, drift: dict) -> str:
    """The reason for which nothing is trained on this window, whatever its checks say."""
    decision = decided(world, check(drift, "inputs_match_reference"))
    assert (decision.action, decision.rule) == ("quarantine", "data")
    return decision.reasons[0]


def test_no_rows(drifting: World) -> None:
    for path in predictions_of_second_week(drifting).values():
        path.unlink()
    drifting.at(WEEKS[2] + timedelta(days=4))  # over the labels' longest delay: nothing is on its way any more
    drift, performance = reports(drifting)
    inputs, holds = check(drift, "inputs_match_reference"), check(performance, "performance_holds")
    for found in (inputs, check(drift, "predictions_match_reference"), holds):
        assert (found.passed, found.value) == (None, None)
        assert found.sentence == (
            f"{SECOND}: cannot judge, because the window has no rows. Look whether its data has landed and "
            "flight_delay/predictions was materialized for its days."
        )
    assert performance["performance"]["metrics"] == {}
    assert decided(drifting, inputs, holds).action == "cannot_judge"
    assert watch_drift(drifting.platform, drifting.model) is None  # told once


def test_no_rows_yet_is_nothing_to_tell(drifting: World) -> None:
    for path in predictions_of_second_week(drifting).values():
        path.unlink()
    drifting.platform.lake.folder("reports", "flight_delay", "drift", "window=2013-02-25T0500", "summary.json").unlink()
    assert watch_drift(drifting.platform, drifting.model) is None


def test_no_labels(drifting: World) -> None:
    with_labels(
        drifting,
        lambda rows: rows.assign(
            is_late=np.nan, label_available_at=rows["label_available_at"].where(rows["label_available_at"].isna())
        ),
    )
    drifting.at(WEEKS[2] + timedelta(days=4))
    _, performance = reports(drifting)
    found = check(performance, "performance_holds")
    assert (found.passed, found.value) == (None, None)
    assert f"Window {SECOND} has 0 labels and 200 are needed" in found.sentence
    assert performance["label_drift"]["cannot"]["why"] == "no label of the window is known"
    assert decided(drifting, found).action == "cannot_judge"


def test_one_class(drifting: World) -> None:
    with_labels(drifting, lambda rows: rows.assign(is_late=rows["is_late"] * 0))
    drifting.at(WEEKS[2] + timedelta(days=4))
    _, performance = reports(drifting)
    found = check(performance, "performance_holds")
    assert (found.passed, found.value) == (None, None)
    assert "cannot judge, because all 3,150 labels are 0, and roc_auc needs both classes" in found.sentence
    assert performance["performance"]["metrics"]["roc_auc"]["value"] is None
    assert performance["label_drift"]["value"] == 0.0
    assert decided(drifting, found).action == "cannot_judge"


def test_a_constant_feature(drifting: World) -> None:
    with_predictions(drifting, lambda rows: rows.assign(**{FEATURE: 500.0}))
    drift, _ = reports(drifting)
    found = feature(drifting)
    assert found["psi"] > 1.0  # all of its mass in one group of ten: that is drift, and a number
    assert np.isfinite([found["ks"], found["wasserstein"], found["js"]]).all()
    assert any(FEATURE in finding["features"] for finding in drift["findings"])
    assert drift["faults"] == {"constant": [FEATURE]}
    assert quarantined(drifting, drift).startswith(f"{FEATURE} has one value throughout {SECOND}, and it varied on ")


def test_a_feature_that_is_all_missing(drifting: World) -> None:
    with_predictions(drifting, lambda rows: rows.assign(**{FEATURE: np.nan}))
    drift, _ = reports(drifting)
    found = feature(drifting)
    assert found[["psi", "ks", "wasserstein", "js"]].isna().all()
    assert found["missing_change"] == 1.0
    assert found["why"] == "no value of the window is known. Look at the source of the column."
    assert any(FEATURE in finding["features"] for finding in drift["findings"])
    assert quarantined(drifting, drift).startswith(f"No value of {FEATURE} is known in {SECOND}")


def test_infinities(drifting: World) -> None:
    with_predictions(drifting, lambda rows: rows.assign(**{FEATURE: np.where(rows.index % 2 == 0, np.inf, 500.0)}))
    drift, _ = reports(drifting)
    found = feature(drifting)
    assert 0.4 < found["infinite_share"] < 0.6
    assert np.isfinite(found["psi"])
    cannot = drift["domain_classifier"]["cannot"]
    assert cannot["why"] == f"{FEATURE} have infinite values"
    assert "nullif" in cannot["remedy"]
    assert quarantined(drifting, drift).startswith(f"{FEATURE} has infinite values in {SECOND}. Guard the division")


def test_unseen_categories(drifting: World) -> None:
    name = "feat_flight__flight_carrier"
    with_predictions(drifting, lambda rows: rows.assign(**{name: "ZZ"}))
    drift, _ = reports(drifting)
    assert feature(drifting, name)["new_share"] == 1.0
    assert drift["outside_support"]["features"][0] == [name, 1.0]
    assert quarantined(drifting, drift).startswith(f"No category of {name} in {SECOND} is one that the reference has.")


def test_a_new_category_beside_known_ones_is_drift(drifting: World) -> None:
    name = "feat_flight__flight_carrier"
    with_predictions(drifting, lambda rows: rows.assign(**{name: rows[name].where(rows.index % 3 > 0, "ZZ")}))
    drift, _ = reports(drifting)
    assert 0.3 < feature(drifting, name)["new_share"] < 0.4
    assert drift["faults"] == {}
    # By itself it asks for no training: the policy of a fresh YAML waits for what the probe says.
    found = check(drift, "inputs_match_reference")
    evidence = replace(
        gather(drifting.platform, drifting.model, drifting.platform.now(drifting.model)), checks=(found,)
    )
    decision = decide(evidence, RetrainPolicy(), History(), drifting.platform.now(drifting.model))
    assert (found.passed, decision.action) == (False, "wait")


def test_predictions_without_a_known_version(drifting: World) -> None:
    with_predictions(drifting, lambda rows: rows.assign(**{VERSION: 99}))
    drift, performance = reports(drifting)
    inputs, holds = check(drift, "inputs_match_reference"), check(performance, "performance_holds")
    for found in (inputs, holds):
        assert (found.passed, found.value) == (None, None)
        assert "predictions names a version of flight_delay that the registry knows" in found.sentence
        assert found.sentence.endswith("or register the version that made them.")
    assert decided(drifting, inputs, holds).action == "cannot_judge"


def test_some_predictions_without_a_version_are_left_out_and_said(drifting: World) -> None:
    def unknown(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(**{VERSION: rows[VERSION].astype("float64").where(rows.index % 10 > 0)})

    with_predictions(drifting, unknown)
    n = sum(len(pd.read_parquet(path)) for path in predictions_of_second_week(drifting).values())
    drift, performance = reports(drifting)
    assert drift["rows"] == performance["rows"] == performance["performance"]["rows"] < n
    for found in (check(drift, "inputs_match_reference"), check(performance, "performance_holds")):
        assert found.passed is not None
        assert f"{n - drift['rows']:,} predictions without a known version were left out." in found.sentence


def test_a_reference_of_fewer_than_100_rows(drifting: World) -> None:
    pinned = replace(drifting.model.monitoring.drift, reference="2012-01-01/2012-01-02")
    world = drifting.with_settings(monitoring={"drift": pinned})
    drifting.platform.lake.folder("reports", "flight_delay", "drift", "window=2013-02-25T0500", "summary.json").unlink()
    drift, _ = reports(world)
    found = check(drift, "inputs_match_reference")
    assert found.passed is None
    assert found.sentence.startswith("Warming up: 2012-01-01 to 2012-01-02 holds 0 of the 100 rows")
    assert decided(world, found).action == "cannot_judge"

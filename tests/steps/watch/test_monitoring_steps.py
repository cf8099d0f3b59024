"""Reports on real flights: every closed window once for each state of its data."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.multivariate import outside_support
from mlops_assets.core.time.windows import midnight
from mlops_assets.steps.predict.predictions import SCORE, read_scores, score_days
from mlops_assets.steps.predict.references import read_reference, write_reference
from mlops_assets.steps.predict.slice_references import slices_of
from mlops_assets.steps.watch.against_baseline import CHECK
from mlops_assets.steps.watch.drift_report import watch_drift
from mlops_assets.steps.watch.performance_report import watch_performance
from mlops_assets.steps.watch.windows.summaries import window_checks
from mlops_assets.world.home import Home
from tests.real_slice import WEEKS, World, working_in

FIRST = "2013-02-18..2013-02-24"
SECOND = "2013-02-25..2013-03-03"


@pytest.fixture
def reading(drifting_home: Home):
    with working_in(drifting_home):
        yield World.of(drifting_home)


def summaries(world: World, report: str) -> list[dict]:
    folder = world.platform.lake.folder("reports", world.model.name, report)
    return [json.loads(path.read_text()) for path in sorted(folder.glob("window=*/summary.json"))]


def test_each_closed_week_has_its_reports(reading: World) -> None:
    assert [s["window"] for s in summaries(reading, "drift")] == [FIRST, SECOND]
    assert [s["window"] for s in summaries(reading, "performance")] == [FIRST, SECOND]
    names = {(check.name, check.window) for check in window_checks(reading.platform, reading.model)}
    assert names == {
        (name, window)
        for name in ("inputs_match_reference", "predictions_match_reference", "performance_holds", CHECK)
        for window in (FIRST, SECOND)
    }


def test_the_table_holds_what_the_core_computes(reading: World) -> None:
    reference = read_reference(reading.platform.lake, reading.model.name, 1)
    rows = read_scores(reading.platform, reading.model, *WEEKS[:2])
    from mlops_assets.core.drift.profile import Profile

    expected = {d.feature: d.psi for d in compare(reference.features, Profile.of(reference.features.grid, rows))}
    folder = reading.platform.lake.folder("reports", reading.model.name, "drift")
    table = pd.read_parquet(sorted(folder.glob("window=*/features.parquet"))[0]).set_index("feature")["psi"]
    assert {name: table[name] for name in expected} == pytest.approx(expected, nan_ok=True)


def test_the_metric_is_scikit_learns(reading: World) -> None:
    from sklearn.metrics import roc_auc_score

    (first, _) = summaries(reading, "performance")
    rows = read_scores(reading.platform, reading.model, *WEEKS[:2])
    labels = reading.platform.data(reading.model).events(*WEEKS[:2], as_of=reading.platform.now(reading.model))
    both = rows.merge(labels[["flight_id", "label"]], on="flight_id")
    known = both[both["label"].notna()]
    found = first["performance"]
    assert found["metrics"]["roc_auc"]["value"] == pytest.approx(roc_auc_score(known["label"], known[SCORE]))
    assert found["share_unlabelled"] == pytest.approx(1 - len(known) / len(both))
    assert 0 < found["share_unlabelled"] < 0.05  # cancelled flights


def test_the_newest_window_has_a_page_for_people(reading: World) -> None:
    folder = reading.platform.lake.folder("reports", reading.model.name, "drift")
    page = (folder / "window=2013-02-25T0500" / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "feat_origin_history__origin_arrival_delay_mean_28d" in page


def test_a_second_look_writes_nothing(drifting: World) -> None:
    before = drifting.files()
    assert watch_drift(drifting.platform, drifting.model) is None
    assert drifting.files() == before


def test_a_corrected_day_judges_its_window_again(drifting: World) -> None:
    lake, day = drifting.platform.lake, date(2013, 2, 20)
    path = lake.partitions("features", "feat_flight")[day]
    lake.write(pd.read_parquet(path).assign(distance_miles=5_000), path)
    score_days(drifting.platform, drifting.model, [day])
    before = summaries(drifting, "drift")
    watched = watch_drift(drifting.platform, drifting.model)
    assert watched is not None
    assert watched.windows == [FIRST]
    after = summaries(drifting, "drift")
    assert after[0]["state"] != before[0]["state"]
    assert after[1] == before[1]


def test_labels_that_arrive_late_judge_a_window_again_until_it_is_final(drifting: World) -> None:
    world = drifting.with_settings(label={"max_delay": "10d"})
    first = watch_performance(world.platform, world.model)
    assert first is not None  # another delay is another state
    world.at(WEEKS[-1] + timedelta(days=2))
    again = watch_performance(world.platform, world.model)
    assert again is not None
    assert again.windows == [FIRST, SECOND]  # both may still get labels
    world.at(WEEKS[1] + timedelta(days=10))
    last = watch_performance(world.platform, world.model)
    assert last is not None
    assert last.windows == [FIRST, SECOND]
    world.at(WEEKS[1] + timedelta(days=11))
    final = watch_performance(world.platform, world.model)
    assert final is not None
    assert final.windows == [SECOND]  # the first is final


def test_a_window_whose_labels_never_come_is_judged_as_far_as_it_can_be(drifting: World) -> None:
    lake = drifting.platform.lake
    for day, path in lake.partitions("labels", drifting.model.label.model).items():
        if WEEKS[1] <= day < WEEKS[2]:
            rows = pd.read_parquet(path)
            never = rows["label_available_at"].where(rows["label_available_at"].isna())
            lake.write(rows.assign(is_late=np.nan, label_available_at=never), path)
    drifting.at(WEEKS[2] + timedelta(days=4))
    watched = watch_performance(drifting.platform, drifting.model)
    assert watched is not None
    second = summaries(drifting, "performance")[1]
    assert second["performance"]["share_unlabelled"] == 1.0
    assert second["checks"][0]["passed"] is None
    assert "0 labels" in second["checks"][0]["sentence"]


def test_a_lost_reference_says_how_it_comes_back(drifting: World) -> None:
    (drifting.home.lake / "references" / "flight_delay" / "version=1" / "sample.parquet").unlink()
    for path in drifting.platform.lake.folder("reports", "flight_delay", "drift").glob("*/summary.json"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="has no reference, so version 1 of flight_delay cannot be compared"):
        watch_drift(drifting.platform, drifting.model)


def test_an_unknown_slice_is_named_with_its_remedy(drifting: World) -> None:
    for path in drifting.platform.lake.folder("reports", "flight_delay", "performance").glob("*/summary.json"):
        path.unlink()
    crooked = drifting.with_settings(monitoring={"slices": ["airport"]})
    before = drifting.files()
    with pytest.raises(ValueError, match=r"monitoring.slices names 'airport'.* Correct the name in the model's YAML"):
        watch_performance(crooked.platform, crooked.model)
    assert drifting.files() == before


def test_a_reference_of_a_few_rows_is_refused_or_says_that_it_cannot_judge(
    drifting: World, tmp_path: os.PathLike
) -> None:
    from mlops_assets.core.stats.intervals import CannotJudge

    columns = drifting.platform.data(drifting.model).columns
    rows = read_scores(drifting.platform, drifting.model, *WEEKS[:2]).head(50)
    with pytest.raises(CannotJudge) as why:
        write_reference(drifting.platform.lake, "flight_delay", 7, rows, columns=columns, scores=rows[SCORE].to_numpy())
    assert "50 rows" in str(why.value)
    assert not (drifting.home.lake / "references" / "flight_delay" / "version=7").exists()


# --- what stands behind the drift --------------------------------------------------------------------------


def test_each_window_says_what_moved_and_what_it_did(reading: World) -> None:
    champion = reading.platform.registry.load("flight_delay", 1)
    reference = read_reference(reading.platform.lake, "flight_delay", 1)
    rows = read_scores(reading.platform, reading.model, *WEEKS[:2])
    (first, _) = summaries(reading, "drift")
    shift = first["prediction_shift"]
    assert sum(shift["by_feature"].values()) == pytest.approx(shift["total"], abs=1e-6)
    assert set(shift["by_feature"]) == set(champion.recipe.names)
    # 500 rows a side stand for all of them: the standard error of the shift is 0.04 here.
    means = [np.log(p / (1 - p)).mean() for p in (champion.predict(f) for f in (reference.sample, rows))]
    assert shift["total"] == pytest.approx(means[1] - means[0], abs=0.15)
    assert 0.5 < first["domain_classifier"]["auc"] < 1.0
    assert {finding["source"] for finding in first["findings"]} <= {"flights", "planes"}
    moved = [name for finding in first["findings"] for name in finding["features"]]
    told = first["checks"][0]["sentence"]
    assert f"{len(moved)} of {len(champion.recipe.names)} features have drifted" in told
    assert first["levels"]["calibrated"] is False
    page = reading.platform.lake.folder("reports", "flight_delay", "drift", "window=2013-02-25T0500", "report.html")
    assert "What moved, and what it did" in page.read_text(encoding="utf-8")


def test_each_window_says_what_its_rows_show_together(reading: World) -> None:
    reference = read_reference(reading.platform.lake, "flight_delay", 1)
    folder = reading.platform.lake.folder("reports", "flight_delay", "drift", "window=2013-02-18T0500")
    rows = pd.read_parquet(folder / "sample.parquet")
    (first, _) = summaries(reading, "drift")
    assert first["reconstruction_error"]["cannot"]["why"].startswith("the reference has 6 blocks of 7 days")
    support, columns = first["outside_support"], reading.platform.data(reading.model).columns
    assert support["outside_joint"] == outside_support(reference.sample, rows, columns, sample=8_000).outside_joint
    assert first["local_drift"]["judged"] == 3
    weights = first["prediction_shift"]["weights"]
    assert sum(weights["current"].values()) == pytest.approx(1.0)
    page = reading.platform.lake.folder("reports", "flight_delay", "drift", "window=2013-02-25T0500", "report.html")
    told = page.read_text(encoding="utf-8")
    for part in ("joint support", "their order kept", "A classifier", "of 3 slices features moved"):
        assert part in told


def test_drift_in_one_airport_is_found_where_the_whole_does_not_show_it(drifting: World) -> None:
    """A feed that loses the route's distance for one airport in three; the whole is under the missing share's limit."""
    lake = drifting.platform.lake
    for path in lake.partitions("predictions", "flight_delay", name="batch").values():
        rows = pd.read_parquet(path)
        lost = (rows["origin"] == "LGA") & (np.arange(len(rows)) % 4 == 0)
        lake.write(rows.assign(feat_flight__distance_miles=rows["feat_flight__distance_miles"].mask(lost)), path)
    watched = watch_drift(drifting.platform, drifting.model)
    assert watched is not None
    found = [f for f in summaries(drifting, "drift")[-1]["local_drift"]["findings"] if f["feature"].endswith("_miles")]
    assert [(f["slice"], f["statistic"]) for f in found] == [("origin=LGA", "missing_change")]
    assert found[0]["whole"] < 0.1 < found[0]["value"]
    assert "| origin=LGA |" in watched.more["findings"]


def test_slices_may_be_columns_that_training_sets_do_not_hold(drifting: World) -> None:
    data = drifting.with_settings(monitoring={"slices": ["outcome", "origin"]}).platform.data
    model = drifting.with_settings(monitoring={"slices": ["outcome", "origin"]}).model
    now = drifting.platform.now(drifting.model)
    events = data(model).events(WEEKS[0], WEEKS[1], as_of=now)
    bare = events[[*data(model).keys, "event_timestamp"]].iloc[::-1].reset_index(drop=True)
    found = slices_of(data(model), bare, as_of=now)
    assert list(found["outcome"]) == list(events["outcome"].iloc[::-1])
    assert list(found["origin"]) == list(events["origin"].iloc[::-1])


def test_labels_are_held_against_those_the_champion_was_trained_on(drifting: World) -> None:
    (first, _) = summaries(drifting, "performance")
    found = first["label_drift"]
    training = drifting.platform.data(drifting.model).labelled(known_by=midnight(WEEKS[0], "America/New_York"))
    assert found["reference"] == pytest.approx(training["label"].mean())
    assert found["value"] == pytest.approx(first["performance"]["label_rate"])
    assert found["moved"] is False
    for path in drifting.home.lake.glob("references/flight_delay/version=1/labels.*"):
        path.unlink()
    for path in drifting.platform.lake.folder("reports", "flight_delay", "performance").glob("*/summary.json"):
        path.unlink()
    watched = watch_performance(drifting.platform, drifting.model)
    assert watched is not None
    assert watched.more["label_drift"].endswith("The next promotion keeps it.")


def test_intervals_may_be_by_entity(drifting: World) -> None:
    by = replace(drifting.model.monitoring.performance, blocks="carrier")
    world = drifting.with_settings(monitoring={"performance": by})
    (before, _) = summaries(drifting, "performance")
    assert watch_performance(world.platform, world.model) is not None  # judged again: its intervals are others
    (after, _) = summaries(world, "performance")
    rows = read_scores(world.platform, world.model, *WEEKS[:2])
    old, new = (one["performance"]["metrics"]["roc_auc"] for one in (before, after))
    assert (old["n_blocks"], old["lower"]) == (7, None)
    assert new["n_blocks"] == rows["carrier"].nunique() >= 8
    assert new["value"] == old["value"]
    assert new["lower"] < new["value"] < new["upper"]
    wrong = drifting.with_settings(monitoring={"performance": replace(by, blocks="customer")})
    with pytest.raises(ValueError, match=r"monitoring.performance.blocks names 'customer'.* Correct the name"):
        watch_performance(wrong.platform, wrong.model)


def judged_again(world: World, levels: str, window: str = "day"):
    for path in world.platform.lake.folder("reports", "flight_delay", "drift").glob("*/summary.json"):
        path.unlink()
    drift = replace(world.model.monitoring.drift, levels=levels)
    again = world.with_settings(monitoring={"drift": drift, "window": window})
    watched = watch_drift(again.platform, again.model)
    assert watched is not None
    return watched, summaries(again, "drift")[-1]


def test_levels_are_calibrated_where_the_reference_holds_enough_windows(drifting: World) -> None:
    """48 days of reference are 48 windows of a day."""
    watched, summary = judged_again(drifting, "calibrated")
    levels = summary["levels"]
    assert (levels["calibrated"], levels["season_seen"]) == (True, False)
    assert levels["achievable_alpha"] == 0.05
    assert len({round(level["psi"], 6) for level in levels["level"].values()}) > 5
    assert watched.newest[0].limit == 0.0
    assert "calibrated on" in watched.reason
    assert "Season not yet seen" in watched.reason
    assert summary["domain_classifier"]["cannot"]["why"].startswith("the window has rows of one day only")
    assert "Classifier: cannot judge, because the window has rows of one day only" in watched.more["findings"]


def test_auto_keeps_the_policy_where_it_does_not_and_says_so(drifting: World) -> None:
    watched, summary = judged_again(drifting, "auto", "week")
    assert summary["levels"]["calibrated"] is False
    assert "of the 52 windows that calibrated levels need" in summary["levels"]["sentence"]
    assert watched.newest[0].limit == 0.05
    drifting.platform.lake.folder("references", "flight_delay", "version=1", "days.parquet").unlink()
    drifting.platform.lake.folder("references", "flight_delay", "version=1", "slices.json").unlink()
    _, without = judged_again(drifting, "calibrated", "week")
    assert "kept without its days" in without["levels"]["sentence"]
    assert without["local_drift"]["cannot"]["remedy"] == "The next promotion keeps them"


def test_a_reference_of_an_older_version_of_the_platform_still_works(drifting: World) -> None:
    lake = drifting.platform.lake
    path = lake.folder("references", "flight_delay", "version=1", "sample.parquet")
    lake.write(pd.read_parquet(path).drop(columns="event_timestamp"), path)
    _, summary = judged_again(drifting, "preset", "week")
    assert summary["domain_classifier"]["cannot"]["remedy"] == "The next promotion writes one with it"
    assert summary["prediction_shift"]["total"]

"""Estimates, late and restated labels, and profit in the reports on real flights."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, confusion_matrix

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_sections import ONLY_ACCEPTED, LimitSpec
from mlops_assets.steps.predict.predictions import BATCH, SCORE, read_scores
from mlops_assets.steps.watch.performance_report import watch_performance
from mlops_assets.steps.watch.windows.reports import Watched
from mlops_assets.steps.watch.windows.summaries import window_checks
from mlops_assets.world.home import Home
from tests.real_slice import WEEKS, World, working_in

COSTS = {"true_positive": 50.0, "false_positive": -5.0, "false_negative": -100.0, "true_negative": 0.0}
FIRST, SECOND = "2013-02-18..2013-02-24", "2013-02-25..2013-03-03"


@pytest.fixture
def reading(drifting_home: Home):
    with working_in(drifting_home):
        yield World.of(drifting_home)


def summaries(world: World) -> list[dict]:
    folder = world.platform.lake.folder("reports", world.model.name, "performance")
    return [json.loads(path.read_text()) for path in sorted(folder.glob("window=*/summary.json"))]


def watched(world: World) -> Watched:
    found = watch_performance(world.platform, world.model)
    assert found is not None
    return found


def change_labels(world: World, day: date, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = world.platform.lake.partitions("labels", world.model.label.model)[day]
    world.platform.lake.write(change(pd.read_parquet(path)), path)


def unlabelled(rows: pd.DataFrame) -> pd.DataFrame:
    never = rows["label_available_at"].where(rows["label_available_at"].isna())
    return rows.assign(is_late=np.nan, label_available_at=never)


# --- estimates ---------------------------------------------------------------------------------------------


def test_each_window_has_its_estimate_beside_what_labels_say(reading: World) -> None:
    for summary in summaries(reading):
        found, realised = summary["estimated"]["roc_auc"], summary["performance"]["metrics"]["roc_auc"]["value"]
        assert found["lower"] < realised < found["upper"]
        assert found["n"] == summary["rows"]
        assert "calibration" in summary["estimated"]["calibration_error"]["why"]


def test_an_estimate_needs_no_label_and_is_no_verdict(drifting: World) -> None:
    before = summaries(drifting)
    for day in pd.date_range(WEEKS[1], periods=7):
        change_labels(drifting, day.date(), unlabelled)
    found = watched(drifting)
    second = summaries(drifting)[1]
    assert second["estimated"] == before[1]["estimated"]
    assert second["checks"][0]["passed"] is None
    assert second["performance"]["metrics"]["roc_auc"]["value"] is None
    assert all("stimate" not in check.sentence for check in window_checks(drifting.platform, drifting.model))
    assert "ESTIMATE before labels" in found.table
    assert "Estimated, not measured: roc_auc" in found.more["estimates"]
    assert "cannot see a change of that" in found.more["estimates"]
    assert "In 1 windows with labels the estimate of roc_auc was off by" in found.more["estimates"]


def test_a_version_without_its_outcomes_is_not_estimated(drifting: World) -> None:
    (drifting.home.lake / "references" / "flight_delay" / "version=1" / "outcomes.json").unlink()
    found = watched(drifting.with_settings(monitoring={"metrics": ["brier"]}))
    why = summaries(drifting)[1]["estimated"]["brier"]["why"]
    assert why.startswith("cannot estimate, because version 1 has no labels and scores of its gate window")
    assert "promote a version" in why
    assert "no window has both an estimate and matured labels" in found.more["estimates"]


# --- maturity ----------------------------------------------------------------------------------------------


def test_the_report_says_when_labels_come_and_how_early_ones_mislead(reading: World) -> None:
    told = summaries(reading)[1]["label_maturity"]
    labels = reading.platform.data(reading.model).events(*WEEKS[::2], as_of=reading.platform.now(reading.model))
    known = labels[labels["label"].notna()]
    delay = (known["label_available_at"] - known["event_timestamp"]).dt.total_seconds() / 3600
    # All but the last hours' flights have been followed to the end, so counting is nearly right here.
    for hours, share in told["curve"][:-1]:
        assert share == pytest.approx((delay <= hours).sum() / len(labels), abs=0.01)
    median = told["early"][0]
    early = known["label"][delay <= median["hours"]]
    assert median["share"] == pytest.approx(0.5, abs=0.03)
    assert median["mean"] - median["final"] == pytest.approx(early.mean() - known["label"].mean(), abs=0.005)
    assert median["upper"] < 0  # flights that land late are known late


# --- restated labels ---------------------------------------------------------------------------------------


def test_restated_labels_judge_a_window_again_and_the_record_says_so(drifting: World) -> None:
    before = summaries(drifting)
    assert before[0]["restated"] == []
    change_labels(drifting, date(2013, 2, 20), lambda rows: rows.assign(is_late=1 - rows["is_late"]))
    found = watched(drifting)
    assert found.windows == [FIRST]
    after = summaries(drifting)
    (said,) = after[0]["restated"]
    (entry,) = drifting.ledger("restatement")
    assert entry["reason"] == said["reason"]
    assert entry["reason"] in found.reason
    assert said["changed"] == (~pd.isna(labels_of(drifting, date(2013, 2, 20)))).sum()
    assert (said["before"]["value"], said["after"]["value"]) == (
        before[0]["checks"][0]["value"],
        after[0]["checks"][0]["value"],
    )
    assert after[0]["checks"][0]["value"] != before[0]["checks"][0]["value"]
    assert after[1] == before[1]
    # A second look finds nothing, and only the labels of the newest judgement are kept.
    files = drifting.files()
    assert watch_performance(drifting.platform, drifting.model) is None
    assert drifting.files() == files
    assert len([name for name in files if "/labels-" in name]) == 2
    assert len(drifting.ledger("restatement")) == 1


def labels_of(world: World, day: date) -> pd.Series:
    return pd.read_parquet(world.platform.lake.partitions("labels", world.model.label.model)[day])["is_late"]


def test_labels_that_were_withdrawn_are_told_and_a_rewritten_file_is_not(drifting: World) -> None:
    change_labels(drifting, date(2013, 2, 26), lambda rows: rows.iloc[::-1])
    assert watched(drifting).windows == [SECOND]  # the file is another, so the window is judged again
    assert drifting.ledger("restatement") == []
    change_labels(drifting, date(2013, 2, 26), unlabelled)
    watched(drifting)
    (entry,) = drifting.ledger("restatement")
    assert "0 of 3,123 labels were restated and" in entry["reason"]
    assert "withdrawn" in entry["reason"]


def test_a_run_killed_after_the_record_says_it_once(drifting: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlops_assets.steps.watch import performance_report

    change_labels(drifting, date(2013, 2, 20), lambda rows: rows.assign(is_late=1 - rows["is_late"]))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(performance_report, "write_summary", killed)
        with pytest.raises(KeyboardInterrupt):
            watch_performance(drifting.platform, drifting.model)
    assert summaries(drifting)[0]["restated"] == []
    watched(drifting)
    assert len(summaries(drifting)[0]["restated"]) == 1
    assert len(drifting.ledger("restatement")) == 1


# --- profit, coverage, accepted cases ----------------------------------------------------------------------


def test_profit_per_row_is_reported_and_a_new_table_judges_again(drifting: World) -> None:
    world = drifting.with_settings(monitoring={"costs": COSTS})
    found = watched(world)
    assert found.windows == [FIRST, SECOND]
    rows = read_scores(world.platform, world.model, *WEEKS[:2])
    labels = world.platform.data(world.model).events(*WEEKS[:2], as_of=world.platform.now(world.model))
    both = rows.merge(labels[["flight_id", "label"]], on="flight_id").dropna(subset="label")
    tn, fp, fn, tp = confusion_matrix(both["label"], both[SCORE] >= 0.5, labels=[0, 1]).ravel()
    expected = (50 * tp - 5 * fp - 100 * fn + 0 * tn) / len(both)
    first = summaries(world)[0]
    assert first["performance"]["metrics"]["profit"]["value"] == pytest.approx(expected)
    assert first["estimated"]["profit"]["value"] is not None
    assert "profit per row" in found.table
    assert found.more["profit"].startswith("![Profit per row")
    assert watched(drifting).windows == [FIRST, SECOND]


def test_limits_on_further_metrics_are_held_against_the_gates_rows(drifting: World) -> None:
    limits = {"accuracy": LimitSpec(floor=0.99), "brier": LimitSpec(max_drop=0.0)}
    world = drifting.with_settings(monitoring={"limits": limits})
    found = watched(world)
    first = summaries(world)[0]
    check = first["checks"][0]
    assert check["passed"] is False
    assert (check["value"], check["limit"]) == (first["performance"]["metrics"]["accuracy"]["value"], 0.99)
    assert check["sentence"].startswith("accuracy 0.")
    kept = pd.read_parquet(world.home.lake / "references" / "flight_delay" / "version=1" / "outcomes.parquet")
    assert f"reference {brier_score_loss(kept['label'], kept['score']):.4f}" in check["sentence"]
    assert "roc_auc 0." in check["sentence"]
    assert "limit dotted" not in found.plot  # 0.99 is no limit of the metric that is drawn
    assert check["sentence"] in found.reason or summaries(world)[1]["checks"][0]["sentence"] in found.reason
    # Without them it holds as before: these windows are judged again by the main metric alone.
    assert watched(drifting).windows == [FIRST, SECOND]
    assert "accuracy" not in summaries(drifting)[0]["checks"][0]["sentence"]


def test_a_floor_of_a_further_metric_may_ask_for_several_windows(drifting: World) -> None:
    world = drifting.with_settings(monitoring={"limits": {"accuracy": LimitSpec(floor=0.99, floor_windows=2)}})
    watched(world)
    assert [s["checks"][0]["passed"] for s in summaries(world)] == [True, False]


def test_bounds_that_a_model_wrote_are_covered(drifting: World) -> None:
    lake = drifting.platform.lake
    for path in lake.partitions("predictions", "flight_delay", name=BATCH).values():
        rows = pd.read_parquet(path)
        lake.write(rows.assign(score_lower=0.0, score_upper=np.where(rows.index % 2, 1.0, 0.5)), path)
    watched(drifting)
    found = summaries(drifting)[0]["performance"]["metrics"]["interval_coverage"]["value"]
    # Half of the late flights (23.7 %) lie above their upper bound.
    assert found == pytest.approx(1 - 0.237 / 2, abs=0.02)


def test_a_warning_where_labels_exist_only_for_accepted_cases(drifting: World) -> None:
    found = watched(drifting.with_settings(label={"only_for_accepted": True}))
    assert ONLY_ACCEPTED in found.reason
    assert ONLY_ACCEPTED in found.more["estimates"]
    assert all(ONLY_ACCEPTED in s["checks"][0]["sentence"] for s in summaries(drifting))


def test_a_model_whose_labels_follow_its_scores_is_told_to_say_so(drifting: World) -> None:
    rows = read_scores(drifting.platform, drifting.model, *WEEKS[:2])
    refused = set(rows.loc[rows[SCORE] > rows[SCORE].median(), "flight_id"])
    for day in pd.date_range(WEEKS[0], periods=7):
        change_labels(
            drifting,
            day.date(),
            lambda part: pd.concat(
                [unlabelled(part[part["flight_id"].isin(refused)]), part[~part["flight_id"].isin(refused)]]
            ),
        )
    drifting.at(WEEKS[1] + timedelta(days=8))
    watched(drifting)
    first, second = (summary["checks"][0]["sentence"] for summary in summaries(drifting))
    assert "Labels are known for 0% of the rows with the highest scores" in first
    assert "set label.only_for_accepted" in first
    assert "only_for_accepted" not in second


@pytest.mark.slow
def test_the_gate_says_so_too(new_world: Callable[..., World]) -> None:
    world = new_world(label={"only_for_accepted": True})
    world.at(date(2013, 1, 28))
    world.tick()
    (promotion,) = world.ledger("promotion")
    assert promotion["reason"].endswith(ONLY_ACCEPTED)


@pytest.mark.parametrize(
    ("task", "costs", "why"),
    [
        ("binary", {"true_positive": 1.0}, "set all"),
        ("regression", COSTS, "under_prediction, over_prediction"),
        ("multiclass", COSTS, "right, wrong"),
    ],
)
def test_a_cost_table_that_does_not_fit_is_refused_when_it_is_read(task: str, costs: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ModelSettings.model_validate(
            {"name": "m", "description": "x", "task": task, "label": {"model": "l", "column": "c"}, "features": ["f"],
             "metric": "mae", "start": date(2013, 1, 1), "monitoring": {"costs": costs}}
        )  # fmt: skip

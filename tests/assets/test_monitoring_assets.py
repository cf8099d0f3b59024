"""What the monitoring assets show, also on the many days on which nothing has closed."""

from __future__ import annotations

import html
from datetime import timedelta

import dagster as dg
import pytest

from mlops_assets.assets.monitoring_assets import DRIFT_CHECKS, FAILING_CHECKS, PERFORMANCE_CHECKS
from mlops_assets.assets.partitions import RANGE_END, RANGE_START
from mlops_assets.core.values.display import BREAK
from mlops_assets.simulate.engine import QUIET, RunFailed
from tests.real_slice import COLD_START, WEEKS, World
from tests.support import linked

MODEL = "flight_delay"
PREDICTIONS = dg.AssetKey([MODEL, "predictions"])


def materialized(run: dg.ExecuteInProcessResult) -> list[str]:
    return sorted({e.asset_key.path[-1] for e in run.get_asset_materialization_events() if e.asset_key})


def test_a_day_in_the_middle_of_a_window_is_predicted_and_reports_have_no_news(world: World) -> None:
    end = COLD_START + timedelta(days=1)
    world.at(end)
    run = world.watch(COLD_START, end)
    assert materialized(run) == ["predictions"]
    assert list(run.get_asset_check_evaluations()) == []
    assert world.instance.get_materialized_partitions(PREDICTIONS) == {str(COLD_START)}


def test_without_a_champion_the_run_is_green_and_empty(new_world) -> None:
    world = new_world()
    world.at(WEEKS[1])
    run = world.watch(*WEEKS[:2])
    assert (run.success, materialized(run)) == (True, [])
    # Also where the predictions have a check.
    refusing = World(world.home, world.model.model_copy(update={"on_failing": "refuse"}))
    run = refusing.watch(*WEEKS[:2])
    assert (run.success, materialized(run)) == (True, [])


def test_a_closed_window_is_reported_with_table_plot_and_page(drifting: World) -> None:
    for path in (drifting.home.lake / "reports").rglob("summary.json"):
        path.unlink()
    run = drifting.watch(*WEEKS[1:])
    assert materialized(run) == ["drift_report", "performance_report", "predictions"]
    checks = {check.check_name: check for check in run.get_asset_check_evaluations()}
    assert set(checks) == {*DRIFT_CHECKS, *PERFORMANCE_CHECKS, *FAILING_CHECKS}
    errors = {name for name, check in checks.items() if check.severity == dg.AssetCheckSeverity.ERROR}
    assert errors == set(FAILING_CHECKS), "the others are WARN"
    assert {check.blocking for check in checks.values()} == {False}
    assert not checks["inputs_match_reference"].passed
    assert checks["performance_holds"].passed
    told = {
        e.asset_key.path[-1]: e.step_materialization_data.materialization.metadata
        for e in run.get_asset_materialization_events()
        if e.asset_key
    }
    assert told["drift_report"]["top_features"].value.startswith("|")
    assert told["drift_report"]["plot"].value.startswith("![")
    assert told["drift_report"]["windows"].value == "2013-02-18..2013-02-24, 2013-02-25..2013-03-03"
    # Seen from the home: Dagster does not break paths, and a long one pushes the reason off the page.
    page = linked(told["drift_report"]["report"])
    verdict = html.escape(checks["inputs_match_reference"].description.replace(BREAK, ""))
    assert 0 < page.read_text(encoding="utf-8").find(verdict) < page.read_text(encoding="utf-8").find("What moved")
    assert told["performance_report"]["by_window"].value.startswith("|")
    assert told["performance_report"]["plot"].value.startswith("![roc_auc by window, limit dotted")
    # No column that is empty all the way down: this model has no cost table, and a week no interval.
    assert "profit" not in told["performance_report"]["by_window"].value
    for step in ("drift_report", "performance_report"):
        assert next(iter(told[step])) == "reason"
    assert "features have drifted" in told["drift_report"]["reason"].value
    # Numbers, which Dagster draws over the materializations.
    assert told["drift_report"]["drifted_share"].value == checks["inputs_match_reference"].metadata["value"].value
    assert told["drift_report"]["largest_psi"].value > 0.2
    assert told["performance_report"]["roc_auc"].value == checks["performance_holds"].metadata["value"].value
    assert "roc_auc_lower" not in told["performance_report"]  # a week has no interval, and no made-up one


def test_partitions_that_a_person_chose_are_scored(world: World) -> None:
    first, last = COLD_START, COLD_START + timedelta(days=1)
    world.at(WEEKS[1])
    job = dg.define_asset_job(
        "by_hand", selection=dg.AssetSelection.assets(PREDICTIONS), executor_def=dg.in_process_executor
    )
    definitions = dg.Definitions(assets=world.definitions.assets, jobs=[job], resources=world.definitions.resources)
    run = definitions.resolve_job_def("by_hand").execute_in_process(
        instance=world.instance,
        tags={RANGE_START: str(first), RANGE_END: str(last)},
        run_config=QUIET,
        asset_selection=[PREDICTIONS],
    )
    assert run.success
    assert world.instance.get_materialized_partitions(PREDICTIONS) == {str(first), str(last)}
    assert set(world.platform.lake.partitions("predictions", MODEL, name="batch")) == {first, last}


def test_a_run_that_names_no_days_says_how_to(world: World) -> None:
    with pytest.raises(
        RunFailed, match="This run names no partitions: choose some in the UI, or set the tag mlops/days"
    ):
        world.engine.execute(dg.RunRequest(job_name="watch"))
    assert not (world.home.lake / "predictions").exists()

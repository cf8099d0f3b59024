"""A champion that is worse than guessing, on real flights: found, told everywhere, and what is agreed for it done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pandas as pd
import pytest

from mlops_assets.core.record.entries import Promotion
from mlops_assets.steps.decide.evidence import consider
from mlops_assets.steps.keep import metric_values
from mlops_assets.steps.keep.model_alarms import model_alarms, why_over
from mlops_assets.steps.keep.standing import standing
from mlops_assets.steps.predict.predictions import predicted_days, read_scores, score_days
from mlops_assets.steps.rollout.fallback import goes_back_to, settle
from mlops_assets.steps.watch.against_baseline import CHECK, guesses
from mlops_assets.steps.watch.performance_report import watch_performance
from mlops_assets.steps.watch.windows.summaries import GuessingSummary, failing_of, newest_summary, window_checks
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import FALLBACK
from tests.real_slice import WEEKS, World, copy_home, working_in

NEXT = WEEKS[-1]
"""The first day that nobody has predicted yet."""
SPAN = (NEXT, date.fromordinal(NEXT.toordinal() + 1))


def turn_round(world: World) -> None:
    """Let every champion's score be one minus itself, as where the relation of inputs and label has turned round."""
    for file in world.platform.lake.partitions("predictions", world.model.name, name="batch").values():
        rows = pd.read_parquet(file)
        file.unlink()  # a link to the shared home's
        rows.assign(score=1.0 - rows["score"]).to_parquet(file)
    watch_performance(world.platform, world.model)


@pytest.fixture(scope="session")
def failing_home(drifting_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The champion's two weeks, with each score turned round; not to be changed."""
    home = Home(tmp_path_factory.mktemp("failing") / "home")
    with working_in(home):
        turn_round(World.of(copy_home(drifting_home, home.root)))
    return home


@pytest.fixture
def world(failing_home: Home, tmp_path: Any) -> Iterator[World]:
    with working_in(Home(tmp_path / "home")) as home:
        yield World.of(copy_home(failing_home, home.root))


def agreed(world: World, choice: str) -> World:
    return World(world.home, world.model.model_copy(update={"on_failing": choice}))


def said(world: World) -> list[tuple[str, int, str]]:
    return [(entry["result"], entry["version"], entry["on_failing"]) for entry in world.ledger("failing")]


def test_a_good_champion_is_not_failing(drifting: World) -> None:
    assert failing_of(drifting.platform, drifting.model) is None
    settle(drifting.platform, drifting.model)
    assert drifting.ledger("failing") == []
    checks = [c for c in window_checks(drifting.platform, drifting.model) if c.name == CHECK]
    # A week alone has seven days, an interval needs eight: the second week is judged together with the first.
    assert [check.passed for check in checks] == [None, True]
    alarms = model_alarms(drifting.platform, drifting.model)
    assert not any(alarm["key"].startswith("failing/") for alarm in alarms)
    gauge = [s.value for s in metric_values.reports(drifting.platform) if s.name == "model_worse_than_baseline"]
    assert gauge == [0]


def test_it_is_told_everywhere(world: World, mlops: Any) -> None:
    platform, model = world.platform, world.model
    settle(platform, model)
    found = failing_of(platform, model)
    assert found is not None
    told = found.in_words(model.name, model.zone)
    assert told.startswith("flight_delay has been worse than guessing since 2013-02-25: ROC AUC 0.")
    # In the report, each window, and the evidence a decision is made on.
    summary = newest_summary(platform.lake, model.name, "performance", GuessingSummary)
    assert summary and summary.guessing.judged
    newest = summary.guessing.judged
    assert (newest.worse, newest.windows, newest.baseline) == (True, 2, 0.5)
    assert next(c for c in window_checks(platform, model) if c.name == CHECK and c.passed is False)
    decision, evidence, _ = consider(platform, model)
    assert evidence.failing == told
    assert told in decision.reasons
    assert CHECK not in {check.name for check in evidence.checks}, "it is evidence of its own"
    # To people.
    (alarm,) = [a for a in model_alarms(platform, model) if a["key"] == "failing/flight_delay"]
    assert (alarm["severity"], alarm["runbook"]) == ("page", "worse-than-guessing")
    assert alarm["happened"].startswith(told)
    assert alarm["did"] == "The champion goes on answering."
    assert "on_failing: baseline" in alarm["do"]
    status = standing(world.home)["models"]["flight_delay"]["failing"]
    assert (status["sentence"], status["since"]) == (told, date(2013, 2, 25))
    shown = " ".join(mlops("status").output.split())
    assert f"{told} The champion goes on answering." in shown
    record = " ".join(mlops("record", "show", "flight_delay").output.split())
    assert f"failing of version 1: began {told} The champion goes on answering." in record
    gauge = [s.value for s in metric_values.reports(platform) if s.name == "model_worse_than_baseline"]
    assert gauge == [1]


def test_the_record_has_its_start_and_end_once(world: World) -> None:
    platform, model = world.platform, world.model
    for _ in range(2):
        settle(platform, model)
    assert said(world) == [("began", 1, "keep")]
    alerts = Alerts(root=str(world.home.root))
    alarm = next(a for a in model_alarms(platform, model) if a["key"].startswith("failing/"))
    alarm.pop("asset")
    for _ in range(2):
        alerts.send(**alarm)
    assert len(alerts.incidents.state().outbox) == 1, "told once"
    turn_round(world)
    for _ in range(2):
        settle(platform, model)
    assert said(world) == [("began", 1, "keep"), ("over", 1, "keep")]
    assert not any(a["key"].startswith("failing/") for a in model_alarms(platform, model))
    assert why_over(platform, "failing/flight_delay").startswith("By its newest window version 1 is not surely worse")


def test_guessing_answers_the_batch_until_it_is_over(world: World) -> None:
    world = agreed(world, "baseline")
    platform, model = world.platform, world.model
    settle(platform, model)
    world.at(SPAN[1])
    scored = score_days(platform, model, [NEXT])
    assert scored is not None
    assert scored.guessed == scored.rows[NEXT] > 0
    base_rate = float(guesses(platform, model, 1, 1)[0])
    rows = pd.read_parquet(platform.lake.file("predictions", model.name, partition=NEXT, name="batch"))
    assert set(rows["served_by"]) == {"baseline"}
    assert rows["score"].unique().tolist() == [base_rate]
    # Monitors are about the champion: else a guess would be held against guessing, and never be any worse.
    own = read_scores(platform, model, *SPAN)
    assert own["score"].tolist() == rows["champion_score"].tolist()
    assert not {"served_by", "champion_score"} & set(own)
    assert read_scores(platform, model, *SPAN, answered=True)["score"].unique().tolist() == [base_rate]
    # A correction of the day's data does not rewrite who answered.
    turn_round(world)
    settle(platform, model)
    assert said(world) == [("began", 1, "baseline"), ("over", 1, "baseline")]
    assert FALLBACK not in platform.registry.version(model.name, 1).tags
    again = score_days(platform, model, [NEXT])
    assert again is not None
    assert again.guessed == scored.guessed
    later = date.fromordinal(NEXT.toordinal() + 1)
    world.at(date.fromordinal(later.toordinal() + 1))
    after = score_days(platform, model, [later])
    assert after is not None
    assert (after.guessed, after.withheld) == (0, 0)


def test_nothing_is_answered_where_that_is_agreed(world: World) -> None:
    world = agreed(world, "refuse")
    platform, model = world.platform, world.model
    settle(platform, model)
    world.at(SPAN[1])
    result = world.watch(*SPAN)
    check = next(c for c in result.get_asset_check_evaluations() if c.check_name == "champion_answers")
    assert not check.passed
    assert "has been worse than guessing since 2013-02-25" in str(check.description)
    assert NEXT not in platform.lake.partitions("predictions", model.name, name="batch")
    assert NEXT in predicted_days(platform.lake, model.name), "monitors go on"
    assert len(read_scores(platform, model, *SPAN)) > 0
    assert read_scores(platform, model, *SPAN, answered=True).empty
    again = score_days(platform, model, [NEXT])
    assert again is not None
    assert (again.rows, again.guessed) == ({}, 0)
    assert again.withheld > 0


def test_another_choice_takes_effect_and_stands_on_record(world: World) -> None:
    settle(world.platform, world.model)
    other = agreed(world, "refuse")
    settle(other.platform, other.model)
    assert said(world) == [("began", 1, "keep"), ("over", 1, "keep"), ("began", 1, "refuse")]
    assert json.loads(world.platform.registry.version("flight_delay", 1).tags[FALLBACK])["mode"] == "refuse"


def test_a_new_champion_ends_it(world: World) -> None:
    world = agreed(world, "baseline")
    platform, model = world.platform, world.model
    settle(platform, model)
    second(world)
    assert failing_of(platform, model) is None
    assert score_days(platform, model, [WEEKS[1]]).guessed == 0  # type: ignore[union-attr]
    settle(platform, model)
    assert said(world)[-1] == ("over", 1, "baseline")
    assert why_over(platform, "failing/flight_delay") == "Version 2 is champion now."
    assert FALLBACK not in platform.registry.version(model.name, 1).tags


def test_the_version_before_takes_over_where_it_is_better(world: World) -> None:
    """Version 2 answered with scores turned round; version 1, kept, scores the same rows as it always did."""
    world = agreed(world, "previous")
    platform, model = world.platform, world.model
    second(world)
    assign(world, 2)
    settle(platform, model)
    version, told = goes_back_to(platform, model)
    assert version == 1
    assert "Version 1 is not worse than guessing on the same rows: ROC AUC 0." in told
    world.tick()
    (decision,) = [d for d in world.ledger("decision") if d["action"] == "revert"]
    assert (decision["rule"], decision["candidate"]) == ("failing", "revert:1")
    assert world.aliases()["champion"] == 1
    (entry,) = world.ledger("rollback")
    assert (entry["version"], entry["previous"], entry["decision"]) == (1, 2, decision["id"])
    assert "has been worse than guessing since" in entry["reason"]
    assert said(world)[-1] == ("over", 2, "previous")


def test_without_a_version_before_it_keeps_the_champion_and_says_so(world: World) -> None:
    world = agreed(world, "previous")
    settle(world.platform, world.model)
    assert goes_back_to(world.platform, world.model) == (None, "There is no version before it to go back to.")
    alarm = next(a for a in model_alarms(world.platform, world.model) if a["key"].startswith("failing/"))
    assert alarm["did"] == "The champion goes on answering. There is no version before it to go back to."


def second(world: World) -> None:
    """The same model once more, as version 2 and champion."""
    platform, name = world.platform, world.model.name
    first = platform.registry.version(name, 1)
    kept = {
        "fitted_until": first.tags["fitted_until"],
        "training_set": first.tags["training_set"],
        "challenged_by": "x",
    }
    client = platform.registry.client
    run = client.create_run(client.get_run(first.run_id).info.experiment_id).info.run_id
    made = platform.registry.register(name, platform.registry.load(name, 1), run_id=run, tags=kept)
    assert made.version == 2
    platform.registry.promote(name, 2, decision_id="x", reason="a test")
    platform.ledger.record.note(
        name, Promotion, at=platform.now(world.model), version=2, previous=1, decision="x", reason="a test"
    )
    references = platform.lake.folder("references", name)
    for file in (references / "version=1").glob("*"):
        target = references / "version=2" / file.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(file.read_bytes())


def assign(world: World, version: int) -> None:
    """Let the weeks be that version's."""
    for file in world.platform.lake.partitions("predictions", world.model.name, name="batch").values():
        rows = pd.read_parquet(file)
        file.unlink()
        rows.assign(model_version=version).to_parquet(file)
    watch_performance(world.platform, world.model)

"""The probe on real flights: looks on file, what the evidence says, going back.

What lives here: looks and rollbacks on a real home. What doesn't: what a look is worth (tests/core, tests/scenarios).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.core.decide.policy import Decision
from mlops_assets.core.decide.probe import gate_confidence
from mlops_assets.core.decide.probe_result import Gain, Probed
from mlops_assets.steps.decide.evidence import consider, gather, keep
from mlops_assets.steps.decide.looks import probed, read_looks
from mlops_assets.steps.decide.probe import NewLooks, probe
from mlops_assets.steps.decide.probe_report import probe_report
from mlops_assets.steps.decide.training_scope import TrainingPlan, plan
from mlops_assets.steps.promote.training import prepare
from mlops_assets.steps.rollout.reverting import finish_revert, revert
from mlops_assets.world.home import Home
from tests.real_slice import World, copy_home, working_in

pytestmark = pytest.mark.slow
QUICK = {"rows": 2_000, "rounds": 10, "refits": ("expanding", "4")}


TURNED = date(2013, 2, 26)
RECORD = ("01-28..2013-02-03", "02-04..2013-02-10", "02-11..2013-02-17")


@pytest.fixture
def quick(drifting: World) -> World:
    """The drifting world with a probe of few rows."""
    return quickly(drifting)


def quickly(world: World) -> World:
    return replace(world, model=world.model.model_copy(update={"probe": replace(world.model.probe, **QUICK)}))


@pytest.fixture(scope="module")
def probed_home(drifting_home: Home, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, NewLooks]:
    """The drifting home after the probe has looked at it, and what it found; not to be changed."""
    with working_in(Home(tmp_path_factory.mktemp("probed") / "home")) as home:
        world = quickly(World.of(copy_home(drifting_home, home.root)))
        looked = probe(world.platform, world.model)
        assert looked is not None
        return home, looked


@pytest.fixture
def looked_at(probed_home: tuple[Home, NewLooks], tmp_path: Path) -> Iterator[tuple[World, NewLooks]]:
    """A world that the probe has looked at, and what it found."""
    with working_in(Home(tmp_path / "home")) as home:
        yield quickly(World.of(copy_home(probed_home[0], home.root))), probed_home[1]


def test_each_matured_week_is_looked_at_once_and_becomes_evidence(quick: World) -> None:
    platform, model = quick.platform, quick.model
    assert gather(platform, model, platform.now(model)).probe is None
    assert plan(platform, model) == TrainingPlan("expanding")
    looked = probe(platform, model)
    assert looked is not None
    assert looked.unjudged == ()
    # The newest week has matured: all but 2 % of its labels are known when it ends. Of the weeks before, candidates
    # have a record without a champion.
    windows = [(one.window, one.champion) for one in looked.looks]
    assert windows[-2:] == [("2013-02-18..2013-02-24", "1"), ("2013-02-25..2013-03-03", "1")]
    assert windows[:-2] == [(f"2013-{week}", "") for week in RECORD]
    assert all(one.whole.series == {} for one in looked.looks[:-2])
    assert read_looks(platform, model.name) == list(looked.looks)
    assert probe(platform, model) is None
    decision, evidence, _ = consider(platform, model)
    assert evidence.probe == looked.probed
    assert decision.rule in ("gain", "nothing")
    report = probe_report(platform, model, looked)
    assert "2013-02-25..2013-03-03" in report.metadata["by_window"]
    assert report.passed is (decision.rule == "nothing")
    newest = looked.looks[-1]
    assert looked.probed is not None
    lead = looked.probed.leader
    gain = newest.whole.series[lead].gain / newest.whole.loss["keep"]
    assert report.numbers == {"gain": gain, "limit": model.retrain.min_gain}
    # A week is judged on its newest eight days too; the first of them lies before it.
    assert newest.newest is not None
    assert newest.newest.start == newest.end - timedelta(days=8)
    assert (newest.daily[0][0], len(newest.daily)) == ("2013-02-24", 8)
    # Of the first week after its fit, the champion knew that day but for its last labels.
    assert looked.looks[-2].daily[0][1] < 0.06 * looked.looks[-2].daily[1][1]


def test_looks_may_be_judged_by_entity(quick: World) -> None:
    by = replace(quick.model.monitoring.performance, blocks="carrier")
    world = quick.with_settings(monitoring={"performance": by})
    looked = probe(world.platform, world.model)
    assert looked is not None
    assert looked.probed is not None
    first, second = (one.whole.series["refit:expanding"].blocks for one in looked.looks if one.champion)
    assert set(first) & set(second)  # the same carriers, under the same numbers
    gain = looked.probed.refit
    assert gain is not None
    # Seven days alone could not have been judged; carriers can.
    assert (gain.blocks, gain.days >= 8) == ("carrier", True)
    assert "blocks by carrier)" in looked.probed.sentence


def test_a_calendar_that_cannot_be_trained_is_not_tried(quick: World) -> None:
    """The newest four weeks have fewer rows than a training needs: a gain of theirs could not be had."""
    training = replace(
        quick.model.training,
        min_rows=quick.platform.data(quick.model).known_labels(before=quick.platform.now(quick.model)) // 2,
    )
    world = replace(quick, model=quick.model.model_copy(update={"training": training}))
    looked = probe(world.platform, world.model)
    assert looked is not None
    newest = looked.looks[-1]
    assert set(newest.whole.series) == {"refit:expanding"}
    assert newest.newest is not None
    assert set(newest.newest.series) == {"refit:expanding"}


def test_the_looks_say_on_which_rows_to_train(looked_at: tuple[World, NewLooks]) -> None:
    world, looked = looked_at
    platform, model = world.platform, world.model
    assert looked.probed is not None
    wanted = {"refit:expanding": "expanding", "refit:4": "rolling: 28d"}
    planned = plan(platform, model)
    assert planned.window == wanted[looked.probed.leader]
    assert prepare(platform, model)["window"] == wanted[looked.probed.leader]
    fixed = model.model_copy(update={"training": replace(model.training, window="rolling: 20d")})
    # What is agreed is trained on, and the gate judges what the probe has looked at.
    assert plan(platform, fixed) == replace(planned, window="rolling: 20d")
    assert planned.judged is None or planned.judged.end == looked.looks[-1].end
    assert planned.lag_one == looked.probed.lag_one
    # What the gate is told, and how sure it must be, stands on the record of the training set.
    assert planned.confidence == gate_confidence(looked.probed, model.retrain.min_gain, model.gate.confidence)
    assert platform.record(model.name, "training_set")["confidence"] == planned.confidence


def test_a_stretch_from_before_the_champions_clock_is_judged_as_it_was_looked_at(
    looked_at: tuple[World, NewLooks], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels that come later than a window is long: what is known now happened before the champion was fitted."""
    from mlops_assets.steps.decide import looks as on_file

    world, _ = looked_at
    late = timedelta(days=90)
    looks = [
        replace(one, end=one.end - late, whole=replace(one.whole, start=one.whole.start - late))
        for one in read_looks(world.platform, world.model.name)
        if one.champion
    ]
    monkeypatch.setattr(on_file, "read_looks", lambda *_: looks)
    model = world.model.model_copy(update={"gate": replace(world.model.gate, window="7d")})
    planned = plan(world.platform, model)
    assert planned.judged is not None
    assert planned.judged.end == looks[-1].end
    assert planned.judged.start in {one.whole.start for one in looks}


def test_without_a_champion_nothing_is_looked_at(new_world) -> None:
    world = new_world()
    assert probe(world.platform, world.model) is None
    assert probed(world.platform, world.model, None) is None


def test_going_back_moves_the_alias_once_and_stands_on_record(drifting: World) -> None:
    platform, model = drifting.platform, drifting.model
    drifting.tick()
    assert drifting.aliases() == {"champion": 2, "previous": 1}
    decision = _to_go_back(drifting)
    keep(platform, decision)
    # The process died before it acted: the next tick does what was decided.
    finish_revert(platform, model)
    assert drifting.aliases() == {"champion": 1, "previous": 2}
    (entry,) = drifting.ledger("rollback")
    assert (entry["version"], entry["previous"], entry["decision"]) == (1, 2, decision.id)
    before = drifting.ledger()
    finish_revert(platform, model)
    revert(platform, model, decision)
    assert drifting.ledger() == before
    # What was seen before it came back has been answered.
    assert probed(platform, model, platform.registry.champion(model.name)) is None


def test_another_decision_is_not_one_to_go_back(drifting: World) -> None:
    decision, _, _ = consider(drifting.platform, drifting.model)
    with pytest.raises(ValueError, match="names no version"):
        revert(drifting.platform, drifting.model, decision)


def _to_go_back(world: World) -> Decision:
    """A decision as the policy takes it when version 1 would have been better."""
    from mlops_assets.core.decide.policy import History, decide

    now = world.platform.now(world.model)
    gain = Gain("revert:1", 0.05, 0.08, 1, 5_000, 28)
    found = Probed(None, gain, "refit:expanding", looks=1, alpha_spent=0.01, sentence="Version 1 is better.")
    evidence = replace(gather(world.platform, world.model, now), probe=found, window="a window", cannot_judge=())
    return decide(evidence, world.model.retrain_policy, History(), now)


def test_a_plan_reads_the_looks_once(looked_at: tuple[World, NewLooks], monkeypatch: pytest.MonkeyPatch) -> None:
    from mlops_assets.steps.decide import looks as on_file

    world, _ = looked_at
    read: list[str] = []
    monkeypatch.setattr(on_file, "read_looks", lambda *of: read.append(of[1]) or read_looks(*of))
    plan(world.platform, world.model)
    assert read == [world.model.name]


def turn_round(world: World) -> None:
    """From a day on, six days before the newest window ends, what was late is on time."""
    lake = world.platform.lake
    for day, path in lake.partitions("labels", world.model.label.model).items():
        if day >= TURNED:
            rows = pd.read_parquet(path)
            lake.write(rows.assign(is_late=1 - rows["is_late"]), path)


def test_what_changed_among_the_newest_days_is_judged_in_turns(quick: World) -> None:
    """The relation turns round six days before the newest window ends: no fit on what was before them knows it."""
    turn_round(quick)
    # The loss of a day is its own; by a ranking, what is ranked among it is worse before the change as well.
    world = quickly(quick.with_settings(metric="log_loss", retrain={"min_gain": 0.0}))
    narrow = replace(world.model.probe, refits=("expanding", "1"))
    platform, model = world.platform, world.model.model_copy(update={"probe": narrow})
    looked = probe(platform, model)
    assert looked is not None
    look = looked.looks[-1]
    assert look.changed in (TURNED, TURNED + timedelta(days=1))
    assert look.newest is not None
    assert look.newest.in_turns
    assert [one.newest.in_turns for one in looked.looks[:-1] if one.newest] == [False] * (len(looked.looks) - 1)
    assert read_looks(platform, model.name) == list(looked.looks)
    gain = looked.probed.refit if looked.probed else None
    assert gain is not None
    assert (gain.windows, gain.in_turns, gain.lower > 0) == (0, True, True)
    assert gain.in_words.endswith("; things changed among them, so each third was judged by a fit on all else)")
    # The gate judges as the probe has looked: each third of these days by the recipe fitted on all else.
    assert plan(platform, model).in_turns
    (run,) = replace(world, model=model).tick().runs
    assert run.success
    assert platform.record(model.name, "training_set")["in_turns"] is True
    parts = platform.record(model.name, "evaluation")["judged_parts"]
    assert len(set(parts)) == 3
    assert platform.record(model.name, "challenger")["judged_sha256"] not in parts


def test_what_ships_as_it_was_judged_is_not_looked_at_in_turns(quick: World) -> None:
    """The judged model would be fitted on what happened before the newest days, and know nothing of the change."""
    turn_round(quick)
    world = quickly(quick.with_settings(gate={"ship": "judged"}, metric="log_loss"))
    looked = probe(world.platform, world.model)
    assert looked is not None
    assert looked.looks[-1].changed is not None
    assert looked.looks[-1].newest is not None
    assert not looked.looks[-1].newest.in_turns

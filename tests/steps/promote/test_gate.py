"""The challenger as the gate sees it: part by part, each by a fit that has not seen it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.decide.folds import fold_windows
from mlops_assets.core.models.model import Model, fit
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window
from mlops_assets.steps.promote.gate import Scored, compare, score
from mlops_assets.steps.promote.training import prepare, train
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL, TrainingSet
from tests.real_slice import World

NewWorld = Callable[..., World]


@pytest.fixture
def prepared(new_world: NewWorld) -> World:
    """A world in January with its first training set and challenger."""
    world = new_world()
    probe = replace(world.model.probe, folds=2)
    world = replace(world, model=world.model.model_copy(update={"probe": probe}))
    world.at(date(2013, 1, 28))
    prepare(world.platform, world.model)
    train(world.platform, world.model, run_id="none")
    return world


def scored(world: World, fitted: TrainingSet | None = None) -> tuple[Scored, Model, Window]:
    set_, challenger = (world.platform.record(world.model.name, name) for name in ("training_set", "challenger"))
    moments = {name: datetime.fromisoformat(set_[name]) for name in ("gate_start", "gate_end", "as_of", "known_by")}
    gate = Window(moments["gate_start"], moments["gate_end"])
    data = world.platform.data(world.model)
    file = world.home.lake / "models" / world.model.name / "candidates" / f"{challenger['judged_sha256']}.ubj"
    model = Model.from_bytes(file.read_bytes())
    return (
        score(data, model, fitted or data.load(set_["sha256"], moments["known_by"]), gate, as_of=moments["as_of"]),
        model,
        gate,
    )


def test_each_part_is_scored_by_a_fit_on_the_events_before_it(prepared: World) -> None:
    found, challenger, gate = scored(prepared)
    data = prepared.platform.data(prepared.model)
    first, second = fold_windows(gate, 2, prepared.model.timezone)
    early = first.contains(found.rows[EVENT_TIME])
    np.testing.assert_array_equal(found.scores[early], challenger.predict(found.rows[early]))
    as_of = prepared.platform.now(prepared.model)
    known = data.training_rows(known_by=as_of)
    known = known[known[EVENT_TIME] < pd.Timestamp(second.start)]
    assert known[EVENT_TIME].max() < pd.Timestamp(second.start) <= found.rows[~early][EVENT_TIME].min()
    again = fit(challenger.recipe, known, known[LABEL].to_numpy())
    np.testing.assert_array_equal(found.scores[~early], again.predict(found.rows[~early]))
    assert found.models == (challenger.sha256, again.sha256)
    assert found.last.sha256 == again.sha256
    pd.testing.assert_frame_equal(found.last_rows.reset_index(drop=True), known.reset_index(drop=True))
    assert len(found.known) == len(data.labelled(known_by=as_of)) > len(known)


def test_a_rolling_window_that_is_shorter_than_the_gate_moves_on_with_its_parts(new_world: NewWorld) -> None:
    world = new_world(training={"window": "rolling: 7d"})
    world = replace(world, model=world.model.model_copy(update={"probe": replace(world.model.probe, folds=4)}))
    world.at(date(2013, 1, 28))
    prepare(world.platform, world.model)
    train(world.platform, world.model, run_id="none")
    found, challenger, gate = scored(world)
    assert gate.end - gate.start > timedelta(days=7)
    every = world.platform.data(
        world.model.model_copy(update={"training": replace(world.model.training, window="expanding")})
    )
    known = every.training_rows(known_by=world.platform.now(world.model))
    for part, sha256 in zip(fold_windows(gate, 4, world.model.timezone)[1:], found.models[1:], strict=True):
        start = pd.Timestamp(part.start)
        rows = known[(known[EVENT_TIME] >= start - pd.Timedelta(days=7)) & (known[EVENT_TIME] < start)]
        assert fit(challenger.recipe, rows, rows[LABEL].to_numpy()).sha256 == sha256
    assert found.known[EVENT_TIME].min() >= pd.Timestamp(gate.end) - pd.Timedelta(days=8)


def test_what_has_come_in_since_the_training_set_is_known_to_the_first_part_too(prepared: World) -> None:
    gate_start = datetime.fromisoformat(prepared.platform.record(prepared.model.name, "training_set")["gate_start"])
    data = prepared.platform.data(prepared.model)
    late = data.training_set(known_by=gate_start - timedelta(days=3))
    found, challenger, gate = scored(prepared, fitted=late)
    known = data.training_rows(known_by=prepared.platform.now(prepared.model))
    known = known[known[EVENT_TIME] < pd.Timestamp(gate.start)]
    again = fit(challenger.recipe, known, known[LABEL].to_numpy())
    assert found.models[0] == again.sha256 != challenger.sha256


def test_what_ships_as_it_was_judged_is_judged_in_one_part(prepared: World) -> None:
    gate = replace(prepared.model.gate, ship="judged")
    found, challenger, _ = scored(replace(prepared, model=prepared.model.model_copy(update={"gate": gate})))
    assert found.models == (challenger.sha256,)
    np.testing.assert_array_equal(found.scores, challenger.predict(found.rows))


def test_what_was_fitted_on_all_that_happened_before_the_newest_days_is_judged_on_them_in_one_part(
    prepared: World,
) -> None:
    data = prepared.platform.data(prepared.model)
    as_of = prepared.platform.now(prepared.model)
    newest = Window(as_of - timedelta(days=8), as_of)
    fitted = data.training_set(known_by=as_of, before=newest.start)
    # Labels that came in since are among it, and events from then on are not.
    assert fitted.frame[EVENT_TIME].max() < pd.Timestamp(newest.start) <= fitted.frame[AVAILABLE_AT].max()
    set_aside = data.training_rows(known_by=newest.start)
    assert len(fitted.frame) >= len(set_aside)
    challenger = fit(scored(prepared)[1].recipe, fitted.frame, fitted.frame[LABEL].to_numpy())
    found = score(data, challenger, fitted, newest, as_of=as_of, newest=True)
    assert found.models == (challenger.sha256,)
    np.testing.assert_array_equal(found.scores, challenger.predict(found.rows))
    assert newest.contains(found.rows[EVENT_TIME]).all()
    assert (found.last.sha256, len(found.last_rows)) == (challenger.sha256, len(fitted.frame))
    # What ships is fitted on these days too.
    assert len(found.known) == len(data.training_rows(known_by=as_of)) > len(fitted.frame)


def test_newest_days_in_turns_are_scored_by_fits_on_all_other_rows(prepared: World) -> None:
    data = prepared.platform.data(prepared.model)
    as_of = prepared.platform.now(prepared.model)
    newest = Window(as_of - timedelta(days=9), as_of)
    fitted = data.training_set(known_by=as_of, before=newest.start)
    _, challenger, _ = scored(prepared)
    found = score(data, challenger, fitted, newest, as_of=as_of, newest=True, in_turns=True)
    known = data.training_rows(known_by=as_of)
    for part, sha256 in zip(fold_windows(newest, 3, prepared.model.timezone), found.models, strict=True):
        others, mine = known[~part.contains(known[EVENT_TIME])], part.contains(found.rows[EVENT_TIME])
        again = fit(challenger.recipe, others, others[LABEL].to_numpy())
        assert again.sha256 == sha256
        np.testing.assert_array_equal(found.scores[mine], again.predict(found.rows[mine]))
    # Were the refit another model, that of the newest part would ship; else one of all that is known.
    assert (found.last.sha256, len(found.known)) == (found.models[-1], len(known))


def test_the_gate_judges_by_the_blocks_of_the_yaml(prepared: World) -> None:
    by = replace(prepared.model.monitoring.performance, blocks="carrier")
    world = prepared.with_settings(monitoring={"performance": by})
    found, _, _ = scored(world)
    baseline = compare(world.platform, world.model, found, found.known[LABEL]).baseline
    assert not isinstance(baseline, CannotJudge)
    assert baseline is not None
    assert (baseline.blocks, baseline.n_blocks) == ("carrier", found.rows["carrier"].nunique())
    days = compare(prepared.platform, prepared.model, found, found.known[LABEL]).baseline
    assert not isinstance(days, CannotJudge)
    assert days is not None
    assert (days.blocks, days.gain) == ("day", baseline.gain)

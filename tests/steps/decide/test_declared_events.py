"""Declared events on real flights: what is no evidence, not judged, not referred to, not trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from mlops_assets.core.models.model import Model
from mlops_assets.core.settings_sections import EventSpec
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window
from mlops_assets.steps.decide.evidence import gather
from mlops_assets.steps.decide.probe import probe
from mlops_assets.steps.promote.gate import gate_rows, score
from mlops_assets.steps.promote.training import prepare, train
from mlops_assets.world.home import Home
from mlops_assets.world.model_data import EVENT_TIME
from tests.real_slice import World, working_in

STORM = {"name": "storm", "start": date(2013, 2, 26), "end": date(2013, 2, 27), "kind": "outage"}
NOW = datetime(2013, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def reading(drifting_home: Home) -> Iterator[World]:
    with working_in(drifting_home):
        yield World.of(drifting_home)


def declared(world: World, **changes: Any) -> World:
    return world.with_settings(events=[EventSpec(**{**STORM, **changes})])


def test_an_annotated_window_stays_evidence_and_is_named(reading: World) -> None:
    plain = gather(reading.platform, reading.model, NOW)
    world = declared(reading)
    found = gather(world.platform, world.model, NOW)
    assert plain.events == ()
    assert found.events == ("Window 2013-02-25..2013-03-03 falls into storm (outage, 2013-02-26 to 2013-02-27).",)
    assert found.checks == plain.checks


def test_an_excluded_window_is_no_evidence(reading: World) -> None:
    world = declared(reading, windows="exclude")
    found = gather(world.platform, world.model, NOW)
    assert found.window == "2013-02-18..2013-02-24"
    assert {check.window for check in found.checks} == {found.window}
    assert found.events[0].endswith("and is no evidence.")


def test_its_rows_are_not_judged_and_trained_on_unless_told(reading: World) -> None:
    world = declared(reading, windows="exclude")
    data = world.platform.data(world.model)
    gate = data.gate_window(as_of=NOW, not_before=None)
    days = {data.day(time) for time in gate_rows(data, gate, as_of=NOW)[EVENT_TIME]}
    assert days == {date(2013, 2, day) for day in (*range(18, 26), 28)} | {date(2013, 3, day) for day in (1, 2, 3)}
    inside = data.labelled(known_by=NOW)[EVENT_TIME].map(data.day).isin([STORM["start"], STORM["end"]])
    assert inside.any()
    apart = declared(reading, train=False)
    data = apart.platform.data(apart.model)
    assert not data.labelled(known_by=NOW)[EVENT_TIME].map(data.day).isin([STORM["start"], STORM["end"]]).any()


def test_a_part_of_the_gate_without_a_day_left_is_passed_over(drifting: World) -> None:
    world = declared(drifting, windows="exclude", start=date(2013, 2, 18), end=date(2013, 2, 21))
    platform, model = world.platform, world.model.model_copy(update={"gate": replace(world.model.gate, window="14d")})
    model = model.model_copy(update={"probe": replace(model.probe, folds=7)})
    prepare(platform, model)
    train(platform, model, run_id="none")
    prepared, trained = (platform.record(model.name, name) for name in ("training_set", "challenger"))
    data = platform.data(model)
    challenger = Model.from_bytes(
        platform.lake.folder("models", model.name, "candidates", f"{trained['judged_sha256']}.ubj").read_bytes()
    )
    fitted = data.load(prepared["sha256"], datetime.fromisoformat(prepared["known_by"]))
    gate = Window(datetime.fromisoformat(prepared["gate_start"]), datetime.fromisoformat(prepared["gate_end"]))
    scored = score(data, challenger, fitted, gate, as_of=NOW)
    # Seven parts of two days, of which two lie in the event.
    assert len(scored.models) == 5
    assert len(scored.scores) == len(scored.rows)
    assert len({data.day(time) for time in scored.rows[EVENT_TIME]}) == 10


def test_where_too_few_days_are_left_the_gate_cannot_judge(reading: World) -> None:
    world = declared(reading, windows="exclude", start=date(2013, 2, 1), end=date(2013, 3, 3))
    with pytest.raises(CannotJudge, match="no 8 days of matured labels"):
        world.platform.data(world.model).gate_window(as_of=NOW, not_before=None)


def test_the_probe_passes_it_over_and_tells_gains_in_money(drifting: World) -> None:
    costs = {"true_positive": 3.0, "false_positive": -1.0, "false_negative": -2.0, "true_negative": 0.0}
    model = declared(drifting, windows="exclude").model
    watched = model.monitoring.model_copy(update={"costs": costs})
    quick = replace(model.probe, rows=1_000, rounds=5, folds=2)
    model = model.model_copy(update={"probe": quick, "monitoring": watched})
    looked = probe(drifting.platform, model)
    assert looked is not None
    (look,) = (one for one in looked.looks if one.champion)
    assert look.window == "2013-02-18..2013-02-24"
    assert set(look.whole.profit) == set(look.whole.series) == set(model.probe.candidates)
    assert (look.costs, sum(look.whole.series["refit:expanding"].sizes)) == (costs, look.whole.rows)
    assert look.whole.rows <= 1_000
    assert look.labelled is not None
    assert look.labelled > 2_500
    # A look that was made before the event was declared is no evidence either.
    both = replace(drifting, model=model.model_copy(update={"events": []}))
    probe(both.platform, both.model)
    assert gather(both.platform, both.model, NOW).probe.looks == 2  # type: ignore[union-attr]
    assert gather(both.platform, model, NOW).probe.looks == 1  # type: ignore[union-attr]

"""A member of a fleet begins as the pooled model, follows it, and leaves it for a model of its own that is better."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops_assets.assets.retrain_sensor import Deciding
from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
from mlops_assets.core.record.entries import Pause, Promotion, Request, Resume, only
from mlops_assets.core.settings_fleet import FleetSettings, MemberSettings, member_fields
from mlops_assets.core.stats.metrics import metric
from mlops_assets.core.time.windows import Window
from mlops_assets.steps.decide.fleet.on_record import on_file
from mlops_assets.steps.predict.predictions import read_scores
from mlops_assets.steps.promote.gate import gate_rows
from mlops_assets.steps.promote.pool import follow, is_pooled
from mlops_assets.world.home import Home
from mlops_assets.world.model_data import LABEL
from mlops_assets.world.platform import GATE_VALUE, POOLED, Platform
from tests.real_slice import COLD_START, WEEKS, World, build_once, copy_home, small, working_in


def fleet_of(home: Home, **changes: Any) -> dict[str, Any]:
    """The fields of a fleet of flights by carrier, cut down for tests."""
    changes = {"training": {"max_rounds": 1}, "monitoring": {"slices": []}} | changes
    fields = small(Platform.of(home).models()["flight_delay"], **changes).to_fields()
    return fields | {"per": "carrier", "name": "delay"}


def member_of(home: Home, value: str, **changes: Any) -> MemberSettings:
    return MemberSettings.model_validate(member_fields(fleet_of(home, **changes), value, f"delay_{value.lower()}"))


@pytest.fixture(scope="module")
def pool_home(slice_home: Home, shared_folder: Path) -> Home:
    """A home with the pooled model of a fleet as its only champion; not to be changed."""

    def build(home: Home) -> None:
        with working_in(copy_home(slice_home, home.root)):
            world = World(home, FleetSettings.model_validate(fleet_of(home)))
            world.at(COLD_START)
            world.tick()

    return build_once(shared_folder / "pool", build)


@pytest.fixture
def pool(pool_home: Home, tmp_path: Path) -> Iterator[World]:
    """A copy of it, free to be changed."""
    with working_in(Home(tmp_path / "home")) as home:
        copy_home(pool_home, home.root)
        yield World(home, FleetSettings.model_validate(fleet_of(home)))


def test_a_member_begins_as_the_pooled_model_by_its_own_rows(pool: World) -> None:
    member = World(pool.home, member_of(pool.home, "UA"))
    said = member.tick()
    assert not said.runs
    own = member.platform.registry.champion("delay_ua")
    theirs = pool.platform.registry.champion("delay")
    assert own is not None and theirs is not None and is_pooled(pool.platform, member_of(pool.home, "UA"))
    assert (own.sha256, own.tags[POOLED]) == (theirs.sha256, str(theirs.version))
    # Its rows alone: what a window of it is compared with, and how good the pool was on them.
    data = member.platform.data(member.model)
    gate = Window(*map(datetime.fromisoformat, own.tags["gate_window"].split("/")))
    rows = gate_rows(data, gate, as_of=member.platform.now(member.model))
    assert set(rows["carrier"]) == {"UA"}
    kept = member.platform.lake.folder("references", "delay_ua", "version=1") / "outcomes.parquet"
    outcomes = pd.read_parquet(kept)
    assert len(outcomes) == len(rows)
    assert outcomes[LABEL].sum() == rows[LABEL].sum()
    assert float(own.tags[GATE_VALUE]) == pytest.approx(
        metric("roc_auc").score(outcomes[LABEL].to_numpy(), outcomes["score"].to_numpy())
    )
    (promotion,) = only(member.platform.ledger.entries("delay_ua"), Promotion)
    assert promotion.version == 1 and "the pooled model" in promotion.reason


def test_following_twice_changes_nothing_and_a_newer_pool_is_followed(pool: World) -> None:
    member = World(pool.home, member_of(pool.home, "UA"))
    assert follow(member.platform, member.model) == "" == follow(member.platform, member.model)
    assert len(member.platform.registry.versions("delay_ua")) == 1
    stronger = World(pool.home, FleetSettings.model_validate(fleet_of(pool.home, training={"max_rounds": 15})))
    pool.at(WEEKS[-1])
    stronger.platform.ledger.record.note("delay", Request, by="a person", reason="more rounds")
    stronger.tick()
    assert stronger.aliases()["champion"] == 2, stronger.ledger()[-1]
    member.platform.ledger.record.note("delay_ua", Pause, by="a person", reason="not now")
    follow(member.platform, member.model)
    assert member.aliases() == {"champion": 1}
    member.platform.ledger.record.note("delay_ua", Resume, by="a person", reason="go on")
    follow(member.platform, member.model)
    assert {v.version: v.tags[POOLED] for v in member.platform.registry.versions("delay_ua")} == {1: "1", 2: "2"}
    assert member.aliases() == {"champion": 2, "previous": 1}


def test_a_member_decides_before_it_follows(pool: World) -> None:
    member = World(pool.home, member_of(pool.home, "UA", training={"max_rounds": 15}))
    member.tick()
    stronger = World(pool.home, FleetSettings.model_validate(fleet_of(pool.home, training={"max_rounds": 15})))
    pool.at(WEEKS[-1])
    stronger.platform.ledger.record.note("delay", Request, by="a person", reason="more rounds")
    stronger.tick()
    assert stronger.aliases()["champion"] == 2
    # The pool's new champion has seen all labels; what its twin said of these rows was said without them.
    member.platform.ledger.record.note("delay_ua", Request, by="a person", reason="try its own")
    (run,) = member.tick().runs
    assert run.success
    judged = member.ledger()[-1]
    followed = next(entry for entry in member.ledger("promotion") if entry["decision"] == "pool-delay_ua-2")
    outcomes = pd.read_parquet(
        member.platform.lake.folder("references", "delay_ua", f"version={followed['version']}") / "outcomes.parquet"
    )
    by_twin = metric("roc_auc").score(outcomes[LABEL].to_numpy(), outcomes["score"].to_numpy())
    assert f"against {by_twin:.4f} of the champion" in judged["reason"]


def test_a_member_that_waits_for_its_turn_follows_meanwhile(pool: World, monkeypatch: pytest.MonkeyPatch) -> None:
    member = World(pool.home, member_of(pool.home, "UA"))
    others = Platform.of(pool.home).models()
    known = {**others, **{each.name: each for each in (pool.model, member.model)}}
    monkeypatch.setattr(Platform, "models", lambda _: known)
    member.tick()
    pool.at(WEEKS[-1])
    member.platform.ledger.record.note("delay_ua", Request, by="a person", reason="try its own")
    deciding = Deciding(member.platform, member.instance, TrainingsPolicy(runs_a_day=1))
    assert "mlops queue" in deciding.look(member.model).sentence
    stronger = World(pool.home, FleetSettings.model_validate(fleet_of(pool.home, training={"max_rounds": 15})))
    stronger.platform.ledger.record.note("delay", Request, by="a person", reason="more rounds")
    stronger.tick()
    asked = member.ledger("decision")
    for _ in range(2):
        assert "mlops queue" in deciding.look(member.model).sentence
    champion = member.platform.registry.champion("delay_ua")
    assert champion is not None
    assert champion.tags[POOLED] == "2"
    assert member.ledger("decision") == asked
    waiting = on_file(member.platform.ledger.record, "delay_ua").waiting
    assert waiting is not None
    assert waiting.id == asked[-1]["id"], "it keeps its place"


def test_a_member_with_too_few_rows_is_watched_with_the_pool(pool: World) -> None:
    member = World(pool.home, member_of(pool.home, "OO"))
    said = member.tick().skipped
    assert (
        "part of the pool, delay, until it has more rows: version 1 of it was judged on 0 rows of OO, and 200 are"
        in said
    )
    assert member.platform.registry.champion("delay_oo") is None
    assert not member.ledger()


def test_a_member_stays_where_a_model_of_its_own_is_not_better(pool: World) -> None:
    member = World(pool.home, member_of(pool.home, "EV", training={"max_rounds": 15}))
    assert _with_model_of_its_own(member) == {"champion": 1}
    assert member.ledger()[-1]["kind"] == "rejection"
    assert "against" in member.ledger()[-1]["reason"]


def test_a_member_leaves_the_pool_for_a_better_model_of_its_own(slice_home: Home, tmp_path: Path) -> None:
    with working_in(Home(tmp_path / "home")) as home:
        copy_home(slice_home, home.root)
        # What holds for one of them is the other way round for all others, and no feature says which it is.
        known = ["flight_carrier", "flight_origin", "flight_dest", "distance_miles", "plane_seats", "plane_engines"]
        exclude = [*known, "plane_age_years", "plane_manufacturer"]
        settings = {"training": {"max_rounds": 15}, "exclude": exclude, "features": ["feat_flight"]}
        pool = World(home, FleetSettings.model_validate(fleet_of(home, **settings)))
        for path in pool.platform.lake.partitions("labels", "lbl_flight_delay").values():
            rows = pd.read_parquet(path)
            is_late = (rows["event_timestamp"].dt.hour < 17) ^ (rows["carrier"] == "EV")
            rows["is_late"] = is_late.astype(rows["is_late"].dtype).where(rows["is_late"].notna())
            pool.platform.lake.write(rows, path)
        pool.at(COLD_START)
        pool.tick()
        member = World(home, member_of(home, "EV", **settings))
        assert _with_model_of_its_own(member) == {"champion": 2, "previous": 1}, member.ledger()[-1]["reason"]
        assert not is_pooled(member.platform, member_of(home, "EV"))
        training_set = member.platform.record("delay_ev", "training_set")
        assert training_set["rows"] < pool.platform.record("delay", "training_set")["rows"]
        # From then on it goes its own way, until a person takes it back into the pool.
        assert follow(member.platform, member.model) == ""
        assert member.aliases()["champion"] == 2


def _with_model_of_its_own(member: World) -> dict[str, int]:
    """Try a model of its own for a member two weeks later; the aliases that come of it."""
    member.tick()
    member.at(WEEKS[-1])
    member.platform.ledger.record.note(member.model.name, Request, by="a person", reason="try its own")
    (run,) = member.tick().runs
    assert run.success
    return member.aliases()


def test_what_a_member_predicts_are_its_own_rows(pool: World) -> None:
    member = World(pool.home, member_of(pool.home, "UA"))
    member.tick()
    first, end = COLD_START, date(2013, 2, 20)
    member.at(end)
    member.watch(first, end)
    scored = read_scores(member.platform, member.model, first, end)
    everyone = member.platform.lake.read("labels", "lbl_flight_delay", start=first, end=end)
    assert set(scored["carrier"]) == {"UA"}
    assert len(scored) == (everyone["carrier"] == "UA").sum()

"""Online values go as far as the clock of their own sources, whatever other sources of the home have reached."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_assets.steps.features.online_store import materialize_online
from mlops_assets.world.clock import Clock, NoDataYet
from mlops_assets.world.features import Features
from mlops_assets.world.platform import Platform
from tests.real_slice import World

Materialized = tuple[set[str], datetime, bool]
"""Views, the moment, and whether they are made anew."""
FLIGHTS, CARDS = datetime(2014, 1, 1, tzinfo=UTC), datetime(2013, 7, 15, tzinfo=UTC)


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> dict[str, datetime]:
    """Moments of the demos' sources: those of card payments are missing."""
    moments = {"flights": FLIGHTS}

    def now(_: Clock, sources: Any) -> datetime:
        (moment,) = {moments[source.name] for source in sources if source.name in moments} or {None}
        if moment is None:
            raise NoDataYet("nothing has landed")
        return moment

    monkeypatch.setattr(Clock, "now", now)
    return moments


@pytest.fixture
def materialized(monkeypatch: pytest.MonkeyPatch) -> list[Materialized]:
    calls: list[Materialized] = []

    def materialize(_: Features, views: list[str], now: datetime, *, rebuild: bool) -> dict[str, int]:
        calls.append((set(views), now, rebuild))
        return dict.fromkeys(views, 1)

    monkeypatch.setattr(Features, "materialize", materialize)
    return calls


def test_each_group_of_sources_by_its_own_clock(
    world: World, reached: dict[str, datetime], materialized: list[Materialized]
) -> None:
    catalogue = world.platform.catalogue
    (group,) = (group for group in world.platform.groups() if "flights" in group)
    online = [view for view in catalogue.views if view.online]
    of_flights = {view.name for view in online if group.intersection(view.sources)}
    (cards,) = (group for group in world.platform.groups() if "card_payments" in group)
    of_cards = {view.name for view in online if cards.intersection(view.sources)}
    done = materialize_online(world.platform)
    assert materialized == [(of_flights, FLIGHTS, False)], "what has no data is not said to be brought anywhere"
    assert done is not None
    assert done.moments == dict.fromkeys(of_flights, FLIGHTS)
    reached["card_payments"] = CARDS
    materialized.clear()
    assert materialize_online(world.platform) is not None
    assert materialized == [(of_cards, CARDS, False), (of_flights, FLIGHTS, False)]


def test_views_whose_sources_are_unread_are_made_anew_later(
    world: World, reached: dict[str, datetime], materialized: list[Materialized]
) -> None:
    materialize_online(world.platform)
    file = world.home.feast / "online_code.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "feat_flight": "older code"}))
    del reached["flights"]
    assert materialize_online(world.platform) is None
    reached["flights"] = FLIGHTS
    materialize_online(world.platform)
    assert [rebuild for *_, rebuild in materialized] == [False, True]


def test_a_home_whose_views_are_all_offline_has_nothing_to_bring(
    world: World, reached: dict[str, datetime], materialized: list[Materialized], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = world.platform.catalogue
    offline = replace(catalogue, views=tuple(replace(view, online=False) for view in catalogue.views))
    monkeypatch.setattr(Platform, "catalogue", offline)
    done = materialize_online(world.platform)
    assert done is not None
    assert (done.entities, done.moments, materialized) == ({}, {}, [])

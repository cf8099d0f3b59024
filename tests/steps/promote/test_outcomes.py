"""What became of a promotion on real flights: nothing yet, kept, worse, cannot judge; once each, on record."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pytest

from mlops_assets.core.models.model import fit
from mlops_assets.core.record.entries import Promotion
from mlops_assets.core.time.windows import midnight
from mlops_assets.steps.promote import outcomes
from mlops_assets.steps.promote.outcomes import due_window, record_outcomes
from mlops_assets.world.model_data import LABEL
from mlops_assets.world.platform import FITTED_UNTIL
from tests.real_slice import COLD_START, WEEKS, World

PROMISED = {"gain": 0.05, "lower": 0.03, "upper": 0.07, "confidence": 0.95, "rows": 9000, "days": 14}


def second_champion(world: World, *, good: bool) -> None:
    """A second version, promoted at the cold start: fitted on the first one's rows, or on shuffled labels."""
    platform, name = world.platform, world.model.name
    first = platform.registry.version(name, 1)
    recipe = platform.registry.load(name, 1).recipe
    rows = (
        platform.data(world.model).load(first.tags["refit_set"], datetime.fromisoformat(first.tags[FITTED_UNTIL])).frame
    )
    y = rows[LABEL].to_numpy()
    y = y if good else np.random.default_rng(1).permutation(y)
    made = fit(replace(recipe, rounds=20), rows, y)
    version = platform.registry.register(name, made, run_id=first.run_id, tags={FITTED_UNTIL: first.tags[FITTED_UNTIL]})
    at = midnight(COLD_START, world.model.timezone)
    platform.registry.promote(name, version.version, decision_id="d2", reason="a test", at=at)
    platform.ledger.record.note(
        name, Promotion, id="promotion-d2-2", at=at, version=version.version, previous=1, decision="d2",
        reason="a test", promised=PROMISED, fitted_until=first.tags[FITTED_UNTIL],
    )  # fmt: skip


def told(world: World) -> list[tuple[int, str]]:
    return [(entry["version"], entry["result"]) for entry in world.ledger("outcome")]


def test_the_days_are_as_many_as_the_gates_and_follow_the_promotion(world: World) -> None:
    at = midnight(date(2013, 2, 18), world.model.timezone)
    assert due_window(world.model, at).label(world.model.timezone) == "2013-02-18..2013-03-03"
    assert due_window(world.model, at.replace(hour=9)).label(world.model.timezone) == "2013-02-19..2013-03-04"


def test_before_enough_days_have_passed_nothing_is_said_and_nothing_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.at(WEEKS[1])
    monkeypatch.setattr(outcomes, "_realised", None)
    assert record_outcomes(world.platform, world.model) == []
    assert told(world) == []


def test_a_first_champion_is_held_to_its_promise_against_the_baseline(drifting: World) -> None:
    """The performance report of the second week has put it on record."""
    assert told(drifting) == [(1, "kept")]
    (entry,) = drifting.ledger("outcome")
    (promotion,) = drifting.ledger("promotion")
    assert (entry["promotion"], entry["decision"], entry["against"]) == (promotion["id"], promotion["decision"], None)
    assert entry["promised"] == promotion["promised"]
    assert entry["realised"]["lower"] > 0
    assert entry["window"] == "2013-02-18..2013-03-03"
    assert "against 0.5000 of the baseline" in entry["reason"]
    assert record_outcomes(drifting.platform, drifting.model) == []
    assert told(drifting) == [(1, "kept")]


def test_a_better_version_keeps_its_promise_and_is_told_once(world: World) -> None:
    second_champion(world, good=True)
    world.at(WEEKS[-1])
    found = [entry.to_dict() for entry in record_outcomes(world.platform, world.model)]
    assert [(entry["version"], entry["result"]) for entry in found] == [(1, "kept"), (2, "kept")]
    assert found[1]["realised"]["gain"] > 0
    assert "of version 1, gain +" in found[1]["reason"]
    assert "promised was +0.0500" in found[1]["reason"]
    assert record_outcomes(world.platform, world.model) == []
    assert told(world) == [(1, "kept"), (2, "kept")]
    assert world.platform.ledger.verify("flight_delay").whole


def test_a_worse_version_is_called_worse(world: World) -> None:
    second_champion(world, good=False)
    world.at(WEEKS[-1])
    entry = record_outcomes(world.platform, world.model)[1].to_dict()
    assert entry["result"] == "worse"
    assert entry["realised"]["upper"] < 0
    assert entry["reason"].startswith("Surely worse: roc_auc")


def test_a_version_that_can_no_longer_be_scored_leaves_monitoring_alone(world: World) -> None:
    from mlops_assets.world.mlflow import registry

    second_champion(world, good=True)
    world.at(WEEKS[-1])
    source = world.platform.registry.version("flight_delay", 1).source.removeprefix("file://")
    (file,) = [path for path in (world.home.mlflow / "artifacts").rglob("model.ubj") if str(path).startswith(source)]
    file.unlink()
    registry._cache.clear()
    entry = record_outcomes(world.platform, world.model)[1].to_dict()
    assert (entry["result"], entry["realised"]) == ("cannot_judge", None)
    assert "one of the two can no longer be scored" in entry["reason"]
    assert "Restore it from a backup" in entry["reason"]

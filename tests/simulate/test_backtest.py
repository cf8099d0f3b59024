"""Backtest and power on real flights: what is read, that nothing is written, what the commands say.

What lives here: both on a home that has a champion. What doesn't: lives and their comparison (tests/core), the formula
of power (tests/core/decide/test_power.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from mlops_assets.core.simulate.backtest import PRESENT
from mlops_assets.core.stats.intervals import CannotJudge, block_interval
from mlops_assets.core.stats.metrics import metric
from mlops_assets.core.time.windows import local_days
from mlops_assets.simulate.backtest import past, run, tried_policies
from mlops_assets.steps.decide.power import BY_CHECK, PROBE, power, power_in_words
from mlops_assets.steps.predict.predictions import SCORE, read_scores
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL
from mlops_assets.world.platform import Platform
from tests.real_slice import World

pytestmark = pytest.mark.slow


@pytest.fixture
def here(drifting: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The drifting world with a probe of few rounds, which commands find as the declared model."""
    model = drifting.model.model_copy(update={"probe": replace(drifting.model.probe, rounds=5, folds=2)})
    monkeypatch.setattr(Platform, "models", lambda _: {model.name: model})
    return replace(drifting, model=model)


def on_disk(world: World) -> dict[str, bytes]:
    """Registry, ledger and the lake's files; not SQLite's own scratch files."""
    roots = (world.home.ledger, world.home.root / "mlflow", world.home.lake)
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files if not path.name.endswith(("-wal", "-shm"))}


def test_the_past_is_read_once_and_nothing_is_written(here: World) -> None:
    before = on_disk(here)
    history = past(here.platform, here.model, rows=3_000)
    assert (len(history.rows.y), len(history.windows)) == (3_000, 8)
    assert history.known > 20_000
    assert history.first == 2
    assert history.recipe_of == "version 1, the champion"
    assert set(history.rows.x) == set(history.recipe.names)
    assert history.rows.times.min() >= history.windows[0].start
    assert history.rows.times.max() < history.windows[-1].end
    again = past(here.platform, here.model, rows=3_000)
    np.testing.assert_array_equal(history.rows.y, again.rows.y)
    policies = tried_policies(here.model, history, {})
    seen: list[str] = []
    found = run(here.model, history, policies, progress=seen.append)
    assert len(seen) == 6 * len(policies)
    assert found.tried[0].name == PRESENT
    assert {"never", "every window", "monthly", "PSI > 0.2", "KS p < 0.05", "+2 % gate"} <= set(policies)
    assert all(0.5 < one.metric < 1.0 for one in found.tried)
    assert next(one.seconds for one in found.tried if one.name == "every window") > 0.0
    assert "Cannot judge: 6 windows" in found.recommendation.sentence
    assert on_disk(here) == before
    with pytest.raises(ValueError, match="rule of thumb"):
        tried_policies(here.model, history, {"never": policies[PRESENT]})


def test_too_little_past_says_what_to_do(here: World) -> None:
    with pytest.raises(CannotJudge, match=r"none is left to live through. Land more history, shorten monitoring"):
        past(here.platform, here.model, rows=3_000, first=8)
    many = here.with_settings(training={"min_rows": 10_000})
    with pytest.raises(CannotJudge, match=r"rows of the first 1 can be .* and 10,000 are needed. Set --first 4 or"):
        past(many.platform, many.model, rows=3_000, first=1)
    long = here.model.model_copy(update={"monitoring": here.model.monitoring.model_copy(update={"window": "80d"})})
    with pytest.raises(CannotJudge, match="no monitoring window with labels has closed"):
        past(here.platform, long, rows=3_000)


def test_without_a_champion_a_recipe_is_searched_for_on_the_first_windows(new_world: Callable[..., World]) -> None:
    world = new_world()
    history = past(world.platform, world.model, rows=2_000)
    assert "for want of a champion" in history.recipe_of
    assert history.recipe.rounds <= 15


def test_the_command_shows_a_table_json_and_a_page(here: World, mlops: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text("- {name: bold, retrain: {min_gain: 0.0, max_age: 14d}}\n", encoding="utf-8")
    page = tmp_path / "page.html"
    arguments = ["backtest", "flight_delay", "--policies", str(file), "--rows", "1500"]
    shown = mlops(*arguments, "--html", str(page))
    assert shown.exit_code == 0, shown.stdout
    assert "bold" in shown.stdout
    assert "Cannot judge: 6 windows" in shown.stdout
    assert "a sample of" in shown.stdout
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    found = json.loads(mlops(*arguments, "--json").stdout)
    assert [one["name"] for one in found["tried"]][:2] == [PRESENT, "bold"]
    assert Path(found["page"]) == here.home.root / "reports" / "backtest" / "flight_delay.html"
    file.write_text("- {name: bold, retrain: {min_gian: 0}}\n", encoding="utf-8")
    failed = mlops(*arguments)
    assert failed.exit_code == 1


# --- power -------------------------------------------------------------------------------------------------


def test_power_is_made_of_the_days_of_recent_windows(here: World) -> None:
    found = power(here.platform, here.model)
    by_what = {one.what: one for one in found if one.windows == 4}
    assert {BY_CHECK, PROBE, "origin=EWR", "origin=JFK", "origin=LGA"} <= {one.what for one in found}
    check = by_what[BY_CHECK]
    assert check.drop is not None
    # By hand, from the same rows: the champion's two weeks, four windows as long as one of them.
    data, now = here.platform.data(here.model), here.platform.now(here.model)
    rows = read_scores(here.platform, here.model, here.model.start, now.date())
    labels = data.events(as_of=now)[[*data.keys, EVENT_TIME, LABEL, AVAILABLE_AT]]
    rows = rows.merge(labels, on=[*data.keys, EVENT_TIME], how="left")
    rows = rows[rows[LABEL].notna()]
    value, psi = metric("roc_auc").evaluate(rows[LABEL], rows[SCORE])
    span = block_interval(value, psi, local_days(rows[EVENT_TIME], here.model.timezone))
    assert check.labels == 2 * len(rows)
    assert check.days == 28
    # At least the agreed drop, and what the noise of four windows adds.
    champion = here.platform.registry.champion("flight_delay")
    assert champion is not None
    reference = float(champion.tags["gate_value"])
    noise = span.se / np.sqrt(2)
    assert 0.05 * reference + 1.4 * noise < check.drop < 0.05 * reference + 5 * noise
    assert check.share == pytest.approx(check.drop / reference)
    assert power_in_words(here.platform, here.model).startswith("Smallest decay of roc_auc that one window would show")


def test_the_command_says_what_cannot_be_said(here: World, mlops: Callable[..., Result]) -> None:
    shown = mlops("power", "flight_delay")
    assert shown.exit_code == 0, shown.stdout
    assert "performance_holds" in shown.stdout
    # Nothing was looked at in this home.
    assert "probe: no window with labels has matured" in shown.stdout
    found = json.loads(mlops("power", "flight_delay", "--json").stdout)
    assert found["told"].startswith("Smallest decay of roc_auc")
    assert {one["what"] for one in found["seen"]} >= {"performance_holds", "probe", "origin=EWR"}

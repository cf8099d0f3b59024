"""A golden set from the champion's predictions, reviewed, and held against what would ship."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pandas as pd
import pytest
from typer.testing import Result

from mlops_assets.steps.promote.golden import golden_file, golden_rules, write_golden
from mlops_assets.steps.promote.training import prepare
from tests.real_slice import World

EXPIRES = date(2013, 6, 30)
TODAY = date(2013, 2, 18)


def agreed(world: World, **more: object) -> World:
    """The world with a golden set of its champion's predictions in its home."""
    file, count = write_golden(world.platform, world.model, rows=8, expires=EXPIRES, **more)
    assert (file, count) == (world.home.root / "golden" / "flight_delay.csv", 8)
    return world.with_settings(gate={"golden_set": "flight_delay.csv"})


def test_the_champion_keeps_its_own_golden_set(world: World) -> None:
    held = agreed(world)
    champion = world.platform.registry.load("flight_delay", 1)
    (rule,) = golden_rules(held.platform, held.model, champion, TODAY)
    assert (rule.passed, rule.value) == (True, 0.0)
    frame = pd.read_csv(world.home.root / "golden" / "flight_delay.csv")
    assert frame["expected_score"].is_monotonic_increasing
    assert {"flight_id", "event_timestamp", "tolerance", "expires"} <= set(frame)
    (expired,) = golden_rules(held.platform, held.model, champion, date(2013, 7, 1))
    assert expired.passed
    assert expired.sentence.startswith("WARNING")


def test_a_person_who_expects_something_else_stops_what_would_ship(world: World) -> None:
    held = agreed(world)
    file = world.home.root / "golden" / "flight_delay.csv"
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    frame.loc[0, "expected_score"] = "0.95"
    file.unlink()
    frame.to_csv(file, index=False)
    (rule,) = golden_rules(held.platform, held.model, world.platform.registry.load("flight_delay", 1), TODAY)
    assert (rule.passed, rule.value) == (False, 1.0)
    assert "row 1 scores" in rule.sentence


def test_a_reviewed_set_is_not_written_over(world: World) -> None:
    agreed(world)
    with pytest.raises(ValueError, match="may have been reviewed"):
        write_golden(world.platform, world.model, rows=8, expires=EXPIRES)


def test_parquet_is_read_too_and_a_table_without_a_feature_says_which_file(world: World) -> None:
    agreed(world)
    folder = world.home.root / "golden"
    frame = pd.read_csv(folder / "flight_delay.csv")
    frame.to_parquet(folder / "set.parquet")
    held = world.with_settings(gate={"golden_set": "set.parquet"})
    champion = world.platform.registry.load("flight_delay", 1)
    assert golden_rules(held.platform, held.model, champion, TODAY)[0].passed
    frame.drop(columns=champion.recipe.names[0]).to_parquet(folder / "set.parquet")
    with pytest.raises(ValueError, match=rf"set.parquet: the golden set lacks 1 .*{champion.recipe.names[0]}"):
        golden_rules(held.platform, held.model, champion, TODAY)


def test_a_set_that_is_not_there_stops_before_anything_is_trained(world: World) -> None:
    assert golden_file(world.platform, world.model) is None
    held = world.with_settings(gate={"golden_set": "none.csv"})
    before = world.files()
    with pytest.raises(
        FileNotFoundError, match=r"neither .*flight_delay/none.csv nor .*golden/none.csv. Make one with"
    ):
        prepare(held.platform, held.model)
    assert world.files() == before


def test_a_set_beside_the_yaml_comes_first(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    held = agreed(world)
    folder = tmp_path_factory.mktemp("defs") / "flight_delay"
    folder.mkdir()
    yaml = held.platform.settings_file(held.model)
    (folder / "defs.yaml").write_text(yaml.read_text(encoding="utf-8"), encoding="utf-8")
    sources = replace(held.platform.sources, folder=str(folder.parent))
    platform = replace(held.platform, sources=sources)
    assert golden_file(platform, held.model) == world.home.root / "golden" / "flight_delay.csv"
    (folder / "flight_delay.csv").touch()
    assert golden_file(platform, held.model) == folder / "flight_delay.csv"


def test_no_champion_and_no_tolerance_say_what_to_do(new_world: Callable[..., World]) -> None:
    world = new_world()
    with pytest.raises(ValueError, match="no champion yet"):
        write_golden(world.platform, world.model, rows=8, expires=EXPIRES)


def test_a_regression_needs_a_tolerance(world: World) -> None:
    other = replace(world, model=world.model.model_copy(update={"task": "regression"}))
    with pytest.raises(ValueError, match="give --tolerance"):
        write_golden(other.platform, other.model, rows=8, expires=EXPIRES)


def test_the_command_writes_a_file_and_says_what_to_do_with_it(world: World, mlops: Callable[..., Result]) -> None:
    to = world.home.root / "mine.csv"
    shown = mlops("golden", "flight_delay", "--expires", "2013-06-30", "--rows", "5", "--to", str(to))
    assert shown.exit_code == 0, shown.stdout
    assert "5 rows, from the lowest score to the highest" in shown.stdout
    assert "gate: {golden_set: mine.csv}" in shown.stdout
    assert len(pd.read_csv(to)) == 5

"""Every registered version has its card, promoted or not: in the lake, beside its run, and where its tags say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dagster as dg

from mlops_assets.steps.promote.cards import CARD, CARD_FILE, card_file
from mlops_assets.world.home import Home
from tests.real_slice import World
from tests.support import linked


def cards(world: World, version: int) -> tuple[str, str]:
    """The page and the Markdown of a version, after all copies of them have been compared."""
    platform, name = world.platform, world.model.name
    tags = platform.registry.version(name, version).tags
    page = platform.lake.folder() / tags[CARD_FILE]
    assert page == card_file(platform.lake, name, version)
    run_id, _, artifact = tags[CARD].removeprefix("runs:/").partition("/")
    kept = Path(platform.registry.client.download_artifacts(run_id, artifact))
    assert kept.read_text() == page.read_text()
    text = page.with_suffix(".md").read_text()
    assert kept.with_suffix(".md").exists() is False or kept.with_suffix(".md").read_text() == text
    return page.read_text(), text


def test_a_promoted_version_has_a_card_that_its_materialization_names(champion_home: Home) -> None:
    world = World.of(champion_home)
    page, text = cards(world, 1)
    tags = world.platform.registry.version("flight_delay", 1).tags
    for told in (
        "flight_delay, version 1: promoted", tags["refit_set"], tags["sha256"], tags["training_set"][:16],
        tags["challenged_by"], "There is no champion yet.", "beats_baseline", "twin_agrees", "origin=EWR",
        "feat_origin_history", "lbl_flight_delay", "flights, planes", tags["code_version"], "xgboost 3.",
        "no champion to compare it with", "no row of March, April", "references/flight_delay/version=1",
        "mlops reproduce flight_delay 1",
    ):  # fmt: skip
        assert told in text, told
    assert "<script" not in page
    (event,) = world.instance.fetch_materializations(dg.AssetKey(["flight_delay", "champion"]), limit=1).records
    assert event.asset_materialization is not None
    path = linked(event.asset_materialization.metadata["model_card"])
    assert path == world.home.lake / "reports/flight_delay/cards/version=1/card.html"
    assert next(iter(event.asset_materialization.metadata)) == "reason"


def test_a_rejected_version_has_one_too_with_the_slices_that_were_too_small(drifting: World) -> None:
    by = replace(drifting.model.monitoring.performance, blocks="carrier")
    world = drifting.with_settings(
        training={"max_rounds": 1}, gate={"slice_min_rows": 2_000}, monitoring={"performance": by}
    )
    world.tick()
    assert world.ledger("rejection", "promotion")[-1]["kind"] == "rejection"
    _, text = cards(world, 2)
    assert "flight_delay, version 2: rejected" in text
    assert "None: it is kept when a version is promoted." in text
    assert "| beats_champion" in text
    assert "| failed" in text
    assert (
        world.platform.registry.version("flight_delay", 2).tags["judged_sha256"] in text
    )  # the file that is registered
    assert "Slices with fewer than 2,000 labelled rows were not judged: origin=LGA (1," in text
    # Its intervals are the gate's: by carrier, as the YAML says, in every table.
    assert "All rows of one carrier counts as one observation" in text
    assert text.count("| blocks") == 3
    assert "| days" not in text

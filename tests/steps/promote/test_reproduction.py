"""A registered version made again: the same bytes, other bytes with the cause, or nothing to make it from."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from mlops_assets.core.models import training
from mlops_assets.core.models.families.xgboost import NoGpu
from mlops_assets.core.models.model import Model
from mlops_assets.steps.promote import reproduction
from mlops_assets.steps.promote.reproduction import LIBRARIES, Reproduction, fitted_on, libraries, reproduce
from mlops_assets.world.mlflow.registry import ModelDamaged, NoSuchVersion
from tests.real_slice import World


def again(world: World) -> Reproduction:
    return reproduce(world.platform, world.model, 1)


def the_set(world: World) -> str:
    return world.platform.registry.version("flight_delay", 1).tags["refit_set"]


def test_the_refit_that_ships_is_made_again_byte_for_byte(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = world.platform.registry.version("flight_delay", 1).tags
    monkeypatch.setattr(reproduction, "code_version", lambda: tags["code_version"])
    before, files = world.ledger(), world.files()
    found = again(world)
    assert (found.agrees, found.refitted, found.ships, found.trained_on) == (
        True,
        tags["sha256"],
        "refit",
        tags["refit_set"],
    )
    assert found.remedy == ""
    assert all("no commit holds" in told for told in found.differences)  # a checkout with changes says so
    assert json.loads(tags[LIBRARIES]) == libraries()
    assert (world.ledger(), world.files()) == (before, files)
    assert len(world.platform.registry.versions("flight_delay")) == 1


def test_without_its_training_set_it_cannot_be(world: World) -> None:
    sha256 = the_set(world)
    (world.home.lake / "training_sets" / f"{sha256}.parquet").unlink()
    found = again(world)
    assert (found.agrees, found.refitted, found.rows) == (None, None, None)
    assert found.differences == (f"The stored training set {sha256[:12]} is gone.",)
    assert f"Restore lake/training_sets/{sha256}.parquet from a backup" in found.remedy


def test_a_training_set_that_was_changed_is_noticed(world: World) -> None:
    path = world.home.lake / "training_sets" / f"{the_set(world)}.parquet"
    frame = pd.read_parquet(path)
    path.unlink()  # the copy of a home shares its files
    world.platform.lake.write(frame.iloc[1:], path)
    found = again(world)
    assert found.agrees is None
    assert "was changed after it was written" in found.differences[0]
    assert "from a backup" in found.remedy


def test_other_bytes_come_with_what_is_different_now(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlops_assets.core.models import training

    fit = training.fit
    monkeypatch.setattr(training, "fit", lambda recipe, frame, y, **base: fit(recipe, frame.iloc[:-1], y[:-1], **base))
    monkeypatch.setattr(reproduction, "code_version", lambda: "9f9f9f9f9f9f")
    old = {**libraries(), "xgboost": "2.1.0"}
    world.platform.registry.tag("flight_delay", 1, {LIBRARIES: json.dumps(old), "code_version": "1a1a1a1a1a1a"})
    found = again(world)
    assert found.agrees is False
    assert found.refitted not in (None, found.registered)
    assert found.differences == (
        "The code was 1a1a1a1a1a1a, and is 9f9f9f9f9f9f.",
        f"xgboost was 2.1.0, and is {libraries()['xgboost']}.",
    )
    assert "git worktree add ../then 1a1a1a1a1a1a" in found.remedy


def test_other_bytes_without_a_cause_say_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlops_assets.core.models import training

    fit = training.fit
    monkeypatch.setattr(training, "fit", lambda recipe, frame, y, **base: fit(recipe, frame.iloc[:-1], y[:-1], **base))
    monkeypatch.setattr(reproduction, "code_version", lambda: "1a1a1a1a1a1a")
    world.platform.registry.tag("flight_delay", 1, {"code_version": "1a1a1a1a1a1a"})
    found = again(world)
    assert (found.agrees, found.differences) == (False, ())
    assert "the processor's arithmetic differs, or the registered file was replaced" in found.remedy


def test_a_damaged_file_or_no_version_is_an_error(world: World) -> None:
    with pytest.raises(NoSuchVersion, match="no version or alias 7"):
        reproduce(world.platform, world.model, 7)
    (file,) = (world.home.mlflow / "artifacts").rglob("model.ubj")
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:-1] + b"?")
    from mlops_assets.world.mlflow import registry

    registry._cache.clear()
    with pytest.raises(ModelDamaged, match="was changed or is damaged"):
        again(world)


def test_which_set_a_version_was_fitted_on() -> None:
    tags = {"sha256": "s", "judged_sha256": "j", "training_set": "a", "refit_set": "b"}
    assert fitted_on(tags) == ("refit", "b")
    # Rejected after its refit disagreed with it: the judged model is what is registered.
    assert fitted_on({**tags, "judged_sha256": "s"}) == ("judged", "a")
    with pytest.raises(ValueError, match="name no training set"):
        fitted_on({"sha256": "s"})


def test_an_old_version_says_that_its_libraries_are_unknown(world: World) -> None:
    world.platform.registry.client.delete_model_version_tag("flight_delay", "1", LIBRARIES)
    found = again(world)
    assert found.agrees is True
    assert "The libraries that it was trained with are not on record." in found.differences


def test_the_model_itself_holds_recipe_and_seed(world: World) -> None:
    kept = world.platform.registry.load("flight_delay", 1)
    assert Model.from_bytes(kept.to_bytes()).recipe == kept.recipe
    assert kept.recipe.seed == world.model.training.seed


def test_the_distribution_of_a_library_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models with categories that `xgboost` and `xgboost-cpu` fit on the same rows differ in a few splits."""
    monkeypatch.setattr(reproduction, "installed", lambda name: (f"{name}-cpu" if name == "xgboost" else name, "3.2.0"))
    found = libraries()
    assert found["xgboost"] == "3.2.0 (xgboost-cpu)"
    assert found["numpy"] == "3.2.0"


def test_what_was_fitted_on_a_gpu_is_made_again_with_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(*_: object, **__: object) -> None:
        raise NoGpu("training.device is cuda, and XGBoost finds no GPU on this machine.")

    monkeypatch.setattr(training, "fit", without)
    found = again(world)
    assert (found.agrees, found.remedy) == (None, "Run it on the machine that trained.")
    (difference,) = found.differences
    assert difference.startswith("It was fitted on a GPU: training.device is cuda, and XGBoost finds no GPU")
    assert libraries(device="cuda") == {**libraries(), "device": "cuda"}

"""Models that are loaded when they are first asked for: what is kept, what follows the registry, what fails alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from mlops_assets.core.performance.against_baseline import Fallback
from mlops_assets.serving.engine.arms import Arm, CannotServe, load_arm
from mlops_assets.serving.models import kept_champions
from mlops_assets.world.mlflow.registry import ModelVersion
from tests.serving.conftest import features
from tests.serving.models.conftest import NAMES, Many


def size_of_one(many: Many) -> int:
    watcher = many.watcher()
    # The numbers in their recipes have one digit or two.
    size = watcher.models.arms("m0").champion.size + 100
    many.loads.clear()
    return size


def test_none_is_loaded_at_the_start_and_each_once(many: Many) -> None:
    watcher = many.watcher()
    assert many.loads == []
    assert watcher.models.answering == {name: {"champion": 1} for name in NAMES}
    assert watcher.models.at_hand("m3") is None
    assert watcher.models.arms("m3") is watcher.models.arms("m3")
    assert many.loads == [("m3", 1)]
    assert list(watcher.snapshot) == ["m3"]


def test_all_who_ask_at_once_wait_for_one_load(many: Many) -> None:
    watcher, gate = many.watcher(load=lambda *all_of: (gate.wait(30), load_arm(*all_of))[1]), threading.Event()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(watcher.models.arms, "m1") for _ in range(8)]
        gate.set()
        assert len({id(each.result()) for each in asked}) == 1
    assert many.loads == [("m1", 1)]


def test_in_the_background_the_newest_promotions_come_first_until_the_memory_is_full(many: Many) -> None:
    size = size_of_one(many)
    watcher = many.watcher(memory=3 * size)
    while watcher._in_the_background():
        pass
    # Promoted in the order of their names; the fourth was loaded and did not fit.
    assert [name for name, _ in many.loads] == ["m5", "m4", "m3", "m2"]
    assert watcher.models.memory.names == ["m3", "m4", "m5"]
    assert watcher.models.memory.used <= 3 * size
    many.loads.clear()
    # What is asked for comes in all the same, for what would be asked for last.
    watcher.models.arms("m0")
    assert watcher.models.memory.names == ["m4", "m5", "m0"]
    assert watcher.models.answering == {name: {"champion": 1} for name in NAMES}


def test_what_leaves_the_memory_beneath_a_request_goes_on_answering_it(many: Many) -> None:
    size = size_of_one(many)
    watcher = many.watcher(memory=2 * size)
    row, wrong = features(), []
    score = watcher.models.arms("m0").champion.scorer.predict([row])

    def ask(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for name in rng.choice(NAMES, 40):
            arms = watcher.models.arms(name)
            if arms.contract.settings.name != name or arms.champion.scorer.predict([row]) != score:
                wrong.append(name)

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(ask, seed) for seed in range(4)]:
            each.result()
    assert wrong == []
    assert len(watcher.models.memory.names) == 2
    assert watcher.models.memory.used <= 2 * size


def test_a_model_larger_than_the_memory_answers_alone(many: Many) -> None:
    watcher = many.watcher(memory=1)
    for name in ("m0", "m1"):
        watcher.models.arms(name)
        assert watcher.models.memory.names == [name]


def test_one_promotion_is_one_load_and_nothing_of_what_is_not_in_memory(many: Many) -> None:
    watcher = many.watcher()
    before = {name: watcher.models.arms(name) for name in ("m0", "m1", "m2")}
    many.loads.clear()
    for name in ("m1", "m4"):
        many.registry.promote(name, 2, decision_id="d2", reason="a test")
    watcher.look()
    assert many.loads == [("m1", 2)]
    assert {name: watcher.models.arms(name) is before[name] for name in before} == {"m0": True, "m1": False, "m2": True}
    assert watcher.models.answering["m4"] == {"champion": 2}
    assert watcher.models.arms("m4").champion.version == 2
    # Going back loads nothing: the version before is in memory, looked after or not.
    many.loads.clear()
    many.registry.promote("m1", 1, decision_id="d3", reason="back")
    watcher.look()
    assert (watcher.models.arms("m1").champion.version, many.loads) == (1, [])
    # What is written to the store and moves no alias loads nothing.
    many.registry.tag("m0", 1, {"note": "said"})
    watcher.look()
    assert many.loads == []


def test_a_promotion_while_the_version_before_is_loaded_is_followed(many: Many) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def slow(registry: Any, version: ModelVersion, *more: Any) -> Arm:
        if version.version == 1:
            begun.set()
            assert goes_on.wait(30)
        return load_arm(registry, version, *more)

    watcher = many.watcher(load=slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(watcher.models.arms, "m0")
        assert begun.wait(30)
        many.registry.promote("m0", 2, decision_id="d2", reason="a test")
        look = pool.submit(watcher.look)
        goes_on.set()
        look.result()
        assert first.result().champion.version in (1, 2)
    assert watcher.models.arms("m0").champion.version == 2


def test_a_damaged_version_fails_alone_and_is_tried_again_when_its_alias_moves(many: Many) -> None:
    content = many.file("m2", 1).read_bytes()
    many.file("m2", 1).unlink()
    many.file("m2", 1).write_bytes(content[:-1] + b"?")
    many.file("m3", 1).unlink()
    watcher = many.watcher()
    for name, why in (("m2", "was changed or is damaged"), ("m3", "is gone. Restore it")):
        for _ in range(2):
            with pytest.raises(CannotServe, match=f"no version of {name} can be served: .*{why}"):
                watcher.models.arms(name)
    assert many.loads == [("m2", 1), ("m3", 1)], "known to fail, they are not read for each request"
    assert watcher.models.answering.keys() == {*NAMES} - {"m2", "m3"}
    assert watcher.models.arms("m1").champion.version == 1
    many.registry.promote("m2", 2, decision_id="d2", reason="a test")
    watcher.look()
    assert watcher.models.arms("m2").champion.version == 2
    many.file("m3", 1).write_bytes(content)
    watcher.look(anyway=True)
    with pytest.raises(CannotServe, match="was changed or is damaged"):
        watcher.models.arms("m3")


def test_what_answers_for_a_damaged_champion_stays_in_memory(many: Many) -> None:
    size = size_of_one(many)
    watcher = many.watcher(memory=2 * size)
    watcher.models.arms("m0")
    file, content = many.file("m0", 2), many.file("m0", 2).read_bytes()
    many.registry.promote("m0", 2, decision_id="d2", reason="a test")
    file.unlink()
    watcher.look()
    for name in NAMES[1:]:
        watcher.models.arms(name)
    assert watcher.models.arms("m0").champion.version == 1
    file.write_bytes(content)
    watcher.look(anyway=True)
    assert watcher.models.arms("m0").champion.version == 2
    for name in NAMES[1:]:
        watcher.models.arms(name)
    assert watcher.models.at_hand("m0") is None


def test_a_candidate_that_fails_leaves_its_champion_loadable(many: Many) -> None:
    many.registry.tag("m0", 2, {"rollout_state": "shadow"})
    many.registry.alias("m0", "candidate", 2)
    many.file("m0", 2).unlink()
    watcher = many.watcher(memory=1)
    for _ in range(2):
        arms = watcher.models.arms("m0")
        assert (arms.champion.version, arms.candidate) == (1, None)
        watcher.models.arms("m1")


def test_an_arm_on_trial_counts_with_its_champion(many: Many) -> None:
    size = size_of_one(many)
    many.registry.tag("m0", 2, {"rollout_state": "canary", "rollout_share": "0.5"})
    many.registry.alias("m0", "candidate", 2)
    watcher = many.watcher(memory=2 * size)
    watcher.models.arms("m1")
    arms = watcher.models.arms("m0")
    assert {arm.name: arm.version for arm in arms.loaded.values()} == {"champion": 1, "canary": 2}
    assert watcher.models.memory.names == ["m0"]


def test_a_tag_that_cannot_be_read_is_told_of_its_model_alone(many: Many) -> None:
    watcher = many.watcher()
    many.registry.tag("m0", 1, {"fallback": "{"})
    many.registry.fall_back("m1", 1, Fallback("refuse", "worse", (0.5,)))
    watcher.look()
    assert "the tag fallback of models:/m0/1 cannot be read" in watcher._health.parts["m0@registry"].why
    assert watcher.models.arms("m0").fallback is None
    assert watcher.models.arms("m1").fallback is not None


def test_an_entry_that_is_gone_from_the_registry_takes_nobody_out_of_service(many: Many) -> None:
    watcher = many.watcher()
    watcher.models.arms("m0")
    many.registry.client.delete_registered_model_alias("m0", "champion")
    many.registry.client.delete_registered_model("m1")
    watcher.look()
    assert [watcher.models.arms(name).champion.version for name in ("m0", "m1", "m2")] == [1, 1, 1]
    # Started anew there is nothing that could answer.
    assert many.watcher().models.answering.keys() == {*NAMES} - {"m0", "m1"}


def test_a_file_that_several_models_have_is_in_memory_once(many: Many) -> None:
    registry = many.registry
    shared = registry.share("m1", registry.version("m0", 1), tags={"pooled": 1})
    registry.promote("m1", shared.version, decision_id="d2", reason="a test")
    watcher = many.watcher()
    first, second = (watcher.models.arms(name) for name in ("m0", "m1"))
    assert first.champion.scorer is second.champion.scorer
    assert watcher.models.memory.used == first.champion.size
    # The one that stays has its own bytes when the other goes.
    assert watcher.models.memory.names == ["m0", "m1"]


def test_a_start_without_the_registry_serves_what_was_in_memory(many: Many) -> None:
    watcher = many.watcher()
    for name in ("m0", "m1"):
        kept_champions.keep(many.home, watcher.models.arms(name))
    note = many.home.root / "serving" / "kept" / "m1.json"
    note.write_text("{")
    (many.home.mlflow / "mlflow.db").rename(many.home.root / "away.db")
    many.loads.clear()
    anew = many.watcher()
    anew.start()
    assert anew.models.answering == {"m0": {"champion": 1}}
    assert anew.models.arms("m0").champion.version == 1
    assert many.loads == []
    (many.home.root / "away.db").rename(many.home.mlflow / "mlflow.db")
    anew.look()
    assert anew.models.answering.keys() == {*NAMES}

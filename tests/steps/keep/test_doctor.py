"""What the doctor finds in a sound home, and in homes and models that are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.core.models.families import xgboost
from mlops_assets.core.record.entries import Pause
from mlops_assets.core.record.outgoing import Outgoing
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.landing.nycflights13 import land
from mlops_assets.steps.keep import doctor
from mlops_assets.steps.keep.doctor import Finding, examine
from mlops_assets.steps.promote.training import prepare
from mlops_assets.world.alerts.webhooks import Reached, Webhooks
from mlops_assets.world.home import Home, HomeSettings
from mlops_assets.world.landed.sources import Sources
from mlops_assets.world.platform import Platform
from mlops_assets.world.record.replayed import SETTINGS
from tests.hook_receiver import SECRET, receiving_hooks
from tests.real_slice import World


def of(findings: list[Finding], about: str) -> list[tuple[str, str]]:
    return [(finding.state, finding.what) for finding in findings if finding.about == about]


def test_a_sound_home_has_nothing_to_fix_but_what_is_switched_off(world: World) -> None:
    findings = examine(world.home)
    assert [finding for finding in findings if finding.state == "broken"] == []
    assert of(findings, "flight_delay") == [("good", "Version 1 in production, its file is as it was registered")]
    assert of(findings, "arrival_delay")[0][1].startswith("No champion yet")
    assert of(findings, "Feast")[0][0] == "good"
    assert of(findings, "sensors") == [("warning", "no daemon is at work, so nothing starts by itself")]
    assert all(finding.fix for finding in findings if finding.state != "good"), "each ends in a remedy"


def test_a_paused_model_is_called_paused_with_what_it_lacks_and_what_ends_it(world: World) -> None:
    record = world.platform.ledger.record
    for name in ("arrival_delay", "card_fraud", "flight_delay"):
        record.note(name, Pause, by="ada", reason="not now")
    found = {f.about: f for f in examine(world.home) if f.about in world.platform.models()}
    resume = "mlops resume {} --reason '...'"
    assert {finding.state for finding in found.values()} == {"warning"}
    assert found["arrival_delay"].what == "Paused: not now (ada). No champion yet."
    assert found["arrival_delay"].fix == resume.format("arrival_delay")
    lacks = "Paused: not now (ada). Its data come first. Source card_payments has no good partition."
    assert found["card_fraud"].what.startswith(lacks)
    assert resume.format("card_fraud") in found["card_fraud"].fix
    assert found["flight_delay"].what.startswith("Paused: not now (ada). Version 1 in production")


def test_a_damaged_champion_and_a_full_disk_are_broken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in (world.home.mlflow / "artifacts").rglob("*.ubj"):
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content[:-1] + b"?")
    monkeypatch.setattr(doctor, "LEAST_FREE", 2**80)
    findings = examine(world.home, ["flight_delay"])
    ((state, what),) = of(findings, "flight_delay")
    assert state == "broken"
    assert "changed or is damaged" in what
    assert of(findings, "arrival_delay") == []
    assert [(f.state, f.fix) for f in findings if f.about == "disk"] == [
        ("broken", "Make room: mlops clean --dry-run says what may go.")
    ]


def test_webhooks_that_are_set_wrong_or_refuse_are_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def webhooks() -> list[tuple[str, str]]:
        return of(examine(world.home, ["flight_delay"]), "webhooks")

    assert webhooks() == []
    with receiving_hooks() as receiver:
        monkeypatch.setenv("MLOPS_WEBHOOK_URLS", receiver.url)
        ((state, what),) = webhooks()
        assert (state, "MLOPS_WEBHOOK_SECRET signs no webhook" in what) == ("broken", True)
        monkeypatch.setenv("MLOPS_WEBHOOK_SECRET", SECRET)
        assert webhooks() == [("good", "1 receiver, none of them refuses")]
        receiver.status = 500
        event = Outgoing("1", "decision", "flight_delay", datetime(2013, 5, 1, tzinfo=UTC), {})
        hooks = Webhooks.from_environment(world.home.root)
        hooks.deliver(lambda *_: iter([]), Reached)
        hooks.deliver(lambda reached, _: iter([(event, reached)]), Reached)
        ((state, what),) = webhooks()
        assert (state, what.startswith(f"{receiver.host} has taken no event since")) == ("warning", True)


def test_broken_yaml_is_named_with_file_and_line_and_ends_nothing(world: World, tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "defs.yaml").write_text(
        "type: mlops_assets.components.LandingSource\nattributes:\n  name: orders\n  grain: fortnight\n"
    )
    broken = replace(Platform.of(world.home), sources=Sources(lake=world.platform.lake, folder=str(tmp_path)))
    findings = examine(world.home, platform=broken)
    (finding,) = [finding for finding in findings if finding.about == "orders"]
    assert finding.state == "broken"
    assert "defs.yaml:4: attributes.grain" in finding.what
    assert findings[-1].about == "sensors"


def test_a_home_whose_files_have_just_landed_says_what_to_type(home: Home) -> None:
    """Of the model that is asked about alone: what nobody has landed for is named as not in use, and no warning."""
    home.configure(HomeSettings(clock="wall"))
    land(home.prepare().landing, date(2013, 1, 3))
    findings = examine(home, ["flight_delay"])
    assert of(findings, "flight_delay") == [
        ("warning", "What has landed (2013-01-01 to 2013-01-03) is still to be taken in; a decision on it follows.")
    ]
    (fix,) = [finding.fix for finding in findings if finding.about == "flight_delay"]
    assert fix == "mlops up carries on; mlops replay flight_delay tries it on its history first."
    assert of(findings, "landing") == [("warning", "1 range of files to take in")]
    (home.landing / "planes" / "planes.csv").unlink()
    findings = examine(home, ["flight_delay"])
    waits = f"flights and weather wait for planes. Put planes*.csv into {home.landing / 'planes'}."
    assert of(findings, "flight_delay") == [("warning", f"Its data come first. {waits}")]
    assert of(findings, "landing") == [("warning", waits)]
    (home.landing / "weather" / "weather_2013-01-05.csv").symlink_to("/nowhere")
    link = "weather_2013-01-05.csv is a link, and links are not followed"
    assert ("warning", link) in of(examine(home), "weather")
    unused = "nothing has ever come for card_confirmations, card_payments: not in use"
    assert ("good", unused) in of(examine(home), "landing")


def _label(model: ModelSettings) -> ModelSettings:
    return model.model_copy(update={"label": model.label.model_copy(update={"column": "is_later"})})


def _blocks(model: ModelSettings) -> ModelSettings:
    performance = replace(model.monitoring.performance, blocks="customer")
    return model.model_copy(update={"monitoring": model.monitoring.model_copy(update={"performance": performance})})


def _on_gpu(model: ModelSettings) -> ModelSettings:
    return model.model_copy(update={"training": replace(model.training, device="cuda")})


def _watched(model: ModelSettings) -> ModelSettings:
    on = model.retrain.changed({"on": [{"drift": {"psi": 0.2, "features": ["feat_flight__distnce"]}}]})
    return model.model_copy(update={"retrain": on})


def _from_a_day_to_come(model: ModelSettings) -> ModelSettings:
    return model.model_copy(update={"training": replace(model.training, window="since: 2999-01-01")})


def test_nothing_is_trained_from_a_day_to_come(world: World) -> None:
    with pytest.raises(CannotJudge, match="since: 2999-01-01, and by the model's clock"):
        prepare(world.platform, _from_a_day_to_come(world.model))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_from_a_day_to_come, "training.window is since: 2999-01-01, and by the model's clock it is 20"),
        (_on_gpu, "training.device is cuda, and XGBoost finds no GPU on this machine. Set training.device: cpu"),
        (_label, "its label is is_later, and lbl_flight_delay has is_late"),
        (lambda m: m.model_copy(update={"grain": "month"}), "its grain is month, and its sources land by day, none"),
        (_blocks, "monitoring.performance.blocks names 'customer', which is neither a column of lbl_flight_delay nor"),
        (_watched, "retrain.on: drift: feat_flight__distnce is not a feature of feat_"),
        (lambda m: m.model_copy(update={"timezone": "UTC"}), "its days are those of UTC, those of flights"),
        (
            lambda m: m.model_copy(update={"features": ["feat_gone"]}),
            "no feature view or label model 'feat_gone'",
        ),
    ],
)
def test_what_does_not_fit_together_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch, change: Callable[[ModelSettings], Any], told: str
) -> None:
    monkeypatch.setattr(xgboost, "_lacks_gpu", lambda: "XGBoost finds no GPU on this machine")
    changed = change(Platform.of(world.home).models()["flight_delay"])
    monkeypatch.setattr(Platform, "models", lambda _: {"flight_delay": changed})
    monkeypatch.setattr(doctor, "_feast", lambda _: iter(()))
    found = of(examine(world.home), "flight_delay")
    assert any(told in what for _, what in found), found


def test_a_replays_home_is_advised_to_nothing(home: Home) -> None:
    """Nothing starts by itself in it, a replay within it has no sense, and what is not in it belongs elsewhere."""
    home.prepare()
    assert any("mlops replay" in finding.fix for finding in examine(home, ["flight_delay"]))
    (home.root / SETTINGS).write_text("{}")
    found = [finding for finding in examine(home) if finding.about in ("flight_delay", "landing", "sensors")]
    assert {finding.state for finding in found} == {"good"}
    assert not any("mlops" in finding.fix for finding in found)

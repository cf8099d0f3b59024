"""A version that cannot be put in service: what is said of who answers meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_assets.core.models.matrix import CannotTransform
from mlops_assets.core.models.model import Model
from mlops_assets.serving.engine.arms import Arm, CannotServe, load_arm, verified
from mlops_assets.serving.engine.health import Health
from mlops_assets.serving.models.alias_watch import Watcher
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import ModelVersion, Registry
from tests.sent_alerts import sent_alerts
from tests.serving.conftest import MODEL, contract, make_model, promote


@pytest.mark.parametrize(
    ("in_service", "did"),
    [
        (False, f"No version of {MODEL} is in service: requests for it are answered with 503."),
        (True, "The version that was in service goes on answering."),
    ],
)
def test_it_says_who_answers_meanwhile(home: Home, in_service: bool, did: str) -> None:
    def refusing(registry: Registry, version: ModelVersion, *more: Any) -> Arm:
        if in_service and version.version == 1:
            return load_arm(registry, version, *more)
        raise CannotServe(f"{version.uri} scores rows otherwise than frames.")

    registry, alerts = Registry(home=str(home.root)), Alerts(root=str(home.root))
    watcher = Watcher(home, registry, {MODEL: contract()}, Health(alerts), load=refusing)
    watcher.look()
    if in_service:
        assert watcher.models.arms(MODEL).champion.version == 1
        promote(home, 2)
        watcher.look(anyway=True)
        assert watcher.models.arms(MODEL).champion.version == 1
    else:
        with pytest.raises(CannotServe, match="scores rows otherwise"):
            watcher.models.arms(MODEL)
    (alert,) = [alert for alert in sent_alerts(alerts.file) if "scores rows otherwise" in alert.happened]
    assert alert.did == did


def test_a_transformer_that_does_not_take_every_row_is_said_to_be_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: Any) -> Any:
        raise CannotTransform("strictly positive data", 1)

    monkeypatch.setattr(Model, "predict", refusing)
    with pytest.raises(
        CannotServe, match=r"models:/m/1 cannot score every row .*positive data\). Correct the file that"
    ):
        verified(make_model(1), "models:/m/1")

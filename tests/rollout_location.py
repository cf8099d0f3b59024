"""A code location for a real daemon: the rollout of one model, and the moment at which all that runs here dies.

What lives here: the definitions, armed by `$DIES_AT`. What does not: starting a daemon on them, assertions
(`end_to_end/test_rollout_daemon.py`). The location of production loads for longer, and no model of it is small.
"""

import os

import dagster as dg

from mlops_assets.assets.rollout_assets import build_rollout_assets, build_rollout_job, build_rollout_sensor
from mlops_assets.core.settings_sections import RolloutSpec
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform
from tests.moments import Moment
from tests.real_slice import small

FIELDS = {
    "rollout": RolloutSpec(max_psi=None, watch=24.0),
    "label": {"max_delay": "1d"},
}
"""Of the model on trial; what is on trial is the champion once more."""

platform = Platform.of(Home.from_environment())
model = small(platform.models()["flight_delay"], **FIELDS)
defs = dg.Definitions(
    assets=build_rollout_assets(model),
    jobs=[build_rollout_job([model])],
    sensors=[build_rollout_sensor(lambda _: {model.name: model})],
    resources={"platform": platform, "alerts": Alerts()},
)
if moment := os.environ.get("DIES_AT"):
    Moment(moment, with_all=True).arm()

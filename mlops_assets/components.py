"""The building blocks written in YAML: `LandingSource`, `StreamSource`, `MonitoredModel` and `MonitoredFleet`."""

from mlops_assets.assets.landing_source import LandingSource
from mlops_assets.assets.monitored_model import MonitoredFleet, MonitoredModel
from mlops_assets.assets.stream_source import StreamSource

__all__ = ["LandingSource", "MonitoredFleet", "MonitoredModel", "StreamSource"]

"""The building blocks written in YAML: `LandingSource`, `StreamSource` and `MonitoredModel`."""

from mlops_assets.components.landing_source import LandingSource
from mlops_assets.components.monitored_model import MonitoredModel
from mlops_assets.components.stream_source import StreamSource

__all__ = ["LandingSource", "MonitoredModel", "StreamSource"]

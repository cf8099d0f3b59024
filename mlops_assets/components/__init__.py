"""The building blocks written in YAML: `LandingSource` and `MonitoredModel`."""

from mlops_assets.components.landing_source import LandingSource
from mlops_assets.components.monitored_model import MonitoredModel

__all__ = ["LandingSource", "MonitoredModel"]

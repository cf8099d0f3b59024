"""The building blocks written in YAML: `LandingSource` and `MonitoredModel`."""

from mlops_assets.components.landing_source import LandingSource

__all__ = ["LandingSource"]

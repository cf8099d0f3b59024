"""What each kind of YAML is validated by."""

from __future__ import annotations

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import FleetSettings
from mlops_assets.core.sources.settings import Settings, SourceSettings
from mlops_assets.core.sources.stream_settings import StreamSettings

COMPONENTS: dict[str, type[Settings]] = {
    "LandingSource": SourceSettings,
    "StreamSource": StreamSettings,
    "MonitoredModel": ModelSettings,
    "MonitoredFleet": FleetSettings,
}
"""By the name of the component."""

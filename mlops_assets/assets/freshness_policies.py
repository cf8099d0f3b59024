"""What Dagster is told of freshness: a policy for each source and feature view, and a check of each.

Here: the policies, which Dagster's daemon holds against materializations by the machine's clock, and what the checks
are called and claim. Not here: what the checks say, by the home's clock, and who acts on it (`platform.freshness`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import dagster as dg

from mlops_assets.core.features.catalogue import Catalogue
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.steps.land.lags import daily_sources
from mlops_assets.world.catalogue import load_catalogue
from mlops_assets.world.features import DBT_PROJECT
from mlops_assets.world.landed.sources import DEFS
from mlops_assets.world.settings_files import read_settings

SOURCE_CHECK, VIEW_CHECK = "newest_data_is_fresh", "keeps_up_with_sources"


def source_policy(source: SourceSettings) -> dg.FreshnessPolicy | None:
    """A source is materialized at least as often as its data may be old; none where it has no partitions, or an end."""
    if source.grain == "none" or source.end is not None:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=parse_duration(source.fresh_for))


def view_policies() -> dict[str, dg.FreshnessPolicy]:
    """A feature view is materialized with each source that it needs: as often as the one that may be oldest."""
    settings, catalogue = read_settings(DEFS, SourceSettings), load_catalogue(DBT_PROJECT)
    windows = {view.name: _window(catalogue, settings, view.name) for view in catalogue.views}
    return {view: dg.FreshnessPolicy.time_window(fail_window=window) for view, window in windows.items() if window}


def freshness_specs() -> list[dg.AssetCheckSpec]:
    """The checks of the sources and feature views that are declared."""
    settings, catalogue = read_settings(DEFS, SourceSettings), load_catalogue(DBT_PROJECT)
    sources = [
        dg.AssetCheckSpec(
            SOURCE_CHECK,
            asset=dg.AssetKey(["raw", name]),
            description=f"By the home's clock, the newest good partition ended at most {source.fresh_for} ago.",
        )
        for name, source in settings.items()
        if source.grain != "none"
    ]
    views = [
        dg.AssetCheckSpec(
            VIEW_CHECK,
            asset=dg.AssetKey(view.name),
            description="It has every day of the sources by the day that it cannot do without.",
        )
        for view in catalogue.views
        if daily_sources(catalogue, settings, view.name)
    ]
    return [*sources, *views]


def _window(catalogue: Catalogue, settings: Mapping[str, SourceSettings], view: str) -> timedelta | None:
    """The longest that any of its daily sources may be old; None where one is over, or there is none."""
    sources = daily_sources(catalogue, settings, view)
    if any(source.end is not None for source in sources):
        return None
    return max((parse_duration(source.fresh_for) for source in sources), default=None)

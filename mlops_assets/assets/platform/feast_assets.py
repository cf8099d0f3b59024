"""Feast's online store as an asset: the newest known value of each entity, ready to be served.

Here: materializing it incrementally, and the check that it agrees with the offline join. Not here: the store
itself (`feast_store`), what a view is (`feature_repo/`).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlops_assets.assets.metadata import measured
from mlops_assets.assets.retries import OUTSIDE_RETRY
from mlops_assets.world.catalogue import load_catalogue
from mlops_assets.world.platform import DBT_PROJECT, Platform

AGREES = "online_agrees_with_offline"
KEY = dg.AssetKey(["feast", "online_store"])
VIEWS = [view.name for view in load_catalogue(DBT_PROJECT).views if view.online]


@dg.multi_asset(
    name="feast_online_store",
    specs=[
        dg.AssetSpec(
            KEY,
            description="One row per entity and feature: the newest value known by the home's clock, in SQLite.",
            deps=VIEWS,
            group_name="feast",
            kinds={"feast", "sqlite"},
            skippable=True,
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(
            AGREES,
            asset=KEY,
            blocking=False,
            description="A sample of entities is served online what the point-in-time join gives for this moment.",
        )
    ],
    retry_policy=OUTSIDE_RETRY,
    pool="feast_online_store",
)
@measured
def online_store(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
    """Materialize what became known since the last time, then compare a sample with the offline join."""
    from mlops_assets.steps.features.online_store import compare_online, materialize_online

    done = materialize_online(platform)
    if done is None:
        nothing = "No data yet: nothing to serve."
        context.log.info(nothing)
        yield dg.AssetCheckResult(check_name=AGREES, asset_key=KEY, passed=True, description=nothing)
        return
    as_of = {view: moment.isoformat() for view, moment in done.moments.items()}
    yield dg.MaterializeResult(
        asset_key=KEY,
        metadata={"entities": dg.MetadataValue.json(done.entities), "as_of": dg.MetadataValue.json(as_of)},
    )
    compared = compare_online(platform, done.moments)
    yield dg.AssetCheckResult(
        check_name=AGREES,
        asset_key=KEY,
        passed=not compared.differences,
        severity=dg.AssetCheckSeverity.WARN,
        description=compared.sentence,
        metadata={"values_compared": compared.values, "differences": dg.MetadataValue.json(compared.differences)},
    )

"""The jobs that carry landed periods from raw to reports, one for each group of sources and grain.

Here: which assets they hold. Not here: which sources are a group (`core.source_groups`), when they run
(`platform`), a model's retraining job (`retrain_sensor`). A run has one grain: Dagster cannot mix partitions in a
job.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.freshness_policies import SOURCE_CHECK, VIEW_CHECK, freshness_specs
from mlops_assets.core.features.catalogue import Catalogue
from mlops_assets.core.features.look_ahead import CHECK as LOOK_AHEAD
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.source_groups import Group, landing_job, source_groups
from mlops_assets.core.sources.settings import Grain, SourceSettings
from mlops_assets.world.catalogue import load_catalogue
from mlops_assets.world.features import DBT_PROJECT
from mlops_assets.world.landed.sources import DEFS
from mlops_assets.world.settings_files import read_settings

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

AssetJob = Any
"""What `define_asset_job` returns; Dagster does not export its type."""
MONITORING_CHAIN = ("predictions", "drift_report", "performance_report", "probe")
_ROLLOUT = "rollout"
_NOT_AT_LANDING = (LOOK_AHEAD, SOURCE_CHECK, VIEW_CHECK)
"""The guard has a job of its own, for it computes every view several times; how old data is, a sensor reports."""


def watching(model: ModelSettings) -> list[dg.AssetKey]:
    """What a landing run does for a model: predict, report, and look at its candidate where a rollout is agreed."""
    steps = (*MONITORING_CHAIN, *([_ROLLOUT] if model.rollout is not None else []))
    return [dg.AssetKey([model.name, step]) for step in steps]


def is_loaded(context: dg.SensorEvaluationContext, key: dg.AssetKey) -> bool:
    """Whether Dagster has loaded an asset; what was declared since it loaded is left alone until it loads anew."""
    return context.repository_def is None or key in context.repository_def.asset_graph.get_all_asset_keys()


def landing_jobs() -> list[AssetJob]:
    """One job for each group of sources and grain in it."""
    sources = read_settings(DEFS, SourceSettings)
    models = read_settings(DEFS, ModelSettings)
    catalogue = load_catalogue(DBT_PROJECT)
    guarded = (dg.AssetCheckKey(dg.AssetKey(view.name), LOOK_AHEAD) for view in catalogue.views)
    elsewhere = dg.AssetSelection.checks(*guarded, *(spec.key for spec in freshness_specs()))
    jobs: dict[str, AssetJob] = {}
    for group in source_groups(catalogue, sources, models.values(), broken=sources.unread):
        for grain in sorted(
            {sources[name].grain for name in group & sources.keys()}, key=lambda grain: grain == "none"
        ):
            name = landing_job(sources, group, grain)
            if name not in jobs:
                jobs[name] = dg.define_asset_job(
                    name,
                    selection=_selection(group, grain, sources, models, catalogue) - elsewhere,
                    description=f"From the files of a closed {grain} to the reports of the models that read them: "
                    f"{', '.join(sorted(group))}.",
                    executor_def=dg.in_process_executor,
                )
    return list(jobs.values())


def _selection(
    group: Group,
    grain: Grain,
    sources: Mapping[str, SourceSettings],
    models: Mapping[str, ModelSettings],
    catalogue: Catalogue,
) -> dg.AssetSelection:
    """The group's sources of the grain, all unpartitioned ones, dbt, Feast, and the models that predict by it."""
    taken = [name for name, s in sources.items() if s.grain == "none" or (name in group and s.grain == grain)]
    raw = dg.AssetSelection.assets(*(dg.AssetKey(["raw", name]) for name in taken))
    shared = dg.AssetSelection.all() - dg.AssetSelection.groups("raw", *models)
    watched = [
        key
        for model in models.values()
        if model.grain == grain and group & catalogue.sources_of([*model.features, model.label.model])
        for key in watching(model)
    ]
    return raw | shared | dg.AssetSelection.assets(*watched) if watched else raw | shared


def landing_checks(graph: BaseAssetGraph, assets: Collection[dg.AssetKey]) -> list[dg.AssetCheckKey]:
    """The checks of a landing run of these assets, to be named in its request.

    A request that names assets alone gets all checks of them, whatever its job selects (Dagster 1.13.27).
    """
    return sorted(key for key in graph.get_check_keys_for_assets(set(assets)) if key.name not in _NOT_AT_LANDING)


def landing_keys(
    graph: BaseAssetGraph, *, sources: Collection[str], take_in: Collection[str], watched: Collection[dg.AssetKey]
) -> list[dg.AssetKey]:
    """The assets of one landing run: the sources that have something to take in, and what is built from the group.

    Args:
        graph: all assets.
        sources: the group; what is downstream of one of them is built.
        take_in: those with files to take in.
        watched: what models do in such a run, of whichever group (`watching`).
    """
    taken = {dg.AssetKey(["raw", name]) for name in take_in}
    built, above = set[dg.AssetKey](), [dg.AssetKey(["raw", name]) for name in sources]
    while above:
        for key in graph.get(above.pop()).child_keys - built:
            built.add(key)
            above.append(key)
    wanted = {key for key in built if len(key.path) == 1 or key.path[0] == "feast" or key in watched}
    return sorted(taken | wanted)

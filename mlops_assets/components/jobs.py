"""The jobs that carry landed periods from raw to reports, one a partition grain.

Here: which assets they hold. Not here: when they run (`defs.sensors`), a model's retraining job (`retrain_sensor`).
A run has one grain: Dagster cannot mix them in a job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.components.partitions import MODEL_GRAIN
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.source_settings import Grain, SourceSettings
from mlops_assets.resources.settings_files import read_settings
from mlops_assets.resources.sources import DEFS

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

AssetJob = Any
"""What `define_asset_job` returns; Dagster does not export its type."""
LANDING_JOB = "landing_{grain}"
MONITORING_CHAIN = ("predictions", "drift_report", "performance_report", "probe")
ROLLOUT = "rollout"


def watching(model: ModelSettings) -> list[dg.AssetKey]:
    """What a landing run does for a model: predict, report, and look at its candidate where a rollout is agreed."""
    steps = (*MONITORING_CHAIN, *([ROLLOUT] if model.rollout is not None else []))
    return [dg.AssetKey([model.name, step]) for step in steps]


def landing_jobs() -> list[AssetJob]:
    """One job for each grain that a source has, and one for unpartitioned sources alone."""
    sources = read_settings(DEFS, SourceSettings).values()
    models = read_settings(DEFS, ModelSettings)
    return [
        dg.define_asset_job(
            LANDING_JOB.format(grain=grain),
            selection=_selection(grain, [s.name for s in sources if s.grain in (grain, "none")], models),
            description=f"From the files of a closed {grain} to the reports of the models that read them."
            if grain != "none"
            else "From changed unpartitioned files to features, rebuilt over everything.",
            executor_def=dg.in_process_executor,
        )
        for grain in sorted({source.grain for source in sources})
    ]


def _selection(grain: Grain, sources: list[str], models: Mapping[str, ModelSettings]) -> dg.AssetSelection:
    raw = dg.AssetSelection.assets(*(dg.AssetKey(["raw", name]) for name in sources))
    shared = dg.AssetSelection.all() - dg.AssetSelection.groups("raw", *models)
    if grain != MODEL_GRAIN or not models:
        return raw | shared
    watched = (key for model in models.values() for key in watching(model))
    return raw | shared | dg.AssetSelection.assets(*watched)


def landing_keys(graph: BaseAssetGraph, grain: Grain, *, take_in: tuple[str, ...]) -> list[dg.AssetKey]:
    """The assets of one landing run: only the sources that have something to take in, and all downstream of any."""
    keys = []
    for key in graph.materializable_asset_keys:
        group = graph.get(key).group_name
        if group == "raw":
            wanted = key.path[-1] in take_in
        elif key.path[-1] in (*MONITORING_CHAIN, ROLLOUT):
            wanted = grain == MODEL_GRAIN
        else:
            wanted = len(key.path) == 1 or key.path[0] == "feast"
        if wanted:
            keys.append(key)
    return sorted(keys)

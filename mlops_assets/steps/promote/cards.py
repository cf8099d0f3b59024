"""The card of each registered version, kept where people and programs look for it.

Here: gathering what a card tells, writing it into the lake's reports and beside the MLflow run. Not here: the card
itself (`pages.model_card`).

A card is made from the same values each time, without times or ids of a single run, so a run that was killed and
started again leaves the same bytes; only a latency, where `gate.max_latency_ms` asks for one, is measured anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.performance.window_metrics import evaluate, evaluate_slices
from mlops_assets.core.promote.gate import Verdict
from mlops_assets.core.promote.outcome import gain_of
from mlops_assets.core.record.entries import Decision, only
from mlops_assets.core.record.gain import Gain
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.comparison import Paired, slice_rows
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window, local_days
from mlops_assets.pages.model_card import Card, FeatureLine, html, limits, markdown
from mlops_assets.steps.promote.gate import Comparison, Scored
from mlops_assets.steps.promote.reproduction import CODE_VERSION, LIBRARIES, fitted_on
from mlops_assets.world.atomic import write_text
from mlops_assets.world.blocks import judged_blocks
from mlops_assets.world.columns import slice_columns
from mlops_assets.world.lake import Lake
from mlops_assets.world.mlflow.registry import ModelVersion
from mlops_assets.world.mlflow.versions import CHALLENGED_BY
from mlops_assets.world.model_data import EVENT_TIME, LABEL, ModelData, TrainingSet
from mlops_assets.world.platform import Platform

CARD = "model_card"
"""Tag of a version: its card as an artifact of its run; `.md` in place of `.html` is the same as Markdown."""
CARD_FILE = "model_card_file"
"""Tag of a version: its card's place in the lake."""


def card_file(lake: Lake, model: str, version: int) -> Path:
    """Where the card of a version is; the Markdown beside it ends in `.md`."""
    return lake.folder("reports", model, "cards", f"version={version}", "card.html")


def write_card(
    platform: Platform,
    model: ModelSettings,
    version: ModelVersion,
    *,
    scored: Scored,
    fitted: TrainingSet,
    compared: Comparison,
    verdict: Verdict,
) -> Path:
    """Make and keep the card of a version that has just been registered.

    Args:
        platform: the home.
        model: the monitored model.
        version: as registered, with its tags.
        scored: the labelled rows of the gate window, and the challenger's scores of them.
        fitted: what the registered model was fitted on.
        compared: the gate's comparisons.
        verdict: what followed.
    """
    card = gather_card(platform, model, version, scored=scored, fitted=fitted, compared=compared, verdict=verdict)
    page, text = html(card), markdown(card)
    file = card_file(platform.lake, model.name, version.version)
    write_text(file.with_suffix(".md"), text)
    write_text(file, page)
    client = platform.registry.client
    artifact = f"model_card/version_{version.version}"
    client.log_text(version.run_id, page, f"{artifact}.html")
    client.log_text(version.run_id, text, f"{artifact}.md")
    place = file.relative_to(platform.lake.folder()).as_posix()
    tags = {CARD: f"runs:/{version.run_id}/{artifact}.html", CARD_FILE: place}
    platform.registry.tag(model.name, version.version, tags)
    return file


def gather_card(
    platform: Platform,
    model: ModelSettings,
    version: ModelVersion,
    *,
    scored: Scored,
    fitted: TrainingSet,
    compared: Comparison,
    verdict: Verdict,
) -> Card:
    """What the card of a version tells; arguments as in `write_card`."""
    data = platform.data(model)
    prepared = platform.record(model.name, "training_set")
    as_of = datetime.fromisoformat(prepared["as_of"])
    start, _, end = version.tags["gate_window"].partition("/")
    gate = Window(datetime.fromisoformat(start), datetime.fromisoformat(end))
    rows, scores = scored.rows, scored.scores
    y = rows[LABEL].to_numpy()
    blocks, by = judged_blocks(model, rows)
    columns = {name: rows[name] for name in slice_columns(model, rows)}
    needed = model.gate.slice_min_rows
    small = {name: len(of_slice) for name, of_slice in slice_rows(columns) if len(of_slice) < needed}
    metrics = list(dict.fromkeys([model.metric, *model.monitoring.metrics]))
    ships, _ = fitted_on(version.tags)
    kept = platform.registry.load(model.name, version.version)
    limitations = limits(
        small_slices=small,
        min_rows=needed,
        unlabelled=_unlabelled(data, gate, as_of=as_of, labelled=len(rows)),
        months=pd.DatetimeIndex(fitted.frame[EVENT_TIME]).tz_convert(model.timezone).month.tolist(),
        days=len(np.unique(local_days(rows[EVENT_TIME], model.timezone))),
        first=compared.champion is None,
        refit=ships == "refit",
    )
    slices = evaluate_slices(y, scores, [model.metric], blocks, slices=columns, min_rows=needed)
    return Card(
        model=model.name,
        version=version.version,
        description=model.description,
        task=model.task,
        metric=model.metric,
        made_at=f"{as_of:%Y-%m-%d %H:%M} UTC",
        promoted=verdict.promote,
        judged=verdict.judged,
        reason=verdict.reason,
        decision=version.tags[CHALLENGED_BY],
        why=_why(platform, model.name, version.tags[CHALLENGED_BY]),
        data=_data(model, version, prepared, fitted, gate, rows=len(rows)),
        features=_features(data, kept.importance()),
        metrics=list(evaluate(y, scores, metrics, blocks).values()),
        slices={name: of_slice[model.metric] for name, of_slice in slices.items()},
        small_slices=small,
        gains=_gains(compared),
        rules=verdict.rules,
        reference=_reference(platform, model, version.version, fitted) if verdict.promote else {},
        limits=[*limitations, *([model.label.noted("").strip()] if model.label.noted("").strip() else [])],
        lineage=_lineage(data, version),
        reproduce=f"mlops reproduce {model.name} {version.version}",
        blocks=by,
    )


def _why(platform: Platform, model: str, decision: str) -> Sequence[str]:
    """The reasons of the decision that it was trained for; none where a person materialized the assets."""
    entries = platform.ledger.entries(model)
    return next((entry.reasons for entry in only(entries, Decision) if entry.id == decision), ())


def _data(
    model: ModelSettings,
    version: ModelVersion,
    prepared: dict[str, Any],
    fitted: TrainingSet,
    gate: Window,
    *,
    rows: int,
) -> dict[str, str]:
    times = fitted.frame[EVENT_TIME]
    return {
        "fitted on": f"{len(fitted.frame):,} rows, {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}",
        "their labels known before": f"{fitted.known_by:%Y-%m-%d %H:%M} UTC",
        "their mean label": f"{fitted.frame[LABEL].mean():.4f}",
        "their hash": fitted.sha256,
        "judged model fitted on": f"{prepared['rows']:,} rows, hash {version.tags['training_set'][:16]}",
        "gate window": f"{gate.label(model.timezone)}, {rows:,} labelled rows",
        "model file (SHA-256)": version.sha256,
    }


def _features(data: ModelData, importance: dict[str, float]) -> list[FeatureLine]:
    described = {
        f"{view}__{feature.name}": feature.description
        for view in data.model.features
        for feature in data.catalogue.view(view).features
    }
    return [FeatureLine(name, share, described.get(name, "")) for name, share in importance.items()]


def _unlabelled(data: ModelData, gate: Window, *, as_of: datetime, labelled: int) -> float | None:
    events = data.events(data.day(gate.start), data.day(gate.end), as_of=as_of)
    total = int(gate.contains(events[EVENT_TIME]).sum())
    return 1.0 - labelled / total if total else None


def _gains(compared: Comparison) -> dict[str, Gain | str]:
    comparisons: dict[str, Paired | CannotJudge | None] = {
        "the champion": compared.champion,
        "the baseline": compared.baseline,
    }
    return {
        name: gain_of(result) if isinstance(result, Paired) else str(result)
        for name, result in comparisons.items()
        if result is not None
    }


def _reference(platform: Platform, model: ModelSettings, version: int, fitted: TrainingSet) -> dict[str, str]:
    folder = platform.lake.folder("references", model.name, f"version={version}")
    return {
        "made from": f"the {len(fitted.frame):,} rows it was fitted on, and its judged twin's scores in the gate",
        "kept in": folder.relative_to(platform.lake.folder()).as_posix(),
    }


def _lineage(data: ModelData, version: ModelVersion) -> dict[str, list[str]]:
    views = list(data.model.features)
    libraries = json.loads(version.tags[LIBRARIES])
    return {
        "feature models (dbt)": views,
        "label model (dbt)": [data.model.label.model],
        "sources": sorted(data.catalogue.sources_of([*views, data.model.label.model])),
        "code": [version.tags[CODE_VERSION]],
        "libraries": [f"{name} {number}" for name, number in libraries.items()],
        "family": [
            f"{version.tags['family']}, {counted(int(version.tags['rounds']), 'round')}, seed {version.tags['seed']}"
        ],
    }

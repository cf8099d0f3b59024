"""Scoring the events of days, and reading the scores back.

Here: what the predictions asset does between reading and reporting. Not here: the asset (`components`), what is
made of the scores (`monitoring_steps`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.windows import local_days, midnight
from mlops_assets.resources.lake import Lake
from mlops_assets.resources.model_data import AVAILABLE_AT, EVENT_TIME, LABEL
from mlops_assets.resources.platform import Platform

SCORE = "score"
VERSION = "model_version"
BATCH = "batch"
"""The writer of these files; another writer of the same partition has a file of its own."""
ONLINE = "online"
"""The online service's files of the same partitions: what was answered, one row per prediction."""
ARM = "arm"
CHAMPION_ARM = "champion"


@dataclass(frozen=True)
class Scored:
    """What was written.

    Attributes:
        rows: predictions by day.
        versions: predictions by model version.
        mean: of the scores.
    """

    rows: dict[date, int]
    versions: dict[str, int]
    mean: float


def score_days(platform: Platform, model: ModelSettings, days: list[date]) -> Scored | None:
    """Score every event of the days and replace their partitions; None while there is no champion.

    A day that was scored before is scored by the version that did it (a correction of its data does not rewrite
    who was in production), as long as that version is kept; else by the champion.
    """
    champion = platform.registry.champion(model.name)
    if champion is None:
        return None
    data = platform.data(model)
    end = max(days)
    events = data.events(min(days), date.fromordinal(end.toordinal() + 1), as_of=midnight_after(model, end))
    if events.empty:
        return Scored({}, {}, float("nan"))
    rows = data.with_features(events.drop(columns=[LABEL, AVAILABLE_AT]))
    rows["_day"] = local_days(rows[EVENT_TIME], model.timezone)
    before = platform.lake.partitions("predictions", model.name, name=BATCH)
    by_version: dict[int, list[date]] = {}
    for day in days:
        version = _version_of(platform, model.name, before[day]) if day in before else None
        by_version.setdefault(version or champion.version, []).append(day)
    written: dict[date, int] = {}
    total = 0.0
    versions: dict[str, int] = {}
    for version, its_days in by_version.items():
        scored = _score(platform, model, version, rows[rows["_day"].isin(pd.to_datetime(its_days))])
        total += float(scored[SCORE].sum())
        versions[str(version)] = len(scored)
        for day in sorted(its_days):
            part = scored[scored["_day"] == pd.Timestamp(day)]
            if not part.empty:
                _write_day(platform.lake, model.name, day, part.drop(columns="_day"))
                written[day] = len(part)
    return Scored(dict(sorted(written.items())), versions, total / max(1, sum(written.values())))


def midnight_after(model: ModelSettings, day: date) -> pd.Timestamp:
    """The end of a local day."""
    return pd.Timestamp(midnight(date.fromordinal(day.toordinal() + 1), model.timezone))


def read_scores(
    platform: Platform, model: ModelSettings, start: date, end: date, *, arm: str = CHAMPION_ARM
) -> pd.DataFrame:
    """Predictions of the days [start, end) with the features they were made from; empty when there are none.

    One row per entity, event time and arm. What was answered online wins over the batch, for it is what somebody acted
    on, and of several answers the newest. Answers that name no entity belong to no event and are left out.
    The batch is the champion's.
    """
    batch = platform.lake.read("predictions", model.name, start=start, end=end, name=BATCH)
    online = platform.lake.read(
        "predictions",
        model.name,
        start=start,
        end=end,
        name=ONLINE,
        where="arm = $arm and is_identified",
        parameters={"arm": arm},
        order_by=["predicted_at", "prediction_id"],
    )
    if arm != CHAMPION_ARM:
        batch = batch.head(0)
    if online.empty:
        return batch
    online = online.drop(columns=["prediction_id", "predicted_at", "is_identified", ARM])
    identity = [*platform.data(model).keys, EVENT_TIME]
    online = online.drop_duplicates(identity, keep="last", ignore_index=True)
    if batch.empty:
        return online
    # Columns that only the batch has, such as slices of the label model, are the event's and not the writer's.
    of_event = [name for name in batch.columns if name not in online.columns]
    online = online.merge(batch[[*identity, *of_event]], on=identity, how="left", validate="one_to_one")
    both = pd.concat([batch, online[batch.columns]], ignore_index=True)
    return both.drop_duplicates(identity, keep="last", ignore_index=True)


def predicted_days(lake: Lake, model: str) -> list[date]:
    """The days that have predictions, of whichever writer."""
    return sorted({day for name in (BATCH, ONLINE) for day in lake.partitions("predictions", model, name=name)})


def _score(platform: Platform, model: ModelSettings, version: int, rows: pd.DataFrame) -> pd.DataFrame:
    scores = platform.registry.load(model.name, version).predict(rows)
    scored = rows.copy()
    if scores.ndim == 2:
        for index in range(scores.shape[1]):
            scored[f"{SCORE}_{index}"] = scores[:, index].astype("float64")
        scores = scores.max(axis=1)
    scored[SCORE] = scores.astype("float64")
    scored[VERSION] = version
    return scored


def _write_day(lake: Lake, model: str, day: date, rows: pd.DataFrame) -> None:
    lake.write(rows, lake.file("predictions", model, partition=day, name=BATCH))


def _version_of(platform: Platform, name: str, file: Path) -> int | None:
    """The version that wrote a day's predictions, if it is still there."""
    version = int(pd.read_parquet(file, columns=[VERSION])[VERSION].iloc[0])
    return version if any(kept.version == version for kept in platform.registry.versions(name)) else None

"""Scoring the events of days, and reading the scores back.

Here: what the predictions asset does between reading and reporting. Not here: the asset (`assets`), who scores a
day (`scoring_versions`), what is made of the scores (`watch.drift_report`, `watch.performance_report`,
`rollout.measurements`).

While a rollout is open each event is scored twice: by the version that answers it, in the file of the batch, and by
the other one in the file of the shadow, which nobody acts on. A day's files are replaced one by one, each whole.

While the champion is worse than guessing and may not answer (`fallback`), it is scored all the same, since its windows
say when that is over: beside the answers of guessing, or in a file that nobody acts on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from mlops_assets.core.models.matrix import CannotTransform
from mlops_assets.core.models.training import WrongColumns
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.windows import local_days, midnight
from mlops_assets.steps.predict.references import bounds_of
from mlops_assets.steps.predict.scoring_versions import (
    ARM,
    BASELINE,
    BATCH,
    CANARY_ARM,
    CHAMPION_ARM,
    ONLINE,
    SCORE,
    SERVED_BY,
    SHADOW,
    SHADOW_ARM,
    VERSION,
    WITHHELD,
    Cast,
    answered_scores,
    cast_of,
    cast_today,
    guessed,
    own_scores,
    same_classes,
    score_names,
)
from mlops_assets.world.lake import Lake
from mlops_assets.world.mlflow.registry import ModelDamaged, NoSuchVersion
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL
from mlops_assets.world.platform import Platform


class CannotScore(ValueError):
    """A version does not take rows of these days; the same rows fail in the same way."""


@dataclass(frozen=True)
class Scored:
    """What was written.

    Attributes:
        rows: predictions by day.
        versions: predictions by the model version that answered.
        mean: of the scores.
        shadows: scores beside them, by model version.
        unscored: why nothing was scored beside, where something should have been.
        guessed: predictions in which guessing answered in the champion's place.
        withheld: rows that nobody was answered, because the champion may not.
    """

    rows: dict[date, int]
    versions: dict[str, int]
    mean: float
    shadows: dict[str, int]
    unscored: str = ""
    guessed: int = 0
    withheld: int = 0


def score_days(platform: Platform, model: ModelSettings, days: list[date]) -> Scored | None:
    """Score every event of the days and replace their partitions; None while there is no champion.

    A day that was scored before is scored by the versions that did it (a correction of its data does not rewrite
    who was in production), as long as they are kept; else by those of today.
    """
    today = cast_today(platform, model)
    if today is None:
        return None
    data = platform.data(model)
    end = max(days)
    events = data.events(min(days), date.fromordinal(end.toordinal() + 1), as_of=midnight_after(model, end))
    if events.empty:
        return Scored({}, {}, float("nan"), {})
    rows = data.with_features(events.drop(columns=[LABEL, AVAILABLE_AT]))
    rows["_day"] = local_days(rows[EVENT_TIME], model.timezone)
    before = {
        day for name in (BATCH, WITHHELD) for day in platform.lake.partitions("predictions", model.name, name=name)
    }
    by_cast: dict[Cast, list[date]] = {}
    for day in days:
        known = cast_of(platform, model, day) if day in before else None
        by_cast.setdefault(known or today, []).append(day)
    written: dict[date, int] = {}
    answered, shadowed = list[pd.DataFrame](), list[pd.DataFrame]()
    unscored, by_guessing, withheld = "", 0, 0
    for cast, its_days in by_cast.items():
        part = rows[rows["_day"].isin(pd.to_datetime(its_days))].reset_index(drop=True)
        if part.empty:
            continue
        batch, shadow, why = _score_cast(platform, model, cast, part, data.keys)
        unscored = unscored or why
        batch, kept_back = _with_fallback(cast, batch)
        by_guessing += int(batch[SERVED_BY].notna().sum()) if SERVED_BY in batch else 0
        withheld += 0 if kept_back is None else len(kept_back)
        answered.append(batch)
        for day in sorted(its_days):
            _replace_day(platform.lake, model.name, day, _of_day(kept_back, day), WITHHELD)
            if kept_back is not None and not _of_day(batch, day):
                _replace_day(platform.lake, model.name, day, [], BATCH)
            if beside := _of_day(shadow, day):
                _write_day(platform.lake, model.name, day, beside[0], SHADOW)
                shadowed.append(beside[0])
            if of_day := _of_day(batch, day):
                _write_day(platform.lake, model.name, day, of_day[0], BATCH)
                written[day] = len(of_day[0])
    scores = pd.concat([frame[SCORE] for frame in answered]) if answered else pd.Series(dtype=float)
    return Scored(
        dict(sorted(written.items())),
        _by_version(answered),
        float(scores.mean()),
        _by_version(shadowed),
        unscored,
        by_guessing,
        withheld,
    )


def midnight_after(model: ModelSettings, day: date) -> pd.Timestamp:
    """The end of a local day."""
    return pd.Timestamp(midnight(date.fromordinal(day.toordinal() + 1), model.timezone))


def read_scores(
    platform: Platform,
    model: ModelSettings,
    start: date,
    end: date,
    *,
    arm: str | None = None,
    features: bool = True,
    answered: bool = False,
) -> pd.DataFrame:
    """Predictions of the days [start, end) with the features they were made from; empty when there are none.

    One row per entity and event time: what was answered online wins over the batch, for it is what somebody acted on,
    and of several answers the newest. Answers that name no entity belong to no event and are left out. Without an `arm`
    it is all that was answered, by whichever version; with one, what that arm said. Without `features` the views'
    columns, which are most of a prediction, are not read.

    Where a champion that is worse than guessing may not answer, it is what the champion itself said, for monitors are
    about the champion; with `answered`, what guessing answered in its place, and no row that nobody was answered.
    """
    scores_of = answered_scores if answered else own_scores

    def wanted(name: str) -> list[str] | None:
        if features:
            return None
        present = platform.lake.columns("predictions", model.name, start=start, end=end, name=name)
        of_views = tuple(f"{view}__" for view in model.features)
        return [column for column in present if not column.startswith(of_views)]

    parts = [
        platform.lake.read("predictions", model.name, start=start, end=end, name=name, columns=wanted(name))
        for name in ([BATCH] if answered else [BATCH, WITHHELD])
    ]
    present = [scores_of(part) for part in parts if not part.empty]
    batch = pd.concat(present, ignore_index=True) if present else parts[0]
    if arm is not None and not batch.empty:
        said_by = batch[ARM] if ARM in batch else pd.Series("champion", index=batch.index)
        batch = batch[said_by == arm].reset_index(drop=True)
    online = platform.lake.read(
        "predictions",
        model.name,
        start=start,
        end=end,
        name=ONLINE,
        columns=wanted(ONLINE),
        where="is_identified and " + ("arm = $arm" if arm else "arm <> 'shadow'"),
        parameters={"arm": arm} if arm else {},
        order_by=["predicted_at", "prediction_id"],
    )
    batch, online = same_classes(batch, online)
    if online.empty:
        return batch
    online = scores_of(online).drop(
        columns=["prediction_id", "predicted_at", "is_identified", *([] if ARM in batch else [ARM])]
    )
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
    return sorted(
        {day for name in (BATCH, WITHHELD, ONLINE) for day in lake.partitions("predictions", model, name=name)}
    )


def _score_cast(
    platform: Platform, model: ModelSettings, cast: Cast, rows: pd.DataFrame, keys: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame | None, str]:
    """What was answered; what was said beside it; why nothing was.

    A second version that cannot score never keeps the champion from answering.
    """
    if cast.other is None:
        return _score(platform, model, cast.champion, rows), None, ""
    try:
        theirs = _score(platform, model, cast.other, rows)
    except (ModelDamaged, NoSuchVersion, WrongColumns, CannotScore) as why:
        return _score(platform, model, cast.champion, rows), None, str(why)
    ours = _score(platform, model, cast.champion, rows)
    ours, theirs = same_classes(ours, theirs)
    canary = cast.answered_by_other(rows[list(keys)])
    batch, beside = ours.copy(), theirs.copy()
    batch.loc[canary], beside.loc[canary] = theirs.loc[canary], ours.loc[canary]
    batch[ARM] = np.where(canary, CANARY_ARM, CHAMPION_ARM)
    beside = beside[[*keys, EVENT_TIME, *score_names(beside), VERSION, "_day"]].assign(**{ARM: SHADOW_ARM})
    return batch, beside, ""


def _score(platform: Platform, model: ModelSettings, version: int, rows: pd.DataFrame) -> pd.DataFrame:
    try:
        scores = platform.registry.load(model.name, version).predict(rows)
    except CannotTransform as error:
        raise _naming_row(platform, model, version, rows, error) from error
    scored = rows.copy()
    if scores.ndim == 2:
        for index in range(scores.shape[1]):
            scored[f"{SCORE}_{index}"] = scores[:, index].astype("float64")
        scores = scores.max(axis=1)
    scored[SCORE] = scores.astype("float64")
    if (share := model.monitoring.interval) is not None:
        bounds = bounds_of(platform.lake, model.name, version, scored[SCORE].to_numpy(), share=share)
        scored[bounds.columns] = bounds.to_numpy()
    scored[VERSION] = version
    return scored


def _naming_row(
    platform: Platform, model: ModelSettings, version: int, rows: pd.DataFrame, error: CannotTransform
) -> CannotScore:
    """Which row a version's transformer does not take, and what to do about it."""
    which = f"some of the {len(rows):,} rows"
    if error.row is not None:
        row = rows.iloc[error.row]
        keys = ", ".join(f"{key} {row[key]}" for key in platform.data(model).keys)
        which = f"the row of {keys} at {row[EVENT_TIME].isoformat()}, the first of those"
    return CannotScore(
        f"version {version} of {model.name} does not score {which} that its transformer does not take ({error.why}). "
        f"No day of them was written. Correct {platform.pipeline_name(model)} so that it takes such values, run "
        f"`mlops retrain {model.name} --reason '...'`, and materialize {model.name}/predictions again; or go back with "
        f"`mlops rollback {model.name} --reason '...'`."
    )


def _with_fallback(cast: Cast, batch: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """What is answered, and what is kept back, where the champion may not answer; a candidate on trial may."""
    mine = (batch[VERSION] == cast.champion).to_numpy()
    if cast.fallback == BASELINE:
        return guessed(batch, mine, cast.guess), None
    if cast.fallback == "refuse":
        return batch[~mine].reset_index(drop=True), batch[mine].reset_index(drop=True)
    return batch, None


def _of_day(scored: pd.DataFrame | None, day: date) -> list[pd.DataFrame]:
    """The rows of a day, if there are any."""
    if scored is None:
        return []
    part = scored[scored["_day"] == pd.Timestamp(day)].drop(columns="_day")
    return [] if part.empty else [part]


def _replace_day(lake: Lake, model: str, day: date, rows: Sequence[pd.DataFrame], writer: str) -> None:
    """A day's file of a writer, or none where there is nothing to say."""
    if rows:
        _write_day(lake, model, day, rows[0], writer)
    else:
        lake.file("predictions", model, partition=day, name=writer).unlink(missing_ok=True)


def _write_day(lake: Lake, model: str, day: date, rows: pd.DataFrame, writer: str) -> None:
    lake.write(rows, lake.file("predictions", model, partition=day, name=writer))


def _by_version(scored: Sequence[pd.DataFrame]) -> dict[str, int]:
    if not scored:
        return {}
    counts = pd.concat([frame[VERSION] for frame in scored]).value_counts(sort=False)
    return {str(version): int(count) for version, count in counts.items()}

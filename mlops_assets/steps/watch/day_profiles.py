"""What each day's predictions hold, counted once: a window is the sum of its days.

Here: the profiles of a day's features, scores and slices, kept in one file a day, and the window that they add up to.
Not here: counting (`core.drift.group_profiles`), the sample of a window's rows (`windows.samples`), what it is compared
with (`windows.references`), what follows from it (`drift_report`).

A day's rows are read again only when its predictions were replaced, when the registry has come to know or forgotten a
version that scored it, or when it is held against another reference.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from mlops_assets.core.drift.group_profiles import from_arrays, profiles_by, to_arrays
from mlops_assets.core.drift.local import MAX_SLICES
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.comparison import slice_rows
from mlops_assets.core.time.spans import contiguous
from mlops_assets.core.time.windows import Window, local_days
from mlops_assets.steps.predict.predictions import VERSION, read_scores
from mlops_assets.steps.predict.slice_references import Slices
from mlops_assets.steps.watch.windows.references import Against, reference_of
from mlops_assets.steps.watch.windows.reports import day_states, left_out_in_words, no_rows, no_version
from mlops_assets.steps.watch.windows.samples import sample_of, sampled_days
from mlops_assets.world.atomic import write_bytes
from mlops_assets.world.columns import slice_columns
from mlops_assets.world.lake import Lake
from mlops_assets.world.model_data import EVENT_TIME
from mlops_assets.world.platform import Platform

GROUPS = 600
"""Days times slices that are counted in one pass: some 50 MB with 75 features."""


@dataclass(frozen=True, eq=False)
class WindowSeen:
    """A window's predictions by versions that the registry knows.

    Attributes:
        rows: how many.
        version: that scored most of them.
        left_out: what was left out.
        against: what the window is compared with.
        features: of all rows, on the reference's grid.
        scores: of all rows.
        slices: `column=value` -> profile of its rows; of slices that the reference lacks, their rows alone.
        sample: some of the rows, all of a small window.
        read: days whose rows were read for this.
    """

    rows: int
    version: int
    left_out: str
    against: Against
    features: Profile
    scores: Profile
    slices: Mapping[str, Profile]
    sample: pd.DataFrame
    read: tuple[date, ...]


@dataclass(frozen=True, eq=False)
class _Day:
    """What one day's predictions hold.

    Attributes:
        head: `state` of the files, `grids` that were counted on, rows by `versions`, those of them that are `unknown`,
            rows by slice (`slices`).
        features: profile of the rows by known versions.
        scores: of the same.
        slices: of the reference's slices, in their order.
    """

    head: Mapping[str, Any]
    features: Profile
    scores: Profile
    slices: Sequence[Profile]


def seen(platform: Platform, model: ModelSettings, window: Window) -> WindowSeen:
    """The window as the sum of its days; those that are not on file as they are now are read and kept.

    Raises:
        CannotJudge: it has no rows, or none by a version that the registry knows.
        FileNotFoundError: the version has no reference.
    """
    registered = {str(version.version) for version in platform.registry.versions(model.name)}
    states = day_states(platform.lake, model, window)
    heads = {
        day: head
        for day in sampled_days(platform, model, window) & states.keys()
        if (head := _head(platform.lake, model.name, day, states[day]))
        and head["unknown"] == _unknown(head["versions"], registered)
    }
    rows = _read(platform, model, [day for day in states if day not in heads])
    heads |= _new_heads(rows, registered, states)
    versions = sum((Counter(head["versions"]) for head in heads.values()), Counter[str]())
    left_out = sum(versions.pop(name) for name in _unknown(versions, registered))
    if not versions:
        raise no_version(model, left_out) if left_out else no_rows(model)
    version = min(map(int, versions), key=lambda number: (-versions[str(number)], number))
    against = reference_of(platform, model, window, version)
    grids = _grids(against)
    elsewhere = [day for day, head in heads.items() if head.get("grids", grids) != grids]
    if elsewhere:
        rows = pd.concat([rows, _read(platform, model, elsewhere)], ignore_index=True)
    rows = rows[_versions(rows).isin(registered)].reset_index(drop=True) if len(rows) else rows
    made = _counted(model, rows, {day: head for day, head in heads.items() if head.get("grids") != grids}, against)
    kept = [day for day in heads if day not in made]
    # Before the days: what is killed in between reads them again.
    sample = sample_of(platform, model, window, rows, read=list(made), kept=kept)
    for day, counts in made.items():
        _write(platform.lake, model.name, day, counts)
    days = [made.get(day) or _load(platform.lake, model.name, day, against) for day in sorted(heads)]
    return WindowSeen(
        rows=versions.total(),
        version=version,
        left_out=left_out_in_words(left_out),
        against=against,
        features=reduce(add, (day.features for day in days)),
        scores=reduce(add, (day.scores for day in days)),
        slices=_slices(days, against),
        sample=sample,
        read=tuple(sorted(made)),
    )


def _read(platform: Platform, model: ModelSettings, days: Iterable[date]) -> pd.DataFrame:
    """The rows of some days, with the day of each."""
    runs = contiguous(days, lambda day: day + timedelta(days=1))
    parts = [read_scores(platform, model, first, last + timedelta(days=1)) for first, last in runs]
    dated = [part.assign(_day=local_days(part[EVENT_TIME], model.timezone)) for part in parts if len(part)]
    return pd.concat(dated, ignore_index=True) if dated else pd.DataFrame()


def _new_heads(rows: pd.DataFrame, registered: set[str], states: Mapping[date, str]) -> dict[date, dict[str, Any]]:
    """What is known of days that were just read, before they are counted."""
    heads = {}
    for key, part in rows.groupby(rows["_day"].dt.date) if len(rows) else ():
        versions = {str(version): int(n) for version, n in _versions(part).value_counts().items()}
        day = cast(date, key)
        heads[day] = {"state": states[day], "versions": versions, "unknown": _unknown(versions, registered)}
    return heads


def _versions(rows: pd.DataFrame) -> pd.Series:
    """The version of each row as text, empty where it names none."""
    return rows[VERSION].map(lambda version: str(int(version)), na_action="ignore").fillna("")


def _unknown(versions: Mapping[str, int], registered: set[str]) -> list[str]:
    return sorted(set(versions) - registered)


def _grids(against: Against) -> str:
    """What identifies the grids of a reference, and the slices that are counted."""
    parts = [against.reference.features.grid.fingerprint, against.reference.scores.grid.fingerprint]
    if isinstance(against.slices, Slices):
        parts += [against.slices.grid.fingerprint, *sorted(against.slices.references)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _counted(
    model: ModelSettings, rows: pd.DataFrame, heads: Mapping[date, Mapping[str, Any]], against: Against
) -> dict[date, _Day]:
    """The days of these rows, counted in one pass over each feature."""
    if not heads:
        return {}
    days = sorted(heads)
    places = pd.Index(np.array(days, dtype="datetime64[D]")).get_indexer(pd.Index(rows["_day"].to_numpy()))
    features = profiles_by(against.reference.features.grid, rows, places, len(days))
    score_grid = against.reference.scores.grid
    scores = profiles_by(score_grid, rows.reindex(columns=list(score_grid.features), fill_value=0.0), places, len(days))
    slices, sizes = _by_slice(model, rows, places, len(days), against)
    grids = _grids(against)
    return {
        day: _Day({**heads[day], "grids": grids, "slices": sizes[n]}, features[n], scores[n], slices[n])
        for n, day in enumerate(days)
    }


def _by_slice(
    model: ModelSettings, rows: pd.DataFrame, places: np.ndarray, n_days: int, against: Against
) -> tuple[list[list[Profile]], list[dict[str, int]]]:
    """By day: the profiles of the reference's slices, and the rows of every slice there is."""
    if not isinstance(against.slices, Slices):
        return [[] for _ in range(n_days)], [{} for _ in range(n_days)]
    wanted = {name: number for number, name in enumerate(sorted(against.slices.references))}
    profiles: list[list[Profile]] = [[Profile.empty(against.slices.grid)] * len(wanted) for _ in range(n_days)]
    sizes: list[dict[str, int]] = [{} for _ in range(n_days)]
    for column in slice_columns(model, rows):
        number = np.full(len(rows), -1)
        for name, where in slice_rows({column: rows[column].to_numpy()}):
            for day, count in enumerate(np.bincount(places[where], minlength=n_days).tolist()):
                sizes[day] |= {name: count} if count else {}
            number[where] = wanted.get(name, -1)
        here = np.unique(number[number >= 0])
        step = max(1, GROUPS // max(len(here), 1))
        for first in range(0, n_days, step) if len(here) else ():
            part = (places >= first) & (places < first + step) & (number >= 0)
            groups = (places[part] - first) * len(here) + np.searchsorted(here, number[part])
            n_here = min(step, n_days - first)
            grouped = profiles_by(against.slices.grid, rows[part], groups, n_here * len(here))
            for group, profile in enumerate(grouped):
                profiles[first + group // len(here)][int(here[group % len(here)])] = profile
    return profiles, sizes


def _slices(days: Sequence[_Day], against: Against) -> dict[str, Profile]:
    """The window's slices, the largest ones where there are over a hundred."""
    if not isinstance(against.slices, Slices):
        return {}
    grid, names = against.slices.grid, sorted(against.slices.references)
    sizes = sum((Counter(day.head["slices"]) for day in days), Counter[str]())
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:MAX_SLICES]
    empty = Profile.empty(grid)
    profiles = {name: Profile(grid, sizes[name], empty.counts, empty.extra) for name in largest if name not in names}
    for number, name in enumerate(names):
        if name in largest:
            profiles[name] = reduce(add, (day.slices[number] for day in days))
    return dict(sorted(profiles.items()))


# --- on file -----------------------------------------------------------------------------------------------


def _file(lake: Lake, model: str, day: date) -> Path:
    return lake.folder("reports", model, "drift", "days", f"partition={day}") / "profiles.npz"


def _head(lake: Lake, model: str, day: date, state: str) -> dict[str, Any] | None:
    """What is on file of a day in this state of its data, without its counts."""
    path = _file(lake, model, day)
    if not path.exists():
        return None
    with np.load(path) as kept:
        head: dict[str, Any] = json.loads(str(kept["head"]))
    return head if head["state"] == state else None


def _load(lake: Lake, model: str, day: date, against: Against) -> _Day:
    """What is on file of a day that was counted on these grids."""
    with np.load(_file(lake, model, day)) as kept:
        arrays = {name: kept[name] for name in kept.files}

    def part(name: str, grid: Any) -> list[Profile]:
        return from_arrays(grid, {key: arrays[f"{name}_{key}"] for key in ("rows", "counts", "extra")})

    slices = part("slices", against.slices.grid) if isinstance(against.slices, Slices) else []
    (features,) = part("features", against.reference.features.grid)
    (scores,) = part("scores", against.reference.scores.grid)
    return _Day(json.loads(str(arrays["head"])), features, scores, slices)


def _write(lake: Lake, model: str, day: date, counts: _Day) -> None:
    """One file, whole or not at all; most counts of a day are small, and many are zero."""
    arrays: dict[str, Any] = {"head": np.array(json.dumps(counts.head))}
    for name, profiles in (("features", [counts.features]), ("scores", [counts.scores]), ("slices", counts.slices)):
        for key, values in to_arrays(profiles).items():
            small = np.min_scalar_type(int(values.max(initial=0))) if key == "counts" else values.dtype
            arrays[f"{name}_{key}"] = values.astype(small)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_bytes(_file(lake, model, day), buffer.getvalue())

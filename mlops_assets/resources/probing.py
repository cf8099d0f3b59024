"""Looking at the newest matured windows with other models than the champion.

Here: which windows, which rows, the candidates' fits, and the looks on file. Not here: what a look is and what looks
add up to (`core.probe`), what is decided on them (`core.policy`), the asset (`components`).

A look costs a few fits of the champion's own recipe on samples of bounded size, whatever the history holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from mlops_assets.core.classes import placed
from mlops_assets.core.events import is_evidence
from mlops_assets.core.families import family_called
from mlops_assets.core.judging import CannotJudge
from mlops_assets.core.metrics import profit
from mlops_assets.core.model import Model, Recipe, fit
from mlops_assets.core.probe import Candidate, Look, Probed, add_up, fold_windows, hardly_more, look
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.training import CannotTrain
from mlops_assets.core.training_window import TrainingWindow
from mlops_assets.core.windows import Window, closed_windows, window_at
from mlops_assets.resources.atomic import write_text
from mlops_assets.resources.blocks import lasting_blocks_of
from mlops_assets.resources.model_data import AVAILABLE_AT, EVENT_TIME, LABEL, ModelData
from mlops_assets.resources.platform import Platform, fitted_until
from mlops_assets.resources.registry import ModelVersion

TRAINING_WINDOW = "training_window"
"""Tag of a version: the window of its training rows."""
TWIN = "twin"
WHOLE = -1
"""In place of a fold's number: the whole window."""
REVERTIBLE = 2
"""Versions besides the champion that stay loadable, and are looked at."""


@dataclass(frozen=True)
class Looked:
    """What the probe asset shows.

    Attributes:
        looks: those made now.
        unjudged: why a matured window could not be looked at.
        probed: what all looks at the champion add up to; None where there is none yet.
    """

    looks: tuple[Look, ...]
    unjudged: tuple[str, ...]
    probed: Probed | None


def probe(platform: Platform, model: ModelSettings) -> Looked | None:
    """Look at every window that has matured since the champion was fitted and was not looked at yet.

    None where there is no champion, or no such window.
    """
    champion = platform.registry.champion(model.name)
    if champion is None:
        return None
    now = platform.now(model)
    known = read_looks(platform, model.name)
    seen = {one.end for one in known if one.champion == str(champion.version)}
    made: list[Look] = []
    unjudged: list[str] = []
    for window in closed_windows(model.start, now, model.monitoring.window, model.timezone):
        if window.end in seen or window.end <= _since(champion):
            continue
        if not is_evidence(model.events, window, model.timezone):
            continue
        rows = _judged(platform.data(model), model, window, now=now, since=_since(champion))
        if rows is None:
            continue
        try:
            found = _look(platform, model, window, rows, at=now, champion=champion, earlier=[*known, *made])
        except (CannotJudge, CannotTrain) as why:
            # One class only, say: the window says nothing, and the next ones add up without it.
            unjudged.append(f"{window.label(model.timezone)}: {why}")
            continue
        write_text(_file(platform, model.name, found), json.dumps(found.to_dict(), indent=1))
        made.append(found)
    if not made and not unjudged:
        return None
    return Looked(tuple(made), tuple(unjudged), probed(platform, model, champion))


def read_looks(platform: Platform, model: str) -> list[Look]:
    """All looks on file, oldest first."""
    paths = platform.lake.folder("reports", model, "probe").glob("window=*/champion-*.json")
    looks = [Look.from_dict(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    return sorted(looks, key=lambda one: (one.end, int(one.champion)))


def probed(platform: Platform, model: ModelSettings, champion: ModelVersion | None) -> Probed | None:
    """What the looks at the champion add up to; None where it has not been looked at."""
    if champion is None:
        return None
    try:
        return add_up(
            [one for one in read_looks(platform, model.name) if _counts(model, one)],
            model.probe,
            champion=str(champion.version),
            since=_in_production_since(platform, model, champion),
            length=_length(model),
            costs=model.monitoring.costs,
        )
    except CannotJudge:
        return None


def training_window(platform: Platform, model: ModelSettings) -> str:
    """`training.window`; where that is `auto`, the window that has led in the looks so far."""
    if model.training.window != "auto":
        return model.training.window
    found = probed(platform, model, platform.registry.champion(model.name))
    of = Candidate.parse(found.leader).of if found else "expanding"
    if of == "expanding":
        return of
    return f"rolling: {(int(of) * _length(model)).days}d"


def _in_production_since(platform: Platform, model: ModelSettings, champion: ModelVersion) -> datetime:
    """When the champion last became champion; where that is not on record, when it was fitted."""
    changes = [
        datetime.fromisoformat(entry["at"])
        for entry in platform.ledger.entries(model.name)
        if entry["kind"] in ("promotion", "rollback") and entry["version"] == champion.version
    ]
    return max(changes, default=_since(champion))


def ending_at(model: ModelSettings, end: datetime) -> Window:
    """The monitoring window that ends then."""
    return window_at(end - timedelta(microseconds=1), model.monitoring.window, model.timezone)


def _counts(model: ModelSettings, one: Look) -> bool:
    """Whether a look is evidence: an event may have been declared after it."""
    return is_evidence(model.events, ending_at(model, one.end), model.timezone)


def _length(model: ModelSettings) -> timedelta:
    return model.retrain_policy.window


def _since(version: ModelVersion) -> datetime:
    since = fitted_until(version)
    if since is None:
        raise ValueError(f"{version.uri} is no version")
    return since


def _judged(
    data: ModelData, model: ModelSettings, window: Window, *, now: datetime, since: datetime
) -> pd.DataFrame | None:
    """The window's rows whose label the champion cannot have seen, once it is mature and they are most of it."""
    rows = data.events(data.day(window.start), data.day(window.end), as_of=now)
    if not data.maturity(window, rows, now=now).mature:
        return None
    rows = rows[rows[LABEL].notna()]
    unseen = rows[AVAILABLE_AT] >= pd.Timestamp(since)
    return rows[unseen].reset_index(drop=True) if len(rows) and unseen.mean() >= model.label.mature_share else None


def _look(
    platform: Platform,
    model: ModelSettings,
    window: Window,
    rows: pd.DataFrame,
    *,
    at: datetime,
    champion: ModelVersion,
    earlier: Sequence[Look],
) -> Look:
    data = platform.data(model)
    judged = _sample(rows, model.probe.rows, model.training.seed)
    kept = platform.registry.load(model.name, champion.version)
    folds = fold_windows(window, model.probe.folds, model.timezone)
    recipe = replace(kept.recipe, rounds=min(kept.recipe.rounds, model.probe.rounds))
    judged, scores = _refits(data, model, recipe, judged, folds, champion, kept, at=at)
    twin = scores.pop(TWIN, None)
    for version in _revertible(platform, model, champion, before=judged[AVAILABLE_AT].min()):
        scores[f"revert:{version}"] = platform.registry.load(model.name, version).predict(judged)
    return look(
        window,
        folds,
        label=window.label(model.timezone),
        at=at,
        champion=str(champion.version),
        y=judged[LABEL].to_numpy(),
        times=pd.DatetimeIndex(judged[EVENT_TIME]),
        blocks=lasting_blocks_of(model, judged),
        by=model.monitoring.performance.blocks,
        kept=kept.predict(judged),
        scores=scores,
        metric_name=model.metric,
        earlier=[fold for one in earlier for fold in one.folds],
        policy=model.probe,
        twin=twin,
        profit=profit(model.task, model.monitoring.costs) if model.monitoring.costs else None,
        costs=model.monitoring.costs,
        labelled=len(rows),
    )


def _refits(
    data: ModelData,
    model: ModelSettings,
    recipe: Recipe,
    judged: pd.DataFrame,
    folds: Sequence[Window],
    champion: ModelVersion,
    kept: Model,
    *,
    at: datetime,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """The judged rows with features, and their scores by candidate, each by a fit on what happened before its fold.

    Where the champion was fitted on more rows than a sample holds, or in more rounds than candidates get, its twin is
    among them.
    """
    known = data.labelled(known_by=at)
    # Each row has one seeded rank for all folds and candidates, so that they share most of what is joined.
    rank = np.random.default_rng(model.training.seed).permutation(len(known))
    wanted = {f"refit:{of}": _fit_rows(known, model, of, folds, rank) for of in model.probe.refits}
    own = _own_rows(known, champion)
    if len(own) > model.probe.rows or recipe.rounds < kept.recipe.rounds:
        # One fit serves all folds: the champion has seen none of them.
        wanted[TWIN] = [_sampled(own, rank, model.probe.rows)]
    # Beside a twin that is made as cheaply nobody looks worse for it; beside the champion itself all would.
    followed = family_called(recipe.family).cheaper(recipe) if TWIN in wanted else recipe
    # One join for all: the same row has the same features whoever is fitted on it or judged by it.
    used = np.unique(np.concatenate([where for fits in wanted.values() for where in fits]))
    joined = data.with_features(pd.concat([judged, known.iloc[used]], ignore_index=True))
    judged, features = joined.iloc[: len(judged)], joined.iloc[len(judged) :]
    place = np.full(len(known), -1)
    place[used] = np.arange(len(used))

    inside = {number: np.flatnonzero(fold.contains(judged[EVENT_TIME])) for number, fold in enumerate(folds)}
    # While history is short, several windows hold the same rows: they are fitted once.
    tasks: dict[tuple[int, bytes], list[str]] = {}
    for name, fits in wanted.items():
        for number, where in enumerate(fits):
            if name == TWIN or inside[number].size:
                tasks.setdefault((WHOLE if name == TWIN else number, where.tobytes()), []).append(name)

    def scored(task: tuple[int, bytes]) -> tuple[np.ndarray, np.ndarray]:
        number, where = task
        rows = np.arange(len(judged)) if number == WHOLE else inside[number]
        fitted_on = np.frombuffer(where, dtype=np.int64)
        if recipe == kept.recipe and hardly_more(fitted_on, own):
            return rows, kept.predict(judged.iloc[rows])
        fit_rows = features.iloc[place[fitted_on]]
        made: Model = fit(followed, fit_rows, fit_rows[LABEL].to_numpy(), base=kept)
        return rows, made.predict(judged.iloc[rows])

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = list(pool.map(scored, tasks))
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for names, scored_rows in zip(tasks.values(), found, strict=True):
        for name in names:
            parts.setdefault(name, []).append(scored_rows)
    return judged, {name: placed(len(judged), of) for name, of in parts.items()}


def _own_rows(known: pd.DataFrame, champion: ModelVersion) -> np.ndarray:
    """Positions of the rows that the champion was fitted on."""
    since = _since(champion)
    use = known[AVAILABLE_AT] < pd.Timestamp(since)
    oldest = TrainingWindow.parse(champion.tags.get(TRAINING_WINDOW, "expanding")).oldest
    if oldest:
        use &= known[EVENT_TIME] >= pd.Timestamp(since - oldest)
    return np.flatnonzero(use)


def _fit_rows(
    known: pd.DataFrame, model: ModelSettings, of: str, folds: Sequence[Window], rank: np.ndarray
) -> list[np.ndarray]:
    """Positions of the rows that a candidate is fitted on, fold by fold: events before it, a sample of its window."""
    times = known[EVENT_TIME]
    parts = []
    for fold in folds:
        use = (times < pd.Timestamp(fold.start - model.probe.gap)).to_numpy()
        if of != "expanding" and use.any():
            use &= (times > times[use].iloc[-1] - int(of) * _length(model)).to_numpy()
        parts.append(_sampled(np.flatnonzero(use), rank, model.probe.rows))
    return parts


def _sampled(where: np.ndarray, rank: np.ndarray, most: int) -> np.ndarray:
    """At most so many of some positions, those of the lowest rank."""
    if len(where) <= most:
        return where
    return np.sort(where[np.argpartition(rank[where], most)[:most]])


def _revertible(platform: Platform, model: ModelSettings, champion: ModelVersion, *, before: pd.Timestamp) -> list[int]:
    """The newest versions that were champion once, are kept, and cannot have seen labels from `before` on."""
    promoted = [
        entry["version"]
        for entry in platform.ledger.entries(model.name)
        if entry["kind"] in ("promotion", "rollback") and entry["version"] != champion.version
    ]
    found = []
    for number in list(dict.fromkeys(reversed(promoted)))[:REVERTIBLE]:
        version = platform.registry.find(model.name, number)
        if version is not None and _since(version) <= before:
            found.append(number)
    return found


def _sample(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """A seeded sample of the rows, in their order."""
    if len(rows) <= most:
        return rows
    return rows.sample(most, random_state=seed).sort_index().reset_index(drop=True)


def _file(platform: Platform, model: str, found: Look) -> Path:
    window = f"window={found.end:%Y-%m-%dT%H%M}"
    return platform.lake.folder("reports", model, "probe", window) / f"champion-{found.champion}.json"

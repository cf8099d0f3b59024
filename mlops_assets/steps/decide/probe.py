"""Looking at the newest matured windows with other models than the champion.

Here: which windows and which rows are looked at. Not here: the fits (`refits`), the looks on file (`looks`), what a
look is and what looks add up to (`core.decide.probe`), what is decided on them (`core.decide.policy`), the asset
(`assets`).

A look costs a few fits of the champion's own recipe on samples of bounded size, whatever the history holds. It is made
when a monitoring window closes, on the newest stretch of that length whose labels are known: where labels come late
that is not the window that has closed, and waiting until just that one has matured would be waiting longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from mlops_assets.core.decide.folds import Fold, newest_days, newest_folds, shift_of
from mlops_assets.core.decide.judged_window import (
    JudgedRows,
    Money,
    Scores,
    Stretch,
    changed_on,
    changes,
    daily_losses,
    fitted_since,
    hedged,
    is_news,
    look,
)
from mlops_assets.core.decide.probe import RECORD, by_window
from mlops_assets.core.decide.probe_result import Look, Probed
from mlops_assets.core.models.model import Recipe
from mlops_assets.core.models.training import CannotTrain
from mlops_assets.core.record.entries import REIGN_BEGINS
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import profit
from mlops_assets.core.time.events import is_evidence
from mlops_assets.core.time.windows import (
    Window,
    closed_windows,
    local_days,
    midnight,
    parse_duration,
)
from mlops_assets.steps.decide.looks import fitted_at, probed, read_looks, write_look
from mlops_assets.steps.decide.refits import Refits
from mlops_assets.world.blocks import lasting_blocks_of
from mlops_assets.world.mlflow.registry import ModelVersion
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL, ModelData
from mlops_assets.world.platform import Platform

RECORD_ROWS = 10_000
"""Most rows of a fit for that record: it compares candidates with each other, and is made once."""
REVERTIBLE = 2
"""Versions besides the champion that stay loadable, and are looked at."""


@dataclass(frozen=True)
class NewLooks:
    """What the probe asset shows.

    Attributes:
        looks: those made now.
        unjudged: why a matured window could not be looked at.
        probed: what all looks at the champion add up to; None where there is none yet.
    """

    looks: tuple[Look, ...]
    unjudged: tuple[str, ...]
    probed: Probed | None


def probe(platform: Platform, model: ModelSettings) -> NewLooks | None:
    """Look at every stretch that has matured since the champion was fitted and was not looked at yet.

    None where there is no champion, or no such stretch.
    """
    champion = platform.registry.champion(model.name)
    if champion is None:
        return None
    now = platform.now(model)
    known = read_looks(platform, model.name)
    made: list[Look] = []
    unjudged: list[str] = []
    for window in _open_stretches(platform, model, known, champion, now=now):
        rows = _judged(platform.data(model), model, window, now=now, since=fitted_at(champion))
        if rows is None:
            continue
        if not known and not made and len(model.probe.refits) > 1:
            made += _record(platform, model, window, champion, now=now)
        try:
            new_look = _look(platform, model, window, rows, at=now, champion=champion, earlier=[*known, *made])
        except (CannotJudge, CannotTrain) as why:
            # One class only, say: the window says nothing, and the next ones add up without it.
            unjudged.append(f"{window.label(model.timezone)}: {why}")
            continue
        made.append(new_look)
    for new_look in made:
        write_look(platform, model.name, new_look)
    if not made and not unjudged:
        return None
    return NewLooks(tuple(made), tuple(unjudged), probed(platform, model, champion))


def _open_stretches(
    platform: Platform, model: ModelSettings, known: Sequence[Look], champion: ModelVersion, *, now: datetime
) -> list[Window]:
    """Stretches to look at, oldest first: the closed windows, moved back by as much as labels are late."""
    windows = closed_windows(model.start, now, model.monitoring.rhythm.length, model.timezone)
    if not windows:
        return []
    data, newest = platform.data(model), windows[-1]
    length = newest.end - newest.start
    # What ended so long ago is mature, whatever has no label yet.
    oldest = max(windows[0].start, newest.end - parse_duration(model.label.max_delay) - timedelta(days=1))
    rows = data.events(data.day(oldest - length), as_of=now, only_times=True)

    def is_mature(end: datetime) -> bool:
        return data.maturity(Window(end - length, end), rows, now=now).mature

    days = Window(oldest, newest.end).days(model.timezone)
    ends = [*(midnight(day, model.timezone) for day in days[1:]), newest.end]
    end = newest.end if is_mature(newest.end) else shift_of(ends, is_mature)
    if end is None:
        return []
    late = windows[-1].end - end
    seen = [known_look.end for known_look in known if known_look.champion == str(champion.version)]
    stretches = []
    for window in windows:
        stretch = window if not late else _moved(window, late, model.timezone)
        # Half a window is new enough: labels do not come equally late all the time.
        half = (stretch.end - stretch.start) / 2
        is_new = stretch.end > fitted_at(champion) and all(abs(stretch.end - other) >= half for other in seen)
        if is_new and is_evidence(model.events, stretch, model.timezone):
            stretches.append(stretch)
    return stretches


def _moved(window: Window, late: timedelta, timezone: str) -> Window:
    """The window so much earlier, from midnight to midnight."""
    days = Window(window.start - late, window.end - late).days(timezone)
    count = len(window.days(timezone))
    return Window(
        midnight(days[-1] - timedelta(days=count - 1), timezone), midnight(days[-1] + timedelta(days=1), timezone)
    )


def _judged(
    data: ModelData, model: ModelSettings, window: Window, *, now: datetime, since: datetime
) -> pd.DataFrame | None:
    """The stretch's rows whose label the champion cannot have seen, once it is mature and they are most of it.

    Those of its newest days are among them, where these begin before it.
    """
    first = min(window.start, newest_days(window, model.timezone).start)
    rows = data.events(data.day(first), data.day(window.end), as_of=now)
    if not data.maturity(window, rows, now=now).mature:
        return None
    rows = rows[rows[LABEL].notna()]
    unseen = rows[AVAILABLE_AT] >= pd.Timestamp(since)
    # Of a week, the newest days begin before it, where the champion may have seen labels.
    inside = unseen[window.contains(rows[EVENT_TIME])]
    return rows[unseen].reset_index(drop=True) if len(inside) and inside.mean() >= model.label.mature_share else None


def _look(
    platform: Platform,
    model: ModelSettings,
    window: Window,
    rows: pd.DataFrame,
    *,
    at: datetime,
    champion: ModelVersion | None,
    earlier: Sequence[Look],
    recipe: Recipe | None = None,
) -> Look:
    """Look at one stretch; without a champion, candidates are only held against each other, made by a recipe."""
    data, stretch = platform.data(model), Stretch.of(window, model.timezone)
    judged = _sample(rows, model.probe.rows, model.training.seed)
    kept = platform.registry.load(model.name, champion.version) if champion else None
    base = kept.recipe if kept else recipe
    if base is None:
        raise ValueError("a look without a champion needs a recipe")
    scorer = Refits(data, model, base, kept, champion, at=at)
    judged = data.with_features(judged)
    days = local_days(judged[EVENT_TIME], model.timezone)
    y, scores, back = judged[LABEL].to_numpy(), None, dict[str, np.ndarray]()
    daily: tuple[tuple[str, float, float], ...] = ()
    changed: date | None = None
    refits = model.probe.refits
    if kept is not None and champion is not None:
        scores = kept.predict(judged)
        daily = daily_losses(y, scores, days, model.metric)
        level = model.probe.change_level
        changed = changed_on(by_window(earlier), daily, level) if level else None
        refits = (*refits, *fitted_since(changes(earlier, changed), stretch.newest))
        if model.gate.ship == "refit" and is_news(changed, stretch.newest, model.timezone):
            stretch = replace(stretch, in_turns=True)
        for version in _revertible(platform, model, champion, before=judged[AVAILABLE_AT].min()):
            back[f"revert:{version}"] = platform.registry.load(model.name, version).predict(judged)
    refits = tuple(of for of in refits if scorer.trainable(of, before=stretch.newest.start))
    newest = newest_folds(stretch.newest, in_turns=stretch.in_turns, timezone=model.timezone)
    news = hedged(refits, changed, end=window.end, at=at) if changed and stretch.in_turns else refits
    (whole, fresh), twin = scorer.scores(judged, [[Fold(window, window.start)], newest], [refits, news])
    times, by = pd.DatetimeIndex(judged[EVENT_TIME]), model.monitoring.performance.blocks
    costs = model.monitoring.costs
    return look(
        stretch,
        JudgedRows(y, times, lasting_blocks_of(model, judged), by),
        Scores(scores, {**whole, **back}, {**fresh, **back}, twin, daily, changed),
        at=at,
        champion=str(champion.version) if champion else "",
        metric_name=model.metric,
        money=Money(
            profit(model.task, costs) if costs else None, costs or {}, int(window.contains(rows[EVENT_TIME]).sum())
        ),
    )


def _record(
    platform: Platform, model: ModelSettings, first: Window, champion: ModelVersion, *, now: datetime
) -> list[Look]:
    """Looks at windows before the first one: which calendar would have been right before there was a champion."""
    length, looks = first.end - first.start, list[Look]()
    model = model.model_copy(update={"probe": replace(model.probe, rows=min(model.probe.rows, RECORD_ROWS))})
    recipe = platform.registry.load(model.name, champion.version).recipe
    data = platform.data(model)
    for back in range(RECORD, 0, -1):
        window = _moved(first, back * length, model.timezone)
        rows = data.events(
            data.day(min(window.start, newest_days(window, model.timezone).start)), data.day(window.end), as_of=now
        )
        rows = data.usual(rows[rows[LABEL].notna()].reset_index(drop=True))
        if rows.empty:
            continue
        try:
            looks.append(_look(platform, model, window, rows, at=now, champion=None, earlier=(), recipe=recipe))
        except (CannotJudge, CannotTrain):
            # Before the model's data began, say: the record is shorter.
            continue
    return looks


def _revertible(platform: Platform, model: ModelSettings, champion: ModelVersion, *, before: pd.Timestamp) -> list[int]:
    """The newest versions that were champion once, are kept, and cannot have seen labels from `before` on."""
    promoted = [
        entry.version
        for entry in platform.ledger.entries(model.name)
        if isinstance(entry, REIGN_BEGINS) and entry.version != champion.version
    ]
    numbers = []
    for number in list(dict.fromkeys(reversed(promoted)))[:REVERTIBLE]:
        version = platform.registry.find(model.name, number)
        if version is not None and fitted_at(version) <= before:
            numbers.append(number)
    return numbers


def _sample(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """A seeded sample of the rows, in their order."""
    if len(rows) <= most:
        return rows
    return rows.sample(most, random_state=seed).sort_index().reset_index(drop=True)

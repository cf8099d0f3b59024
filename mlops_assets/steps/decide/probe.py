"""Looking at the newest matured windows with other models than the champion.

Here: which windows, which rows, the candidates' fits, and the looks on file. Not here: what a look is and what looks
add up to (`core.decide.probe`), what is decided on them (`core.decide.policy`), the asset (`assets`).

A look costs a few fits of the champion's own recipe on samples of bounded size, whatever the history holds. It is made
when a monitoring window closes, on the newest stretch of that length whose labels are known: where labels come late
that is not the window that has closed, and waiting until just that one has matured would be waiting longer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.decide.judged_window import (
    MIN_FIT,
    JudgedRows,
    Money,
    Scores,
    Stretch,
    changed_on,
    daily_losses,
    fitted_since,
    hardly_more,
    look,
    newest_days,
    shift_of,
)
from mlops_assets.core.decide.probe import RECORD, add_up, judged_windows
from mlops_assets.core.decide.probe_result import Candidate, Look, Probed
from mlops_assets.core.models.cores import cores
from mlops_assets.core.models.families import family_called
from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.core.models.refit_rows import Calendar
from mlops_assets.core.models.training import CannotTrain
from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import profit
from mlops_assets.core.time.events import is_evidence
from mlops_assets.core.time.windows import (
    Window,
    closed_windows,
    local_days,
    microseconds,
    midnight,
    parse_duration,
    window_at,
)
from mlops_assets.world.atomic import write_text
from mlops_assets.world.blocks import lasting_blocks_of
from mlops_assets.world.mlflow.registry import ModelVersion
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL, ModelData
from mlops_assets.world.platform import Platform, fitted_until

TRAINING_WINDOW = "training_window"
"""Tag of a version: the window of its training rows."""
LAST_EVENT = "last_event"
"""Tag of a version: when the newest row happened that it was fitted on. Labels of later ones may have been known."""
TWIN = "twin"
RECORD_ROWS = 10_000
"""Most rows of a fit for that record: it compares candidates with each other, and is made once."""
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
        rows = _judged(platform.data(model), model, window, now=now, since=_since(champion))
        if rows is None:
            continue
        if not known and not made and len(model.probe.refits) > 1:
            made += _record(platform, model, window, champion, now=now)
        try:
            found = _look(platform, model, window, rows, at=now, champion=champion, earlier=[*known, *made])
        except (CannotJudge, CannotTrain) as why:
            # One class only, say: the window says nothing, and the next ones add up without it.
            unjudged.append(f"{window.label(model.timezone)}: {why}")
            continue
        made.append(found)
    for one in made:
        write_text(_file(platform, model.name, one), json.dumps(one.to_dict(), indent=1))
    if not made and not unjudged:
        return None
    return Looked(tuple(made), tuple(unjudged), probed(platform, model, champion))


def _open_stretches(
    platform: Platform, model: ModelSettings, known: Sequence[Look], champion: ModelVersion, *, now: datetime
) -> list[Window]:
    """Stretches to look at, oldest first: the closed windows, moved back by as much as labels are late."""
    windows = closed_windows(model.start, now, model.monitoring.window, model.timezone)
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
    seen = [one.end for one in known if one.champion == str(champion.version)]
    found = []
    for window in windows:
        stretch = window if not late else _moved(window, late, model.timezone)
        # Half a window is new enough: labels do not come equally late all the time.
        half = (stretch.end - stretch.start) / 2
        is_new = stretch.end > _since(champion) and all(abs(stretch.end - other) >= half for other in seen)
        if is_new and is_evidence(model.events, stretch, model.timezone):
            found.append(stretch)
    return found


def _moved(window: Window, late: timedelta, timezone: str) -> Window:
    """The window so much earlier, from midnight to midnight."""
    days = Window(window.start - late, window.end - late).days(timezone)
    count = len(window.days(timezone))
    return Window(
        midnight(days[-1] - timedelta(days=count - 1), timezone), midnight(days[-1] + timedelta(days=1), timezone)
    )


def read_looks(platform: Platform, model: str) -> list[Look]:
    """All looks on file, oldest first."""
    paths = platform.lake.folder("reports", model, "probe").glob("window=*/champion-*.json")
    read = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    # Those of before windows were judged twice are of another kind; their windows are looked at anew.
    looks = [Look.from_dict(one) for one in read if "whole" in one]
    return sorted(looks, key=lambda one: (one.end, int(one.champion or 0)))


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


@dataclass(frozen=True)
class Plan:
    """How a training that begins now trains and is judged.

    Attributes:
        window: `training.window`, settled.
        judged: what the probe has looked at and the gate is to judge; None: the gate's own window.
        is_newest: whether those are the newest days of a window.
        lag_one: how alike neighbouring days are (`Probed.lag_one`).
    """

    window: str
    judged: Window | None = None
    is_newest: bool = False
    lag_one: float | None = None


def plan(platform: Platform, model: ModelSettings) -> Plan:
    """How to train and to judge now: by the calendar that leads (`training.window: auto`), on what was looked at.

    The gate judges on the newest days where the gain was found there, else on as many windows as the probe adds up.
    """
    champion = platform.registry.champion(model.name)
    found = probed(platform, model, champion)
    is_auto = model.training.window == "auto"
    if found is None or champion is None:
        return Plan("expanding" if is_auto else model.training.window)
    window = _settled(model, Calendar.parse(Candidate.parse(found.leader).of)) if is_auto else model.training.window
    # The looks that were added up. Almost none of their labels were known when the champion was fitted, however late.
    since, version = _in_production_since(platform, model, champion), str(champion.version)
    every = read_looks(platform, model.name)
    looks = [one for one in every if one.champion == version and one.at > since and _counts(model, one)]
    count, newest = judged_windows(found, model.retrain.min_gain), looks[-1]
    if count == 0 and newest.newest is not None:
        return Plan(window, Window(newest.newest.start, newest.end), True, found.lag_one)
    judged = Window(looks[-min(max(count, 1), len(looks))].whole.start, newest.end)
    is_long = judged.end - judged.start >= parse_duration(model.gate.window)
    return Plan(window, judged if is_long else None, False, found.lag_one)


def _settled(model: ModelSettings, calendar: Calendar) -> str:
    """A calendar as `training.window` says it."""
    if calendar.kind == "expanding":
        return "expanding"
    if calendar.day is not None:
        return f"since: {calendar.day}"
    return f"{'decay' if calendar.kind == 'decay' else 'rolling'}: {(calendar.number * _length(model)).days}d"


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
    scorer = _Refits(data, model, base, kept, champion, at=at)
    judged = data.with_features(judged)
    days = local_days(judged[EVENT_TIME], model.timezone)
    y, scores, back = judged[LABEL].to_numpy(), None, dict[str, np.ndarray]()
    daily: tuple[tuple[str, float, float], ...] = ()
    refits = model.probe.refits
    if kept is not None and champion is not None:
        scores = kept.predict(judged)
        own = [one for one in earlier if one.champion == str(champion.version)]
        daily = daily_losses(y, scores, days, model.metric)
        level = model.probe.change_level
        day = changed_on(own, daily, level) if level else None
        refits = (*refits, *fitted_since(day, stretch.newest))
        for version in _revertible(platform, model, champion, before=judged[AVAILABLE_AT].min()):
            back[f"revert:{version}"] = platform.registry.load(model.name, version).predict(judged)
    whole, fresh, twin = scorer.scores(judged, refits, window, stretch.newest)
    times, by = pd.DatetimeIndex(judged[EVENT_TIME]), model.monitoring.performance.blocks
    costs = model.monitoring.costs
    return look(
        stretch,
        JudgedRows(y, times, lasting_blocks_of(model, judged), by),
        Scores(scores, {**whole, **back}, {**fresh, **back}, twin, daily),
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
    length, found = first.end - first.start, list[Look]()
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
            found.append(_look(platform, model, window, rows, at=now, champion=None, earlier=(), recipe=recipe))
        except (CannotJudge, CannotTrain):
            # Before the model's data began, say: the record is shorter.
            continue
    return found


class _Refits:
    """Fits of a look: candidates by calendar and part, and the champion's twin.

    Args:
        data: the model's rows.
        model: its settings.
        recipe: how candidates are made.
        kept: the champion, where there is one.
        champion: its version.
        at: the clock.
    """

    def __init__(
        self,
        data: ModelData,
        model: ModelSettings,
        recipe: Recipe,
        kept: Model | None,
        champion: ModelVersion | None,
        *,
        at: datetime,
    ) -> None:
        self.data, self.model, self.kept = data, model, kept
        self.recipe = replace(recipe, rounds=min(recipe.rounds, model.probe.rounds))
        self.known = data.labelled(known_by=at)
        self.own = own = _own_rows(self.known, champion, model.timezone) if champion else None
        rng = np.random.default_rng(model.training.seed)
        # Each row has one seeded rank for all candidates, so that they share most of what is joined.
        self.rank = rng.permutation(len(self.known))
        self.draws = _draws(self.known)
        self.twin = own is not None and (len(own) > model.probe.rows or self.recipe.rounds < recipe.rounds)

    def scores(
        self, judged: pd.DataFrame, refits: Sequence[str], window: Window, newest: Window
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray | None]:
        """Scores of the judged rows: by candidates fitted before the window, before its newest days, and the twin's."""
        wanted: dict[tuple[str, str], np.ndarray] = {}
        parts = {"whole": window, "newest": newest}
        # Windows are counted back from when the refit would ship: now, with the newest days; before the window, else.
        ends = {"whole": window.start, "newest": window.end}
        for part, stretch in parts.items():
            for of in refits:
                where = self._rows(of, before=stretch.start - self.model.probe.gap, end=ends[part])
                if len(where) >= MIN_FIT:
                    wanted[part, f"refit:{of}"] = where
        # Where the champion was fitted on more rows than a sample holds, or in more rounds than candidates get, its
        # twin is made as cheaply and nobody looks worse for it; beside the champion itself all would.
        mine = self._sampled(self.own) if self.twin and self.own is not None else None
        fits = [*wanted.values(), *([mine] if mine is not None else [])]
        if not fits:
            return {}, {}, None
        used = np.unique(np.concatenate(fits))
        features = self.data.with_features(self.known.iloc[used].reset_index(drop=True))
        place = np.full(len(self.known), -1)
        place[used] = np.arange(len(used))
        inside = {part: np.flatnonzero(window.contains(judged[EVENT_TIME])) for part, window in parts.items()}

        def scored(task: tuple[str, bytes]) -> np.ndarray | None:
            part, where = task
            rows = judged.iloc[inside[part]] if part in inside else judged
            return self._made(features, place, np.frombuffer(where, dtype=np.int64), rows)

        # While history is short, several calendars hold the same rows: they are fitted once.
        tasks = {(part, where.tobytes()): None for (part, _), where in wanted.items()}
        if mine is not None:
            tasks[TWIN, mine.tobytes()] = None
        with ThreadPoolExecutor(cores()) as pool:
            found = dict(zip(tasks, pool.map(scored, tasks), strict=True))
        out: dict[str, dict[str, np.ndarray]] = {part: {} for part in parts}
        for (part, name), where in wanted.items():
            values = found[part, where.tobytes()]
            if values is not None:
                out[part][name] = np.full((len(judged), *values.shape[1:]), np.nan)
                out[part][name][inside[part]] = values
        return out["whole"], out["newest"], found[TWIN, mine.tobytes()] if mine is not None else None

    def _made(self, features: pd.DataFrame, place: np.ndarray, where: np.ndarray, rows: pd.DataFrame) -> Any:
        """Scores of some rows by the recipe fitted on others; None where those allow no model."""
        own = self.own
        if self.kept is not None and own is not None and self.recipe == self.kept.recipe and hardly_more(where, own):
            return self.kept.predict(rows)
        fit_rows = features.iloc[place[where]]
        followed = family_called(self.recipe.family).cheaper(self.recipe) if self.twin else self.recipe
        try:
            made: Model = fit(followed, fit_rows, fit_rows[LABEL].to_numpy(), base=self.kept)
        except CannotTrain:
            # One class only, say: this candidate has no say here.
            return None
        return made.predict(rows)

    def _rows(self, of: str, *, before: datetime, end: datetime) -> np.ndarray:
        """Positions of the rows that a calendar is fitted on before a moment, or a sample of them."""
        calendar, length = Calendar.parse(of), _length(self.model)
        start = calendar.start(before=before, end=end, length=length, timezone=self.model.timezone)
        times = pd.DatetimeIndex(self.known[EVENT_TIME]).as_unit("us").asi8
        chosen = calendar.chosen(
            times,
            self.draws,
            start=None if start is None else microseconds(start),
            before=microseconds(before),
            length=length // timedelta(microseconds=1),
        )
        return self._sampled(np.flatnonzero(chosen))

    def _sampled(self, where: np.ndarray) -> np.ndarray:
        """At most so many of some positions, those of the lowest rank."""
        most = self.model.probe.rows
        if len(where) <= most:
            return where
        return np.sort(where[np.argpartition(self.rank[where], most)[:most]])


def _draws(known: pd.DataFrame) -> np.ndarray:
    """A uniform number of each row, the same whenever it is drawn: by what the row is, not by where it stands."""
    hashed = pd.util.hash_pandas_object(known[[EVENT_TIME, LABEL]], index=False).to_numpy()
    # Rows of one moment with the same label differ by their place among those.
    place = known.groupby([EVENT_TIME, LABEL]).cumcount().to_numpy().astype(np.uint64)
    mixed = hashed ^ (place * np.uint64(0x9E3779B97F4A7C15))
    return (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def _own_rows(known: pd.DataFrame, champion: ModelVersion, timezone: str) -> np.ndarray:
    """Positions of the rows that the champion was fitted on, among those known now."""
    since = _since(champion)
    use = known[AVAILABLE_AT] < pd.Timestamp(since)
    oldest = TrainingWindow.parse(champion.tags.get(TRAINING_WINDOW, "expanding")).first(since, timezone)
    if oldest is not None:
        use &= known[EVENT_TIME] >= pd.Timestamp(oldest)
    if LAST_EVENT in champion.tags:
        use &= known[EVENT_TIME] <= pd.Timestamp(champion.tags[LAST_EVENT])
    return np.flatnonzero(use)


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
    return platform.lake.folder("reports", model, "probe", window) / f"champion-{found.champion or 0}.json"

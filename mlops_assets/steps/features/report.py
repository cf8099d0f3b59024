"""The report on a change of feature models: built aside, held against what stands in the lake.

Here: reading both sides, joining them to the same labelled rows, asking the guard and the online store. Not here: the
build (`dbt_ci`), the comparison (`pages.feature_report`), the page (`pages.feature_report_page`). The home is only
read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from mlops_assets.core.features.catalogue import Catalogue, FeatureView
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import local_days
from mlops_assets.feast_store.sql import AsofView, Bounds, History, places
from mlops_assets.feast_store.sql import values as values_sql
from mlops_assets.pages.feature_report import (
    PARAMETERS,
    ROUNDS,
    KnownLabels,
    ModelChange,
    ViewChange,
    feature_changes,
    model_change,
)
from mlops_assets.steps.features.dbt_ci import Change, changed
from mlops_assets.steps.features.look_ahead import guard
from mlops_assets.steps.features.online_store import compare_online, materialize_online
from mlops_assets.steps.features.report_basis import late_days, left_out, newest_day, rests_on, without_data
from mlops_assets.steps.features.two_builds import _files, both_builds, build_sample, row_counts
from mlops_assets.world.clock import NoDataYet
from mlops_assets.world.home import Home, HomeSettings, working_in
from mlops_assets.world.lake import Lake
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL
from mlops_assets.world.platform import Platform

_SEED = 13
_EVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class FeatureReport:
    """What a change does; see `pages.feature_report`.

    Attributes:
        views: feature views that were built anew.
        models: monitored models that read them.
        notes: what it rests on, in sentences.
        uncompared: feature views that differ and have no rows to be compared on; a note says why.
    """

    views: tuple[ViewChange, ...]
    models: tuple[ModelChange, ...]
    notes: tuple[str, ...]
    uncompared: tuple[str, ...] = ()


def report(
    platform: Platform,
    project: Path,
    ref: str,
    *,
    start: str | None = None,
    rows: int = 20_000,
    progress: Callable[[str], None] = lambda _: None,
) -> FeatureReport:
    """Build what differs from a git ref, and compare.

    Args:
        platform: of the home whose data are read.
        project: the folder of dbt_project.yml.
        ref: the git ref.
        start: the first day to build and compare.
        rows: labelled rows of each model that are joined, sampled over all days alike.
        progress: told what is done next.

    Raises:
        NothingToCompare: no such ref, or nothing was built in this home.
        DbtFailed: a changed model cannot be built.
    """
    progress("building what changed")
    # dbt cannot build them either: the staging models that they read are not there.
    good, unbuilt = platform.sources.good(), platform.sources.unbuilt()
    never = [view.name for view in platform.catalogue.views if not all(good.get(name) for name in view.sources)]
    with changed(platform.home, project, ref, start=start, tests=False, without=never) as change:
        code = {view.name: view.code for view in change.before.views}
        names = [
            view.name
            for view in change.after.views
            if view.name in change.built or (view.name in never and code.get(view.name) != view.code)
        ]
        built = [name for name in names if _partitions(change.home, name)]
        _fill(change, platform.home, but=names)
        late = {name: late_days(unbuilt, change.after.view(name)) for name in names}
        views = []
        for name in built:
            progress(f"comparing {name}")
            views.append(_view(change, platform, project, name, start, late[name]))
        models = []
        for model in platform.models().values():
            if of_model := [name for name in names if name in model.features]:
                progress(f"fitting {model.name}")
                try:
                    models.append(_model(change, platform, model, views, {name: late[name] for name in of_model}, rows))
                except (CannotJudge, NoDataYet) as why:
                    models.append(ModelChange(model.name, "nothing", (0, 0), None, None, str(why)))
        basis = rests_on(change, platform, ref, built, start)
        uncompared = tuple(name for name in names if name not in built)
        empty = without_data({name: newest_day(change, platform, name, late[name]) for name in uncompared}, start)
        beside = left_out({source for name in built for source in change.after.view(name).sources}, unbuilt)
        return FeatureReport(tuple(views), tuple(models), (*basis, *beside, *empty), uncompared)


def _partitions(home: Home, view: str) -> set[date]:
    """The days that a view was built for in a home."""
    return set(Lake(root=str(home.root)).partitions("features", view))


def _fill(change: Change, home: Home, *, but: Collection[str]) -> None:
    """Give the scratch home what has not changed, and a clock that stands at the end of the data.

    Never one of the changed views, `but`: with the home's own rows of it the home would be compared with itself.
    """
    changed_models = {*but, *change.built}
    change.home.configure(HomeSettings(clock="data", until=home.settings.until))
    for layer in ("features", "labels"):
        (change.home.lake / layer).mkdir(exist_ok=True)
        for folder in (home.lake / layer).iterdir():
            here = change.home.lake / layer / folder.name
            if folder.is_dir() and not folder.name.startswith(".") and folder.name not in changed_models:
                here.symlink_to(folder, target_is_directory=True)


# --- a view ------------------------------------------------------------------------------------------------


def _view(
    change: Change, platform: Platform, project: Path, name: str, start: str | None, late: Collection[date]
) -> ViewChange:
    after = change.after.view(name)
    before = next((view for view in change.before.views if view.name == name), None)
    with both_builds(change, platform.home, before, after, start, late) as connection:
        counted = row_counts(connection, before, after)
        frames = [
            build_sample(connection, table, view) for table, view in (("before", before or after), ("after", after))
        ]
    windows, features = feature_changes(
        frames[0],
        frames[1],
        views=(before, after),
        changed=counted.changed,
        windows=(_windows(frames[0], before or after), _windows(frames[1], after)),
    )
    sources = platform.sources.settings()
    (guarded,) = guard(platform.home, project, change.after, sources, views=[name], moments=3)
    return ViewChange(
        name, counted.rows, counted.gone, counted.added, windows, features, _online(change, after), guarded.sentence
    )


def _windows(frame: pd.DataFrame, view: FeatureView) -> list[str]:
    """The month of each row; the week where all lie in fewer than three months."""
    if frame.empty:
        return []
    day = pd.to_datetime(frame["partition"]) if "partition" in frame else frame[view.timestamp].dt.tz_localize(None)
    months = day.dt.strftime("%Y-%m")
    if months.nunique() >= 3:
        return list(months)
    return list((day - pd.to_timedelta(day.dt.weekday, unit="D")).dt.strftime("%Y-%m-%d"))


def _online(change: Change, view: FeatureView) -> str:
    """Bring the scratch home's features online and compare a sample with the offline join."""
    if not view.online:
        return ""
    with working_in(change.home):
        platform = Platform.of(change.home)
        done = materialize_online(platform)
        return (
            "" if done is None else f"Online: {compare_online(platform, {view.name: done.moments[view.name]}).sentence}"
        )


# --- a model -----------------------------------------------------------------------------------------------


def _common_days(change: Change, platform: Platform, names: Mapping[str, Collection[date]]) -> dict[str, set[date]]:
    """The days of each changed view that both sides have, from the first that all of them have on.

    `names` are the views, each with the days on which the two sides stand on different rows.

    With `start` the side that was built aside has only later days than the home. A model that was fitted or judged on
    rows whose features one side alone has would tell of the days that were built, not of the change.

    Raises:
        CannotJudge: there is no such day.
    """
    old = {view.name for view in change.before.views}
    days_by_view = {}
    for name, late in names.items():
        days = _partitions(change.home, name).difference(late)
        days_by_view[name] = days & _partitions(platform.home, name) if name in old else days
        if not days_by_view[name]:
            newest = newest_day(change, platform, name, late)
            raise CannotJudge(
                f"{name} has no day that was built in this home and with the change",
                f"Its newest day with data is {newest}: give a --start on or before it."
                if newest
                else "Build it in this home first (mlops up), or land its sources.",
            )
    first = max(min(days) for days in days_by_view.values())
    return {name: {day for day in days if day >= first} for name, days in days_by_view.items()}


def _model(
    change: Change,
    platform: Platform,
    model: ModelSettings,
    views: Sequence[ViewChange],
    names: Mapping[str, Collection[date]],
    rows: int,
) -> ModelChange:
    """What a model gains; `names` are the changed views that it reads, as `_common_days` takes them.

    Raises:
        CannotJudge: the two sides have no days, or no labelled rows on them, in common.
        NoDataYet: a source that the model needs has never landed here.
    """
    days = _common_days(change, platform, names)
    first = min(min(of) for of in days.values())
    now = platform.now(model) if platform.home.settings.clock == "data" else _EVER
    everything = model.model_copy(update={"training": replace(model.training, window="expanding", min_rows=1)})
    labelled = platform.data(everything).labelled(known_by=now)
    labelled = labelled[local_days(labelled[EVENT_TIME], model.timezone) >= np.datetime64(first)].reset_index(drop=True)
    if labelled.empty:
        raise CannotJudge(f"no labelled row lies on {first} or later", "Give an earlier --start, or land more labels.")
    if len(labelled) > rows:
        labelled = labelled.sample(rows, random_state=_SEED).sort_index().reset_index(drop=True)
    sides = tuple(
        _joined(home, catalogue, model, labelled, days)
        for home, catalogue in ((platform.home, change.before), (change.home, change.after))
    )
    for name in days:
        _require_values(name, sides)
    columns = tuple(
        replace(platform.data(model), catalogue=catalogue).columns for catalogue in (change.before, change.after)
    )
    differing = {
        f"{view.view}__{field.name}" for view in views for field in view.features if field.state in ("new", "changed")
    }
    champion = platform.registry.champion(model.name)
    if champion is not None:
        recipe = platform.registry.load(model.name, champion.version).recipe.from_nothing.on_cpu
        recipe, of = replace(recipe, rounds=min(recipe.rounds, ROUNDS)), f"the recipe of version {champion.version}"
    else:
        recipe, of = Recipe("xgboost", model.task, PARAMETERS, ROUNDS, (), seed=_SEED), "a small XGBoost model"
    labels = KnownLabels(
        labelled[LABEL].to_numpy(dtype=np.float64),
        local_days(labelled[EVENT_TIME], model.timezone),
        local_days(labelled[AVAILABLE_AT], model.timezone),
    )
    return model_change(
        model.name,
        (sides[0], sides[1]),
        (columns[0], columns[1]),
        labels,
        changed=differing,
        recipe=recipe,
        recipe_of=of,
        metric=model.metric,
    )


def _require_values(view: str, sides: Sequence[pd.DataFrame]) -> None:
    """Refuse to judge a change of features that no labelled row has on either side: it would gain 0 whatever it is.

    Raises:
        CannotJudge: no row has a value.
    """
    values = [frame.filter(regex=f"^{re.escape(view)}__") for frame in sides]
    if not any(frame.notna().to_numpy().any() for frame in values):
        raise CannotJudge(
            f"no labelled row has a value of {view} on the days that both sides have",
            "Give an earlier --start, or land more labels.",
        )


def _joined(
    home: Home, catalogue: Catalogue, model: ModelSettings, rows: pd.DataFrame, days: Mapping[str, Collection[date]]
) -> pd.DataFrame:
    """The features of labelled rows as they were known then, joined by the SQL of the offline store.

    Of a view that changed, those of the days that both sides have.

    Not through Feast, whose registry knows the views as they are now and not as they were.
    """
    keys = list(catalogue.label_model(model.label.model).entities)
    spine = rows[keys].assign(row=np.arange(len(rows)), t=rows[EVENT_TIME])
    parts = []
    with Lake(root=str(home.root)).connect() as connection:
        connection.register("spine", spine)
        for name in model.features:
            view = next((known for known in catalogue.views if known.name == name), None)
            if view is None:
                continue
            names = tuple(feature.name for feature in view.features)
            relation = _files(home, view)
            if name in days:
                wanted = ", ".join(f"date '{day}'" for day in sorted(days[name]))
                relation = f"(select * from {relation} where partition in ({wanted}))"
            history = History(relation, tuple(view.entities), view.timestamp, view.created, names, tie_break=names)
            join = AsofView(history, tuple(view.entities), tuple(f"{name}__{each}" for each in names), view.ttl or None)
            newest = Bounds(newest_known=rows[EVENT_TIME].max().to_pydatetime() + timedelta(microseconds=1))
            values, where = connection.execute(values_sql(join, newest)).df(), places(join, "spine", newest)
            parts.append(values.reindex(connection.execute(where).df()["n"]).reset_index(drop=True))
    return pd.concat(parts, axis=1)

"""History as a backtest takes it, and the backtest of one model on one home.

Here: which rows, windows and recipe, and running `core.simulate.backtest` on them. Not here: the comparison
(`core.simulate.backtest`), policies in files (`policy_files`), the page (`pages.backtest`), the command.

Nothing is written: neither registry nor ledger nor lake.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.models.cores import cores
from mlops_assets.core.models.model import Recipe, fit
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.simulate.backtest import PRESENT, Backtest, backtest, rivals
from mlops_assets.core.simulate.life_settings import LifePolicy
from mlops_assets.core.simulate.shared_fits import Fits, Model, Rows
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import metric, profit
from mlops_assets.core.time.windows import Window, closed_windows
from mlops_assets.simulate.policy_files import own_policy
from mlops_assets.steps.features.pipelines import transformer_of
from mlops_assets.steps.promote.training import search
from mlops_assets.steps.watch.calendar_features import declared_cycles
from mlops_assets.world.blocks import lasting_blocks_of
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL
from mlops_assets.world.platform import Platform

_ROWS = 20_000
"""Rows of the sample that a backtest reads, by default."""


@dataclass(frozen=True, eq=False)
class Past:
    """What a model's home knows of its past.

    Attributes:
        rows: labelled events with features, a seeded sample of all.
        known: how many there are in all.
        windows: those that have closed, up to the newest with labels.
        first: how many of them the first model is fitted on.
        recipe: how models are made.
        recipe_of: where it is from.
    """

    rows: Rows
    known: int
    windows: list[Window]
    first: int
    recipe: Recipe
    recipe_of: str


def past(platform: Platform, model: ModelSettings, *, rows: int = _ROWS, first: int | None = None) -> Past:
    """Read a model's history once.

    Args:
        platform: of the home.
        model: whose history.
        rows: at most so many labelled rows, sampled over all windows alike.
        first: windows that the first model is fitted on; by default a quarter of them, and at least as many as
            `training.min_rows` labels need.

    Raises:
        CannotJudge: too little history.
    """
    now = platform.now(model)
    everything = model.model_copy(update={"training": replace(model.training, window="expanding")})
    data = platform.data(everything)
    labelled = data.labelled(known_by=now)
    windows = closed_windows(labelled[EVENT_TIME].iloc[0], now, model.monitoring.rhythm.length, model.timezone)
    windows = [window for window in windows if window.start <= labelled[EVENT_TIME].iloc[-1]]
    if not windows:
        raise CannotJudge("no monitoring window with labels has closed", "Land more history")
    inside = (labelled[EVENT_TIME] >= windows[0].start) & (labelled[EVENT_TIME] < windows[-1].end)
    labelled = labelled[inside].reset_index(drop=True)
    known = len(labelled)
    if known > rows:
        labelled = labelled.sample(rows, random_state=model.training.seed).sort_index().reset_index(drop=True)
    start = _first(labelled, known, windows, model, first)
    joined = data.with_features(labelled)
    recipe, recipe_of = _recipe(platform, everything, joined, before=windows[start - 1])
    joined_rows = replace(_rows(joined, recipe, model), cycles=declared_cycles(platform, model))
    return Past(joined_rows, known, windows, start, recipe, recipe_of)


def _first(labelled: pd.DataFrame, known: int, windows: list[Window], model: ModelSettings, wanted: int | None) -> int:
    share = known / max(1, len(labelled))
    counts = [int((labelled[AVAILABLE_AT] < pd.Timestamp(window.end)).sum()) for window in windows]
    enough = [number for number, count in enumerate(counts, start=1) if count * share >= model.training.min_rows]
    start = wanted or max(enough[0] if enough else len(windows), -(-len(windows) // 4))
    length = model.monitoring.rhythm.length.text
    closed = (
        f"{counted(len(windows), 'window')} of {length} with labels {'has' if len(windows) == 1 else 'have'} closed"
    )
    if start not in enough:
        rows = round(counts[min(start, len(windows)) - 1] * share)
        raise CannotJudge(
            f"{closed}, {counted(rows, 'labelled row')} of the first {start} can be fitted on and "
            f"{model.training.min_rows:,} are needed",
            f"Set --first {enough[0]} or more." if enough else "Land more history, or lower training.min_rows.",
        )
    if start >= len(windows):
        raise CannotJudge(
            f"{closed}, the first {start} are fitted on, and none is left to live through",
            "Land more history, shorten monitoring.window, lower training.min_rows or set a smaller --first.",
        )
    return start


def _recipe(platform: Platform, model: ModelSettings, joined: pd.DataFrame, *, before: Window) -> tuple[Recipe, str]:
    champion = platform.registry.champion(model.name)
    if champion is not None:
        recipe = platform.registry.load(model.name, champion.version).recipe
        return recipe.from_nothing.on_cpu, f"version {champion.version}, the champion"
    known = joined[joined[AVAILABLE_AT] < pd.Timestamp(before.end)]
    transformer = transformer_of(platform, model)
    tuned, _ = search(platform.data(model), known, transformer=transformer, device="cpu")
    return tuned.recipe, f"a search on the {len(known):,} rows before {before.end:%Y-%m-%d}, for want of a champion"


def _rows(joined: pd.DataFrame, recipe: Recipe, model: ModelSettings) -> Rows:
    times = pd.DatetimeIndex(joined[EVENT_TIME])
    ages = [EVENT_TIME] if recipe.half_life_days else []
    return Rows(
        x=joined[[*recipe.names, *ages]],
        y=joined[LABEL].to_numpy(dtype=np.float64),
        times=times,
        known=pd.DatetimeIndex(joined[AVAILABLE_AT]),
        blocks=lasting_blocks_of(model, joined),
        by=model.monitoring.performance.blocks,
    )


def tried_policies(model: ModelSettings, history: Past, wanted: Mapping[str, LifePolicy]) -> dict[str, LifePolicy]:
    """The model's own policy, those wanted, and the rules of thumb.

    Raises:
        ValueError: a wanted policy has the name of a rule of thumb.
    """
    own = own_policy(model)
    others = rivals(history.rows, history.windows, own, first=history.first)
    if taken := sorted(set(wanted) & set(others)):
        raise ValueError(f"the name {taken[0]!r} is that of a rule of thumb that is always tried: choose another.")
    return {PRESENT: own, **wanted, **others}


def run(
    model: ModelSettings,
    history: Past,
    policies: Mapping[str, LifePolicy],
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """Live through a model's history under each policy; what several policies fit, is fitted once.

    Raises:
        CannotJudge: nothing can be scored.
        CannotTrain: the first windows allow no model.
    """
    shared: dict[int, Fits] = {}

    def fits(policy: LifePolicy) -> Fits:
        # A rule of thumb trains as the present policy does.
        rounds = (policies[PRESENT] if policy.rule else policy).probe.rounds
        if rounds not in shared:
            recipe = replace(history.recipe, rounds=min(history.recipe.rounds, rounds))
            # A sample is fitted by one thread, whose time is the fit's.
            shared[rounds] = Fits(history.rows, _learner(recipe), clock=time.thread_time, workers=cores())
        return shared[rounds]

    costs = model.monitoring.costs
    return backtest(
        fits,
        history.windows,
        policies,
        first=history.first,
        judge=metric(model.metric),
        money=profit(model.task, costs) if costs else None,
        progress=progress,
    )


def _learner(recipe: Recipe) -> Callable[[Any, np.ndarray], Model]:
    def learn(x: pd.DataFrame, y: np.ndarray) -> Model:
        return fit(recipe, x, y).predict

    return learn

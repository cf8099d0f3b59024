"""What would be seen on one home today: the noise of recent windows, and the rules held against it.

Here: reading the newest matured windows and the probe's looks. Not here: the formula (`core.decide.power`), the
command, the report that shows it (`assets`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from mlops_assets.core.decide.power import Noise, Part, Seen, performance_power, probe_power, sentence
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.comparison import slice_rows
from mlops_assets.core.stats.intervals import CannotJudge, block_sums
from mlops_assets.core.stats.metrics import metric
from mlops_assets.steps.decide.looks import read_looks
from mlops_assets.steps.predict.predictions import read_scores
from mlops_assets.steps.predict.references import score_matrix
from mlops_assets.steps.watch.windows.reports import predicted_windows
from mlops_assets.world.blocks import blocks_of
from mlops_assets.world.columns import slice_columns
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL
from mlops_assets.world.platform import GATE_VALUE, Platform

RECENT_DAYS = 28
"""Noise is that of the newest matured windows that make up so many days, or of the newest alone if it is longer."""
BY_CHECK, PROBE = "performance_holds", "probe"


def power(platform: Platform, model: ModelSettings, *, slices: bool = True) -> list[Seen]:
    """What the performance check and the probe would see of a decay, for one, two and four windows judged as one.

    Slices are judged by no check; theirs is what the report's intervals would show by the rule of
    `performance_holds`, from the value that the slice has now.

    Args:
        platform: of the home.
        model: which one.
        slices: whether to look at slices too.
    """
    rows = _recent(platform, model, features=slices)
    champion = platform.registry.champion(model.name)
    reference = float(champion.tags[GATE_VALUE]) if champion and GATE_VALUE in champion.tags else None
    if reference is None:
        why = CannotJudge("there is no champion that went through a gate", "A decay is measured from its value there")
        seen = [_unsaid(BY_CHECK, why)]
    else:
        seen = _said(BY_CHECK, lambda: _performance(BY_CHECK, model, rows, reference))
    looks = read_looks(platform, model.name)
    newest = [look for look in looks if look.end > looks[-1].end - RECENT_DAYS * pd.Timedelta(days=1)] if looks else []
    price, made = model.retrain.min_gain, sum(look.champion == looks[-1].champion for look in looks)
    seen += _said(PROBE, lambda: probe_power(newest or looks[-1:], model.probe, price=price, made=made))
    if slices and rows:
        everything = pd.concat(rows, ignore_index=True)
        values = {name: everything[name] for name in slice_columns(model, everything)}
        window = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
        for name, where in slice_rows({name.split("__", 1)[-1]: column for name, column in values.items()}):
            parts = [everything.iloc[where[window[where] == k]] for k in range(len(rows))]
            seen += _said(name, lambda parts=parts, name=name: _performance(name, model, parts, None))  # type: ignore[misc]
    return seen


def power_in_words(platform: Platform, model: ModelSettings) -> str:
    """What silence of the performance check means, in one sentence."""
    return sentence(power(platform, model, slices=False), model.metric)


def _recent(platform: Platform, model: ModelSettings, *, features: bool) -> list[pd.DataFrame]:
    """Labelled predictions of the newest matured windows, the newest first, with their features where asked for."""
    now, data, labelled, days = platform.now(model), platform.data(model), [], 0
    identity = [*data.keys, EVENT_TIME]
    for window in reversed(predicted_windows(platform, model, now)):
        start, end = data.day(window.start), data.day(window.end)
        labels = data.events(start, end, as_of=now)[[*identity, LABEL, AVAILABLE_AT]]
        rows = read_scores(platform, model, start, end, features=features)
        rows = rows.merge(labels, on=identity, how="left", validate="one_to_one")
        if data.maturity(window, rows, now=now).mature:
            labelled.append(rows[rows[LABEL].notna()])
            days += len(window.days(model.timezone))
        if days >= RECENT_DAYS:
            break
    return labelled


def _performance(what: str, model: ModelSettings, rows: list[pd.DataFrame], reference: float | None) -> list[Seen]:
    judge, parts = metric(model.metric), []
    for part in rows:
        try:
            value, psi = judge.evaluate(part[LABEL].to_numpy(), score_matrix(part))
        except CannotJudge:
            # A window of one class, or in which the slice does not occur: the others say what the noise is.
            continue
        parts.append(Part(value, *block_sums(psi, blocks_of(model, part))))
    noise = Noise.of(parts)
    own = noise.value if reference is None else reference
    return performance_power(what, noise, judge, model.monitoring.performance, reference=own)


def _said(what: str, judged: Callable[[], list[Seen]]) -> list[Seen]:
    try:
        return judged()
    except CannotJudge as why:
        return [_unsaid(what, why)]


def _unsaid(what: str, why: CannotJudge) -> Seen:
    return Seen(what, 1, 0, 0, None, None, f"{why.why}. {why.remedy}")

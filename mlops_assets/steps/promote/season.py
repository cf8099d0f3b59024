"""The same season last year: would the challenger be as good as the champion in it?

Here: the rows of 52 weeks before the gate window, and both models without them. Not here: the rule
(`core.promote.gate_limits`).

Both models were usually fitted on those rows, and the one that remembers them better would look better. So both
recipes are fitted again on their own training rows without them: what is compared is what each knows of a season from
all the rest. That is no forecast, as rows from after the season are in the fits; and it is not the very model that
ships. A model that has not seen these rows is taken as it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd

from mlops_assets.core.models.model import Model, fit
from mlops_assets.core.models.training import CannotTrain
from mlops_assets.core.promote.gate import RuleResult
from mlops_assets.core.promote.gate_limits import season_rule
from mlops_assets.core.stats.comparison import Paired, paired
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window, midnight
from mlops_assets.steps.promote.gate import Scored, gate_rows
from mlops_assets.steps.promote.reproduction import fitted_on
from mlops_assets.world.blocks import judged_blocks
from mlops_assets.world.mlflow.registry import ModelVersion
from mlops_assets.world.model_data import EVENT_TIME, LABEL, ModelData
from mlops_assets.world.platform import FITTED_UNTIL, Platform

YEAR = timedelta(days=364)
"""52 weeks: the same days of the week."""


def season_rules(
    platform: Platform, data: ModelData, challenger: Model, scored: Scored, gate: Window, *, as_of: datetime
) -> list[RuleResult]:
    """The rule on the same season last year; none where `gate.same_season` is off.

    Args:
        platform: the home.
        data: the model's rows.
        challenger: for its recipe.
        scored: for the rows that what ships is fitted on.
        gate: the gate window.
        as_of: the clock.
    """
    if not data.model.gate.same_season:
        return []
    season = Window(*(midnight(data.day(moment) - YEAR, data.model.timezone) for moment in (gate.start, gate.end)))
    try:
        comparison, words = _compare(platform, data, challenger, scored.known, season, as_of=as_of)
    except CannotJudge as why:
        comparison, words = why, ""
    except (CannotTrain, FileNotFoundError) as error:
        comparison, words = CannotJudge("a model cannot be fitted without these rows", str(error)), ""
    return season_rule(data.model.gate, comparison, words)


def _compare(
    platform: Platform, data: ModelData, challenger: Model, known: pd.DataFrame, season: Window, *, as_of: datetime
) -> tuple[Paired | CannotJudge, str]:
    """The comparison, and the words for what was compared.

    Raises:
        CannotJudge: no champion, or too few rows.
        CannotTrain: without the season's rows nothing is left to fit on.
        FileNotFoundError: the champion's training set is gone.
    """
    model = data.model
    champion = platform.registry.champion(model.name)
    if champion is None:
        raise CannotJudge("there is no champion", "The next challenger will have one to be compared with")
    events = data.events(data.day(season.start), data.day(season.end), as_of=as_of)
    labelled = int(events[LABEL].notna().sum())
    if labelled < max(1, model.gate.min_rows):
        raise CannotJudge(
            f"{season.label(model.timezone)} has {labelled:,} labelled rows and {model.gate.min_rows:,} are needed",
            "Land that year too, or wait until there is one",
        )
    rows = gate_rows(data, season, as_of=as_of)
    new, new_told = _without(challenger, known, season)
    old, old_told = _champion_without(platform, data, champion, season)
    blocks, by = judged_blocks(model, rows)
    comparison = paired(
        rows[LABEL].to_numpy(),
        old.predict(rows),
        new.predict(rows),
        blocks,
        model.metric,
        confidence=model.gate.confidence,
        by=by,
    )
    return (
        comparison,
        f"on {len(rows):,} rows of {season.label(model.timezone)} (challenger {new_told}; champion {old_told})",
    )


def _champion_without(platform: Platform, data: ModelData, champion: ModelVersion, season: Window) -> tuple[Model, str]:
    kept = platform.registry.load(data.model.name, champion.version)
    _, trained_on = fitted_on(champion.tags)
    known = data.load(trained_on, datetime.fromisoformat(champion.tags[FITTED_UNTIL]))
    return _without(kept, known.frame, season)


def _without(model: Model, known: pd.DataFrame, season: Window) -> tuple[Model, str]:
    """The model as it would be without the season's rows, and how that was come by."""
    inside = season.contains(known[EVENT_TIME])
    if not inside.any():
        return model, "as it is, not fitted on these rows"
    rest = known[~inside]
    # Where it went on from another model, that one may have seen these rows.
    return fit(model.recipe.from_nothing.on_cpu, rest, rest[LABEL].to_numpy()), "fitted again without these rows"

"""Golden sets as files: where a model's is, reading it, and a first one from the champion for review.

Here: paths, CSV and Parquet. Not here: choosing and judging the rows (`core.promote.golden`).
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from mlops_assets.core.models.model import Model
from mlops_assets.core.promote.gate import RuleResult
from mlops_assets.core.promote.golden import checked, choose_rows, golden_rule
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.world.atomic import write_text
from mlops_assets.world.home import Home, Limits
from mlops_assets.world.model_data import EVENT_TIME
from mlops_assets.world.platform import Platform


def golden_file(platform: Platform, model: ModelSettings) -> Path | None:
    """The file of the model's golden set; None where none is agreed.

    Raises:
        FileNotFoundError: `gate.golden_set` names one that is not there.
    """
    named = model.gate.golden_set
    if named is None:
        return None
    places = [platform.settings_file(model).parent / named, _folder(platform.home) / named]
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError(
        f"gate.golden_set of {model.name} names {named}, which is neither {places[0]} nor {places[1]}. Make one with "
        f"`mlops golden {model.name} --expires DATE`, or remove the field. The champion is unchanged."
    )


def golden_rules(platform: Platform, model: ModelSettings, shipped: Model, today: date) -> list[RuleResult]:
    """The gate's rule on the golden set; none where there is no set.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: it can't be held against this model.
    """
    file = golden_file(platform, model)
    if file is None:
        return []
    try:
        frame = checked(_read(file, shipped), shipped.recipe.columns, model.task)
    except ValueError as why:
        raise ValueError(f"{file}: {why}") from why
    return golden_rule(frame, shipped.predict(frame), today)


def write_golden(
    platform: Platform,
    model: ModelSettings,
    *,
    rows: int,
    expires: date,
    tolerance: float | None = None,
    to: Path | None = None,
) -> tuple[Path, int]:
    """A golden set of what the champion says of the newest events, for a person to review.

    Args:
        platform: the home.
        model: the monitored model.
        rows: how many; they run from the lowest score to the highest.
        expires: the last day on which they are held.
        tolerance: how far a score may be off; 0.1 where it is a probability.
        to: the file, `.csv`; by default `<home>/golden/<model>.csv`.

    Returns:
        The file and the number of its rows.

    Raises:
        ValueError: there is no champion or no event, a regression has no tolerance, or the file is there: a reviewed
            set is not written over.
    """
    champion = platform.registry.champion(model.name)
    if champion is None:
        raise ValueError(f"{model.name} has no champion yet, so nothing can be agreed on. Train one first.")
    if tolerance is None and model.task == "regression":
        raise ValueError("A regression's tolerance is in the label's unit and has no default: give --tolerance.")
    file = to or _folder(platform.home) / f"{model.name}.csv"
    if file.exists():
        raise ValueError(f"{file} is there already and may have been reviewed. Move it away, or give another --to.")
    data, now = platform.data(model), platform.now(model)
    end = data.day(now)
    events = data.events(end - timedelta(days=parse_duration(model.gate.window).days), end, as_of=now)
    kept = platform.registry.load(model.name, champion.version)
    if events.empty:
        raise ValueError(
            f"{model.name} has no events in the newest {model.gate.window}. Land data; nothing was written."
        )
    frame = data.with_features(events)
    chosen = choose_rows(
        frame,
        kept.predict(frame),
        kept.recipe.columns,
        n=rows,
        tolerance=0.1 if tolerance is None else tolerance,
        expires=expires,
        keys=[*data.keys, EVENT_TIME],
    )
    write_text(file, chosen.to_csv(index=False))
    return file, len(chosen)


def _folder(home: Home) -> Path:
    return home.root / "golden"


def _read(file: Path, shipped: Model) -> pd.DataFrame:
    """The table; categories are texts, whatever they look like, and only an empty cell is missing."""
    if file.suffix == ".parquet":
        from mlops_assets.world.files.parquet_rows import ParquetRows

        return ParquetRows(file, Limits.here().file_bytes).table().to_pandas()
    texts = {column.name: str for column in shipped.recipe.columns if column.kind == "categorical"}
    return pd.read_csv(file, dtype=texts, keep_default_na=False, na_values=[""])

"""Bringing features online, and proving that online equals offline.

Here: what the online-store asset does between reading and reporting. Not here: the asset (`defs`), the stores
(`feast_store`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.values.exact import to_integers
from mlops_assets.steps.features.code_versions import built_code
from mlops_assets.world.atomic import write_text
from mlops_assets.world.clock import Clock, NoDataYet
from mlops_assets.world.declared_files import BrokenSettings
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.parquet import read_exact
from mlops_assets.world.platform import Platform

_SAMPLE = 50
"""Entities of each view whose online values are recomputed offline."""
_SEED = 13


@dataclass(frozen=True)
class Online:
    """What was materialized, by view: the entities written, and at which moment."""

    entities: dict[str, int]
    moments: dict[str, datetime]


@dataclass(frozen=True)
class Agreement:
    """How online and offline values compare; `differences` holds a few as text."""

    values: int
    differences: list[str]
    sentence: str


def materialize_online(platform: Platform) -> Online | None:
    """Materialize every online view up to the clock of its sources; None while there is no data."""
    moments = _moments(platform)
    if moments is None:
        return None
    # Values that another code has computed stay online until their entity has a newer row: they are all made again.
    code, of = platform.home.feast / "online_code.json", built_code(platform.lake)
    lost = "the next run writes it; values of another code may stay online until their entity has a newer row"
    before = read_state(code, dict[str, str], lost=lost) or {}
    rebuild = any(of.get(view, known) != known for view, known in before.items())
    entities: dict[str, int] = {}
    for now in sorted(set(moments.values())):
        of_now = [view for view, moment in moments.items() if moment == now]
        entities |= platform.features.materialize(of_now, now, rebuild=rebuild)
    write_text(code, json.dumps(before | {view: of[view] for view in moments if view in of}))
    return Online(entities, {view: moments[view] for view in entities})


def _moments(platform: Platform) -> dict[str, datetime] | None:
    """The present moment of each online view whose sources have data; None where no source has.

    By the group of its sources: values of a group whose clock is behind would be passed over if another's newest day
    counted as theirs.
    """
    sources = platform.sources.settings()
    moments: dict[str, datetime] | None = None
    for group in platform.groups():
        try:
            now = Clock(lake=platform.lake).now(sources[name] for name in group)
        except (NoDataYet, BrokenSettings):  # of a group with a broken source nobody knows how new it is
            continue
        views = [view for view in platform.catalogue.views if view.online and group.intersection(view.sources)]
        moments = (moments or {}) | {view.name: now for view in views}
    return moments


def compare_online(platform: Platform, moments: Mapping[str, datetime]) -> Agreement:
    """Serve a seeded sample of each view's entities and join them offline at the view's moment."""
    compared, differences = 0, []
    for view in platform.catalogue.views:
        if view.name not in moments:
            continue
        entities = _sample(platform, view.name, list(view.entities))
        if entities.empty:
            continue
        served = platform.features.online(view.name, entities)
        joined = platform.features.historical(
            entities.assign(event_timestamp=pd.Timestamp(moments[view.name])), [view.name]
        )
        for feature in view.features:
            offline = joined[f"{view.name}__{feature.name}"]
            wrong = ~equal_values(served[feature.name], offline)
            compared += len(entities)
            differences += [
                f"{view.name}.{feature.name} of {entities.iloc[i].to_dict()}: online {served[feature.name].iloc[i]!r}, "
                f"offline {offline.iloc[i]!r}"
                for i in np.flatnonzero(wrong)[:3]
            ]
    sentence = (
        f"{compared:,} values of {_SAMPLE} entities a view agree."
        if not differences
        else f"{counted(len(differences), 'difference')}, e.g. {differences[0]}. Materialize feast/online_store from "
        "scratch: delete $MLOPS_HOME/feast/online.db and run it."
    )
    return Agreement(compared, differences[:20], sentence)


def _sample(platform: Platform, view: str, keys: list[str]) -> pd.DataFrame:
    """Some entities of the newest partitions."""
    newest = list(platform.lake.partitions("features", view).values())[-3:]
    if not newest:
        return pd.DataFrame(columns=keys)
    known = pd.concat([read_exact(path, columns=keys) for path in newest]).dropna().drop_duplicates()
    return known.sample(min(_SAMPLE, len(known)), random_state=_SEED).reset_index(drop=True)


def equal_values(left: pd.Series, right: pd.Series) -> Any:
    """Where two columns hold the same value; missing equals missing."""
    a, b = left.reset_index(drop=True), right.reset_index(drop=True)
    both_missing = a.isna() & b.isna()
    if pd.api.types.is_integer_dtype(b) and not pd.api.types.is_float_dtype(a):
        # Digit by digit: as floats two identifiers of 18 digits would be close.
        return (both_missing | (to_integers(a) == to_integers(b)).fillna(False)).to_numpy(dtype=bool)
    if pd.api.types.is_numeric_dtype(b):
        close = np.isclose(pd.to_numeric(a).astype("float64"), b.astype("float64"), rtol=1e-9, atol=0.0)
        return (both_missing | close).to_numpy()
    return (both_missing | (a.astype(str) == b.astype(str))).to_numpy()

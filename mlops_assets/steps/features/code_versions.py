"""By which code the lake's features were computed, and what the models in production need of them.

Here: the record of it, what has changed since, and the columns that a version would miss. Not here: what the code of a
view is (`core.features.catalogue`), building (`assets.platform`), the rule that answers a change (`core.decide.rules`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mlops_assets.core.features.catalogue import Catalogue
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.lake import Lake

if TYPE_CHECKING:
    from mlops_assets.world.platform import Platform

FEATURE_CODE = "feature_code"
"""Tag of a version: the code of each feature view that its training set was made from, as JSON."""

CONSTANT = "constant_features"
"""Tag of a version: the features that were left out of its training because they held still in it, as JSON."""


class FeatureStillNeeded(ValueError):
    """A column is gone that a version in production, or the one to go back to, was trained on."""


def built_code(lake: Lake) -> dict[str, str]:
    """The code that each model of the lake was built by; models built before this was kept are not in it."""
    lost = "models wait for their feature code until the next run has built it, which writes it anew"
    return read_state(lake.folder("_code.json"), dict[str, str], lost=lost) or {}


def mark_code(lake: Lake, catalogue: Catalogue, models: Iterable[str]) -> None:
    """Put on record that these models stand in the lake as their code is now."""
    named = set(models)
    now = {entry.name: entry.code for entry in catalogue.models if entry.name in named}
    known = {entry.name for entry in catalogue.models}
    kept = {name: code for name, code in built_code(lake).items() if name in known}
    write_text(lake.folder("_code.json"), json.dumps({**kept, **now}, indent=1, sort_keys=True))


def built_alone(catalogue: Catalogue, models: Iterable[str]) -> set[str]:
    """Those of these models that are built without all that is above them, which may be views of an older code."""
    named = set(models)
    return {entry.name for entry in catalogue.models if entry.name in named and not set(entry.above) <= named}


def outdated(lake: Lake, catalogue: Catalogue, models: Iterable[str]) -> list[str]:
    """Those of these models that stand in the lake as another code has built them."""
    named, built = set(models), built_code(lake)
    return [e.name for e in catalogue.models if e.name in named and built.get(e.name, e.code) != e.code]


def gone(lake: Lake, catalogue: Catalogue) -> list[str]:
    """Models that stand in the lake and are no longer declared."""
    known = {entry.name for entry in catalogue.models}
    return sorted(built_code(lake).keys() - known)


def refuse_missing_features(platform: Platform) -> None:
    """Look whether champion and previous of every model still find what they were trained on.

    Raises:
        FeatureStillNeeded: a column is gone; the message names it and the versions.
    """
    missing = missing_features(platform)
    if missing:
        raise FeatureStillNeeded(
            f"{' '.join(missing)} Put the column back, with `meta: {{retired: true}}` in its YAML: it stays computed, "
            "is not trained on any more, and can go when no version needs it. Nothing was built."
        )


def missing_features(platform: Platform) -> list[str]:
    """A sentence for each version in production, or to go back to, that misses columns."""
    known = {f"{view.name}__{feature.name}" for view in platform.catalogue.views for feature in view.features}
    lines = []
    for name in platform.models():
        versions = {"champion": platform.registry.champion(name), "previous": platform.registry.previous(name)}
        for alias, version in versions.items():
            if version is not None:
                gone = [c for c in platform.registry.load(name, version.version).recipe.names if c not in known]
                if gone:
                    lines.append(f"{name} version {version.version} ({alias}) needs {', '.join(gone)}, which is gone.")
    return lines

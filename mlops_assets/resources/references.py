"""What a champion was trained on, kept so that later windows can be compared with it.

Here: writing and reading the reference of a model version: profile, sample, and the score of the judged twin.
Not here: the statistics (`core.drift`), who compares (`monitoring_steps`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mlops_assets.core.drift import Grid, Kind, Profile
from mlops_assets.core.training import FeatureColumn
from mlops_assets.resources.atomic import write_text
from mlops_assets.resources.lake import Lake

SCORE = "score"
SAMPLE = 5_000
"""Rows kept of a reference for the report that people look at."""
SEED = 13


@dataclass(frozen=True)
class Reference:
    """Profiles of a version's training rows and of its judged twin's scores, and a sample of the rows."""

    features: Profile
    scores: Profile
    sample: pd.DataFrame


def kinds(columns: Sequence[FeatureColumn]) -> dict[str, Kind]:
    """How drift treats each feature: numbers as numbers, the rest as categories."""
    return {column.name: "numeric" if column.kind == "numeric" else "categorical" for column in columns}


def write_reference(
    lake: Lake, model: str, version: int, rows: pd.DataFrame, *, columns: Sequence[FeatureColumn], scores: np.ndarray
) -> None:
    """Keep the reference of a version.

    Args:
        lake: where.
        model: the monitored model.
        version: of the model.
        rows: what the version was fitted on.
        columns: its features.
        scores: of the judged twin on the gate window: scores on rows a model was fitted on are too sure of themselves.
    """
    folder = _folder(lake, model, version)
    scored = pd.DataFrame({SCORE: np.asarray(scores, dtype=np.float64)})
    numeric: dict[str, Kind] = {SCORE: "numeric"}
    for name, frame, schema in (("features", rows, kinds(columns)), ("scores", scored, numeric)):
        grid = Grid.from_reference(frame, schema)
        write_text(folder / f"{name}.grid.json", grid.to_json())
        write_text(folder / f"{name}.profile.json", Profile.of(grid, frame).to_json())
    sample = rows.sample(min(SAMPLE, len(rows)), random_state=SEED).sort_index()
    # The sample comes last: a reference with one is complete.
    lake.write(sample[[column.name for column in columns]], folder / "sample.parquet")


def read_reference(lake: Lake, model: str, version: int) -> Reference:
    """The reference of a version.

    Raises:
        FileNotFoundError: it has none.
    """
    folder = _folder(lake, model, version)
    if not (folder / "sample.parquet").exists():
        raise FileNotFoundError(
            f"{folder} has no reference, so version {version} of {model} cannot be compared. It is written "
            f"at promotion: promote a version by materializing {model}/evaluation and {model}/champion."
        )
    return Reference(
        features=_profile(folder, "features"),
        scores=_profile(folder, "scores"),
        sample=pd.read_parquet(folder / "sample.parquet"),
    )


def _folder(lake: Lake, model: str, version: int) -> Path:
    return lake.folder("references", model, f"version={version}")


def _profile(folder: Path, name: str) -> Profile:
    grid = Grid.from_json((folder / f"{name}.grid.json").read_text(encoding="utf-8"))
    return Profile.from_json((folder / f"{name}.profile.json").read_text(encoding="utf-8"), grid)

"""What a champion was trained on, kept so that later windows can be compared with it.

Here: writing and reading the reference of a model version: profile, sample, the score of the judged twin, and the
labels of the gate window that its performance is estimated from.
Not here: the statistics (`core.drift`), who compares (`watch.drift_report`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from mlops_assets.core.drift.day_counts import DayCounts
from mlops_assets.core.drift.grid import Grid, Kind, kind_of
from mlops_assets.core.drift.labels import label_profile
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.models.training import FeatureColumn
from mlops_assets.core.performance.conformal import residual_bounds
from mlops_assets.core.performance.estimation import Estimator, Outcomes
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import Metric
from mlops_assets.core.time.windows import local_days
from mlops_assets.world.atomic import write_bytes, write_text
from mlops_assets.world.files.state_files import DamagedFile, read_state
from mlops_assets.world.lake import Lake
from mlops_assets.world.model_data import EVENT_TIME, LABEL

SCORE = "score"
BOUNDS = ("score_lower", "score_upper")
"""Columns of predictions with the bounds of an interval, where a model has them."""
SAMPLE = 5_000
"""Rows kept of a reference for the report that people look at."""
SEED = 13
OUTCOMES = 200_000
"""Rows kept of a gate window: CBPE takes 0.1 s to make from as many."""
LOSS, _KEY = "expected_", "key_"
"""Begin the columns of held-out error predictions, and of what a row is found again by."""


@dataclass(frozen=True)
class Reference:
    """Profiles of a version's training rows and of its judged twin's scores, and a sample of the rows with time."""

    features: Profile
    scores: Profile
    sample: pd.DataFrame


class _Noted(TypedDict):
    """What stands beside the outcomes of a version; `cannot`: why there are none."""

    cannot: dict[str, Any] | None


def kinds(columns: Sequence[FeatureColumn]) -> dict[str, Kind]:
    """How drift treats each feature: numbers as numbers, the rest as categories."""
    return {column.name: kind_of(column.kind) for column in columns}


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
        scores: of the judged twin on the gate window, shape (n,) or (n, k): scores on rows a model was fitted on are
            too sure of themselves.
    """
    folder = reference_folder(lake, model, version)
    scored = score_columns(scores)
    if scores.ndim == 2:
        # As predictions have it, the score of the likeliest class, before those of all.
        scored.insert(0, SCORE, scores.max(axis=1).astype(np.float64))
    numeric: dict[str, Kind] = dict.fromkeys(map(str, scored), "numeric")
    for name, frame, schema in (("features", rows, kinds(columns)), ("scores", scored, numeric)):
        grid = Grid.from_reference(frame, schema)
        write_text(folder / f"{name}.grid.json", grid.to_json())
        write_text(folder / f"{name}.profile.json", Profile.of(grid, frame).to_json())
    sample = rows.sample(min(SAMPLE, len(rows)), random_state=SEED).sort_index()
    # The sample comes last: a reference with one is complete.
    lake.write(sample[[EVENT_TIME, *(column.name for column in columns)]], folder / "sample.parquet")


def read_reference(lake: Lake, model: str, version: int) -> Reference:
    """The reference of a version.

    Raises:
        FileNotFoundError: it has none.
    """
    folder = reference_folder(lake, model, version)
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


def write_days(
    lake: Lake, model: ModelSettings, version: int, rows: pd.DataFrame, *, columns: Sequence[FeatureColumn]
) -> None:
    """Keep what each day of a version's training rows held, for levels calibrated on it."""
    days = DayCounts.of(rows, kinds(columns), local_days(rows[EVENT_TIME], model.timezone))
    lake.write(days.to_frame(), reference_folder(lake, model.name, version) / "days.parquet")


def read_days(lake: Lake, model: str, version: int) -> DayCounts | None:
    """What each day of a version's training rows held; None where it was promoted before days were kept."""
    path = reference_folder(lake, model, version) / "days.parquet"
    return DayCounts.from_frame(pd.read_parquet(path)) if path.exists() else None


def write_labels(lake: Lake, model: ModelSettings, version: int, labels: pd.Series) -> None:
    """Keep how the labels of a version's training rows are distributed; all of them are known."""
    folder, profile = reference_folder(lake, model.name, version), label_profile(labels, model.task)
    write_text(folder / "labels.grid.json", profile.grid.to_json())
    write_text(folder / "labels.mean.json", json.dumps(float(labels.mean())))
    write_text(folder / "labels.profile.json", profile.to_json())


def read_labels(lake: Lake, model: ModelSettings, version: int) -> tuple[Profile, float]:
    """The profile of a version's training labels, and their mean.

    Raises:
        CannotJudge: the version has none.
    """
    folder = reference_folder(lake, model.name, version)
    lost = "shifts of the labels are not watched until the next promotion"
    mean = read_state(folder / "labels.mean.json", float, lost=lost)
    if mean is None:
        raise CannotJudge(
            f"version {version} was promoted without the distribution of its labels", "The next promotion keeps it"
        )
    return _profile(folder, "labels"), mean


def write_outcomes(
    lake: Lake,
    model: ModelSettings,
    version: int,
    rows: pd.DataFrame,
    *,
    scores: np.ndarray,
    columns: Sequence[FeatureColumn],
    keys: Sequence[str] = (),
) -> None:
    """Keep what later windows' performance is estimated from before their labels come; or why nothing can be.

    Args:
        lake: where.
        model: the monitored model.
        version: of the model.
        rows: the labelled rows of the gate window, with features.
        scores: of the judged twin on them, shape (n,) or (n, k): it was not fitted on these rows.
        columns: its features.
        keys: columns by which a row is found again; see `judged_scores`.
    """
    from mlops_assets.core.performance.dle import fit_losses

    if len(rows) > OUTCOMES:
        kept = np.sort(np.random.default_rng(SEED).choice(len(rows), OUTCOMES, replace=False))
        rows, scores = rows.iloc[kept], scores[kept]
    folder, why = reference_folder(lake, model.name, version), None
    days = local_days(rows[EVENT_TIME], model.timezone)
    frame = score_columns(scores).assign(**{LABEL: rows[LABEL].to_numpy(), "day": days})
    if model.task == "regression":
        try:
            models, held_out = fit_losses(rows, columns, Outcomes(frame[LABEL].to_numpy(), scores, days))
        except CannotJudge as cannot:
            why = {"why": cannot.why, "remedy": cannot.remedy}
        else:
            frame = frame.assign(**{f"{LOSS}{name}": values for name, values in held_out.items()})
            for name, fitted in models.items():
                write_bytes(folder / f"{name}.error_model.ubj", fitted.to_bytes())
    frame = frame.assign(**{f"{_KEY}{name}": rows[name].array for name in keys})
    lake.write(frame, folder / "outcomes.parquet")
    # The note comes last: outcomes with one are complete.
    write_text(folder / "outcomes.json", json.dumps({"rows": len(frame), "cannot": why}, indent=1))


def judged_scores(
    lake: Lake, model: str, version: int, rows: pd.DataFrame, *, keys: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """What a version's judged twin said of those of some rows on which it was judged.

    Args:
        lake: where.
        model: the monitored model.
        version: of the model.
        rows: with the keys.
        keys: columns of the rows that were kept with the scores (`write_outcomes`).

    Returns:
        The places of these rows, ascending, and scores of shape (n,) or (n, k); of neither any where nobody kept them
        by key.
    """
    path = reference_folder(lake, model, version) / "outcomes.parquet"
    names = [f"{_KEY}{name}" for name in keys]
    kept = pd.read_parquet(path) if path.exists() else pd.DataFrame()
    if not set(names) <= set(kept.columns):
        return np.empty(0, dtype=np.int64), np.empty(0)
    place = rows[list(keys)].set_axis(names, axis="columns").reset_index(drop=True).reset_index(names="place")
    said = place.merge(kept, on=names, how="inner", validate="one_to_one")
    return said["place"].to_numpy(), score_matrix(said)


def read_estimator(lake: Lake, model: ModelSettings, version: int) -> Estimator:
    """What a version's performance is estimated by.

    Raises:
        CannotJudge: it has no outcomes, or nothing can be estimated from them.
    """
    from mlops_assets.core.models.model import Model
    from mlops_assets.core.performance.cbpe import ConfidenceEstimator
    from mlops_assets.core.performance.dle import LOSSES, LossEstimator

    folder = reference_folder(lake, model.name, version)
    lost = "its performance is not estimated until the next promotion"
    noted = read_state(folder / "outcomes.json", _Noted, lost=lost)
    if noted is None:
        raise CannotJudge(
            f"version {version} has no labels and scores of its gate window beside its reference",
            f"They are written at promotion: promote a version by materializing {model.name}/evaluation and "
            f"{model.name}/champion",
        )
    if cannot := noted["cannot"]:
        raise CannotJudge(**cannot)
    rows = pd.read_parquet(folder / "outcomes.parquet")
    outcomes = Outcomes(rows[LABEL].to_numpy(), score_matrix(rows), rows["day"].to_numpy())
    if model.task != "regression":
        return ConfidenceEstimator(outcomes)
    held_out = {name: rows[f"{LOSS}{name}"].to_numpy() for name in LOSSES}
    models = {name: Model.from_bytes((folder / f"{name}.error_model.ubj").read_bytes()) for name in LOSSES}
    return LossEstimator(Outcomes(outcomes.labels, outcomes.scores, outcomes.days, held_out), models)


def gate_value(lake: Lake, model: ModelSettings, version: int, judge: Metric) -> float | None:
    """A metric of a version's judged twin on the gate window; None where nobody kept that, or it is undefined there."""
    path = reference_folder(lake, model.name, version) / "outcomes.parquet"
    if not path.exists():
        return None
    rows = pd.read_parquet(path)
    try:
        return judge.score(rows[LABEL].to_numpy(), score_matrix(rows))
    except CannotJudge:
        return None


def bounds_of(lake: Lake, model: str, version: int, scores: np.ndarray, *, share: float) -> pd.DataFrame:
    """The bounds of predictions by a version; missing where nobody kept its outcomes.

    Args:
        lake: where.
        model: the monitored model.
        version: of the model.
        scores: its predictions, shape (n,).
        share: of the labels that they are to hold.
    """
    path = reference_folder(lake, model, version) / "outcomes.parquet"
    beside = float("nan"), float("nan")
    if path.exists():
        rows = pd.read_parquet(path, columns=[LABEL, SCORE])
        beside = residual_bounds(rows[LABEL].to_numpy(), rows[SCORE].to_numpy(), share)
    return pd.DataFrame({name: scores + part for name, part in zip(BOUNDS, beside, strict=True)})


def score_columns(scores: np.ndarray) -> pd.DataFrame:
    """Scores as they stand in files: one column, or one per class."""
    if scores.ndim == 1:
        return pd.DataFrame({SCORE: scores.astype(np.float64)})
    return pd.DataFrame({f"{SCORE}_{i}": scores[:, i].astype(np.float64) for i in range(scores.shape[1])})


def score_matrix(rows: pd.DataFrame) -> np.ndarray:
    """Scores as metrics take them: shape (n,), or (n, k) for classes."""
    codes = [int(code) for column in rows.columns if (code := column.removeprefix(f"{SCORE}_")).isdigit()]
    if not codes:
        return rows[SCORE].to_numpy()
    scores = rows[[f"{SCORE}_{code}" for code in sorted(codes)]].to_numpy(dtype=np.float64)
    # A version that does not know a class gave it no chance and has no column of it; one without any score is missing.
    scored = np.isfinite(scores).any(axis=1, keepdims=True)
    return np.where(np.isnan(scores) & scored, 0.0, scores)


def reference_folder(lake: Lake, model: str, version: int) -> Path:
    """Where the reference of a version is kept."""
    return lake.folder("references", model, f"version={version}")


def _profile(folder: Path, name: str) -> Profile:
    try:
        grid = Grid.from_json((folder / f"{name}.grid.json").read_text(encoding="utf-8"))
        return Profile.from_json((folder / f"{name}.profile.json").read_text(encoding="utf-8"), grid)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise DamagedFile(
            f"{folder}/{name}.grid.json or {name}.profile.json is damaged ({error!r}). Restore both from a backup; "
            "the next promotion writes those of its own version. Nothing was changed."
        ) from error

"""References that anybody may register, and batches held against them.

Here: keeping a reference as a grid and a profile, judging a batch with the platform's statistics, rows and Parquet to
frames, the latest report of a model. Not here: the statistics (`core.drift`), HTTP (`drift_api`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.grid import Grid, Kind, infer_schema
from mlops_assets.core.drift.policy import DriftPolicy, drift_verdict
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.steps.watch.windows.summaries import WindowSummary, judged_folders, read_summary
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.parquet_rows import ParquetRows
from mlops_assets.world.files.state_files import read_state, read_state_by
from mlops_assets.world.files.unpacked_size import TooLarge
from mlops_assets.world.home import Home
from mlops_assets.world.lake import Lake

MAX_COLUMNS = 1_000
MAX_CELLS = 20_000_000
"""Of a Parquet file, by its own word and before it is unpacked: a small file can hold a very large table."""
MAX_UNPACKED = 2**29
_LARGE = "the file is too large once it is unpacked; send fewer columns or rows"


class WrongTable(ValueError):
    """Rows or a file that make no table to measure."""


class NoProfile(LookupError):
    """Nothing was registered, or reported, under this name."""


@dataclass(frozen=True, eq=False)
class Kept:
    """A registered reference.

    Attributes:
        name: as registered.
        profile: of the reference, with its grid.
        policy: the limits that batches are judged by.
        registered_at: when.
    """

    name: str
    profile: Profile
    policy: DriftPolicy
    registered_at: str


class Profiles:
    """The references of a home, each one file, and the reports of its models."""

    def __init__(self, home: Home, lake: Lake) -> None:
        self._folder, self._lake = home.root / "serving" / "drift", lake

    def exists(self, name: str) -> bool:
        """Whether there is a reference of that name."""
        return self._file(name).exists()

    def register(self, name: str, frame: pd.DataFrame, kinds: Mapping[str, Kind], policy: DriftPolicy) -> Kept:
        """Keep a reference; one of the same name is replaced.

        Args:
            name: letters, digits, `_` and `-`, checked by the caller.
            frame: its rows, 100 at least.
            kinds: kinds of columns, where they don't follow from their types.
            policy: the limits.

        Raises:
            CannotJudge: too few rows.
            WrongTable: a kind is given for a column that isn't there, or can't be had.
        """
        unknown = [column for column in kinds if column not in frame.columns]
        if unknown:
            raise WrongTable(f"there is no column {unknown[0][:100]!r} to have a kind")
        schema = {**infer_schema(frame), **kinds}
        if not schema:
            raise WrongTable("no column holds numbers, texts or booleans; there is nothing to measure")
        for column, kind in schema.items():
            if kind == "numeric" and not pd.api.types.is_numeric_dtype(frame[column]):
                raise WrongTable(f"column {column[:100]!r} is declared numeric and holds {frame[column].dtype}")
        grid = Grid.from_reference(frame, schema)
        profile = Profile.of(grid, frame)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        kept = {"at": at, "policy": policy.to_dict(), "grid": grid.to_json(), "profile": profile.to_json()}
        write_text(self._file(name), json.dumps(kept))
        return Kept(name, profile, policy, at)

    def read(self, name: str) -> Kept:
        """A registered reference.

        Raises:
            NoProfile: there is none.
        """

        def kept(payload: dict[str, Any]) -> Kept:
            profile = Profile.from_json(payload["profile"], Grid.from_json(payload["grid"]))
            return Kept(name, profile, DriftPolicy(**payload["policy"]), payload["at"])

        known = read_state_by(self._file(name), kept, lost="POST /drift/profiles registers it again")
        if known is None:
            raise NoProfile(f"no profile {name!r} was registered; POST /drift/profiles registers one")
        return known

    def judge(self, name: str, frame: pd.DataFrame) -> dict[str, Any]:
        """Hold a batch against a reference, and keep the report.

        Raises:
            NoProfile: there is no such reference.
            WrongTable: a column of the reference is missing, or holds another kind.
            CannotJudge: the batch has no rows.
        """
        kept = self.read(name)
        if frame.empty:
            raise CannotJudge("the batch has no rows", "Send some")
        kinds = infer_schema(frame)
        drifts = compare(kept.profile, Profile.of(kept.profile.grid, _like(frame, kept.profile.grid, kinds)))
        verdict = drift_verdict(drifts, kept.policy)
        report = {
            "name": name,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "reference_rows": kept.profile.rows,
            "rows": len(frame),
            "drift": None if verdict.passed is None else not verdict.passed,
            "reason": verdict.reason,
            "drifted": list(verdict.drifted),
            "features": [asdict(drift) for drift in drifts],
        }
        write_text(self._file(name).with_suffix(".report.json"), json.dumps(_finite(report)))
        return report

    def latest(self, name: str, *, is_model: bool) -> dict[str, Any]:
        """The newest drift report of a model, or of a registered reference.

        Raises:
            NoProfile: there is none yet.
        """
        if is_model:
            return self._latest_of_model(name)
        file = self._file(name).with_suffix(".report.json")
        report = read_state(file, dict[str, Any], lost="the next batch that is held against it writes another")
        if report is None:
            raise NoProfile(f"nothing was held against a profile {name!r} yet")
        return report

    def _latest_of_model(self, name: str) -> dict[str, Any]:
        folders = judged_folders(self._lake, name, "drift")
        if not folders:
            raise NoProfile(f"{name} has no drift report yet; {name}/drift_report makes one as windows close")
        summary = read_summary(folders[-1], WindowSummary)
        inputs = next(check for check in summary.checks if check.name == "inputs_match_reference")
        features = pd.read_parquet(folders[-1] / "features.parquet")
        return {
            "name": name,
            "at": summary.end.isoformat(),
            "reference_rows": None,
            "rows": summary.rows,
            "drift": None if inputs.passed is None else not inputs.passed,
            "reason": " ".join(check.sentence for check in summary.checks),
            "drifted": [],
            "window": summary.window,
            "model_version": summary.version,
            "features": features.astype(object).where(features.notna(), None).to_dict(orient="records"),
        }

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _like(frame: pd.DataFrame, grid: Grid, kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """The batch's columns that the grid judges, numbers as numbers.

    Raises:
        WrongTable: one is missing or of another kind.
    """
    columns: dict[str, pd.Series] = {}
    for name, laid in grid.judged.items():
        if name not in frame.columns:
            raise WrongTable(f"the batch has no column {name[:100]!r}, which the reference has")
        series = frame[name]
        if hasattr(laid, "edges") and series.isna().all():
            series = series.astype("float64")
        elif hasattr(laid, "edges") and kinds.get(name) != "numeric":
            raise WrongTable(f"column {name[:100]!r} is numeric in the reference and {series.dtype} in the batch")
        columns[name] = series
    return pd.DataFrame(columns)


def _finite(value: Any) -> Any:
    """The same without NaN and infinities, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not -float("inf") < value < float("inf") else value


def frame_of_rows(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a table, each column of one kind.

    Raises:
        WrongTable: a column mixes numbers and texts, holds something else, or there are too many.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) > MAX_COLUMNS:
        raise WrongTable(f"a table may have {MAX_COLUMNS:,} columns, this one has {len(names):,}")
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        types = {type(value) for value in values if value is not None}
        if types <= {int, float}:
            try:
                columns[name] = pd.Series([None if v is None else float(v) for v in values], dtype="float64")
            except OverflowError as error:
                raise WrongTable(f"column {name[:100]!r} holds a number that is too large") from error
        elif types <= {str} or types <= {bool}:
            columns[name] = pd.Series(values, dtype=object)
        else:
            raise WrongTable(f"column {name[:100]!r} must hold numbers, texts or booleans, one of them throughout")
    return pd.DataFrame(columns)


def frame_of_parquet(content: bytes, most_rows: int) -> pd.DataFrame:
    """A Parquet file as a table. Nothing in it can run code; its size is counted by its pages first.

    Raises:
        WrongTable: it is none, or too large.
    """
    try:
        rows = ParquetRows(content, MAX_UNPACKED)
        meta = rows.metadata
        if meta.num_rows > most_rows or meta.num_columns > MAX_COLUMNS:
            raise WrongTable(
                f"a file may have {most_rows:,} rows and {MAX_COLUMNS:,} columns, this one has {meta.num_rows:,} and "
                f"{meta.num_columns:,}"
            )
        if meta.num_rows * meta.num_columns > MAX_CELLS:
            raise WrongTable(_LARGE)
        flat = [field.name for field in rows.schema if not pa.types.is_nested(field.type)]
        table = rows.table(flat)
        # Without pandas' own notes in the file: they name types and an index, which the sender made.
        return table.replace_schema_metadata(None).to_pandas()
    except TooLarge as error:
        raise WrongTable(_LARGE) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, WrongTable):
            raise
        raise WrongTable(
            f"the body is no Parquet file that can be read ({str(error).splitlines()[0][:200]})"
        ) from error

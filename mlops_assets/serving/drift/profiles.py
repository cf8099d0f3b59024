"""References that anybody may register, and batches held against them.

Here: keeping a reference as a grid and a profile, judging a batch with the platform's statistics, the history of a
reference, the latest report of a model. Not here: the statistics (`core.drift`), what follows from drift (`checks`,
`reactions`), rows and files as tables (`tables`), HTTP (`http.drift_api`).

A reference is three files: `NAME.json`, the newest report, and `NAME.checks.json`, which outlives a new reference of
the same name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.grid import Grid, Kind, infer_schema
from mlops_assets.core.drift.policy import DriftPolicy, drift_verdict
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.serving.drift.checks import DRIFTED, Checks, DriftCheck, Reaction
from mlops_assets.serving.drift.tables import WrongTable, like_reference
from mlops_assets.steps.watch.windows.summaries import WindowSummary, judged_folders, read_summary
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.locks import alone
from mlops_assets.world.files.state_files import read_state, read_state_by
from mlops_assets.world.home import Home
from mlops_assets.world.lake import Lake

MOST_PROFILES = 200
"""References of a home: each has series of its own in /metrics."""


class NoProfile(LookupError):
    """Nothing was registered, or reported, under this name."""


class Replaced(RuntimeError):
    """Another reference of this name was registered while a batch was held against the old one."""


@dataclass(frozen=True)
class Registration:
    """What a reference is registered with, beside its rows.

    Attributes:
        policy: the limits that batches are judged by.
        webhook: address that is posted to when drift begins and ends.
        model: a monitored model for which a training is asked when drift begins.
    """

    policy: DriftPolicy
    webhook: str | None = None
    model: str | None = None

    @property
    def actions(self) -> list[Reaction]:
        """What is done when drift begins."""
        named: dict[Reaction, str | None] = {"webhook": self.webhook, "retrain": self.model}
        return ["alert", *(action for action, target in named.items() if target)]


@dataclass(frozen=True, eq=False)
class Kept:
    """A registered reference.

    Attributes:
        name: as registered.
        profile: of the reference, with its grid.
        registration: its limits, and what follows from drift.
        registered_at: when.
    """

    name: str
    profile: Profile
    registration: Registration
    registered_at: str


class Profiles:
    """The references of a home, and the reports of its models. Safe between threads and processes."""

    def __init__(self, home: Home, lake: Lake) -> None:
        self.folder, self._lake = home.root / "serving" / "drift", lake

    def names(self) -> list[str]:
        """The references that are registered."""
        return sorted(file.stem for file in self.folder.glob("*.json") if "." not in file.stem)

    def exists(self, name: str) -> bool:
        """Whether there is a reference of that name."""
        return self._file(name).exists()

    def register(self, name: str, frame: pd.DataFrame, kinds: Mapping[str, Kind], registration: Registration) -> Kept:
        """Keep a reference; one of the same name is replaced, and its drift is over.

        Args:
            name: letters, digits, `_` and `-`, checked by the caller.
            frame: its rows, 100 at least.
            kinds: kinds of columns, where they don't follow from their types.
            registration: the limits, and what follows from drift.

        Raises:
            CannotJudge: too few rows.
            WrongTable: a kind is given for a column that isn't there, or can't be had; or too many are registered.
        """
        profile = _profiled(frame, kinds)
        now = datetime.now(UTC)
        kept = {
            "at": now.isoformat(),
            **asdict(registration),
            "grid": profile.grid.to_json(),
            "profile": profile.to_json(),
        }
        with self._alone():
            if not self.exists(name) and len(self.names()) >= MOST_PROFILES:
                raise WrongTable(
                    f"{MOST_PROFILES} references are registered, and there may be no more: remove one first "
                    "(DELETE /drift/profiles/NAME)"
                )
            self._change(name, lambda checks: checks.detached(now, "Another reference was registered."))
            write_text(self._file(name), json.dumps(kept))
        return Kept(name, profile, registration, kept["at"])

    def remove(self, name: str) -> None:
        """Forget a reference with its history; its drift is over, and nothing more is done in its name.

        Raises:
            NoProfile: there is none.
        """
        with self._alone():
            if not self.exists(name):
                raise NoProfile(_absent(name))
            detached = self.checks(name).detached(datetime.now(UTC), "The reference was removed.")
            # What closes its alert is kept until it is done, and nothing else.
            self._write(name, Checks(waiting=detached.waiting))
            self._report(name).unlink(missing_ok=True)
            self._file(name).unlink()

    def read(self, name: str) -> Kept:
        """A registered reference.

        Raises:
            NoProfile: there is none.
        """

        def kept(payload: dict[str, Any]) -> Kept:
            profile = Profile.from_json(payload["profile"], Grid.from_json(payload["grid"]))
            policy = DriftPolicy(**payload["policy"])
            registration = Registration(policy, payload.get("webhook"), payload.get("model"))
            return Kept(name, profile, registration, payload["at"])

        known = read_state_by(self._file(name), kept, lost="POST /drift/profiles registers it again")
        if known is None:
            raise NoProfile(_absent(name))
        return known

    def judge(self, name: str, frame: pd.DataFrame) -> dict[str, Any]:
        """Hold a batch against a reference, and keep the report.

        Raises:
            NoProfile: there is no such reference, or it was removed meanwhile.
            Replaced: another one took its place meanwhile.
            WrongTable: a column of the reference is missing, or holds another kind.
            CannotJudge: the batch has no rows.
        """
        stamp = _stamp(self._file(name))
        kept = self.read(name)
        if frame.empty:
            raise CannotJudge("the batch has no rows", "Send some")
        kinds = infer_schema(frame)
        drifts = compare(kept.profile, Profile.of(kept.profile.grid, like_reference(frame, kept.profile.grid, kinds)))
        verdict = drift_verdict(drifts, kept.registration.policy)
        drift = None if verdict.passed is None else not verdict.passed
        with self._alone():
            if _stamp(self._file(name)) != stamp:
                if not self.exists(name):
                    raise NoProfile(f"{name!r} was removed while the batch was held against it; nothing was kept")
                raise Replaced(f"another reference {name!r} was registered meanwhile; send the batch again")
            check = DriftCheck(
                datetime.now(UTC), kept.registered_at, len(frame), drift, verdict.share,
                verdict.drifted[:DRIFTED], verdict.reason,
            )  # fmt: skip
            checks = self._change(name, lambda known: known.checked(check, kept.registration.actions))
            report = {
                "name": name,
                "at": check.at.isoformat(timespec="seconds"),
                "reference_rows": kept.profile.rows,
                "rows": len(frame),
                "drift": drift,
                "drifting_since": checks.drifting.isoformat(timespec="seconds") if checks.drifting else None,
                "reason": verdict.reason,
                "drifted": list(verdict.drifted),
                "features": [asdict(drift) for drift in drifts],
            }
            write_text(self._report(name), json.dumps(_finite(report)))
        return report

    def checks(self, name: str) -> Checks:
        """What was held against a reference, and what follows from it."""
        lost = "the history of the reference begins anew, and drift that lasts is told again"
        return read_state(self._checks(name), Checks, lost=lost) or Checks()

    def change(self, name: str, how: Callable[[Checks], Checks]) -> None:
        """Change what is known of a reference; nothing where it was forgotten."""
        with self._alone():
            if self._checks(name).exists():
                self._change(name, how)

    def forget(self, name: str) -> None:
        """Leave nothing of a reference that was removed, once all is done for it."""
        with self._alone():
            if not self.exists(name) and not self.checks(name).waiting:
                self._checks(name).unlink(missing_ok=True)

    def stamps(self) -> dict[str, tuple[int, int]]:
        """What changes whenever a check is added, by name; references that were removed and have a rest to do, too."""
        files = {file.name.removesuffix(".checks.json"): file for file in self.folder.glob("*.checks.json")}
        return {name: stamp for name, file in sorted(files.items()) if (stamp := _stamp(file))}

    def latest(self, name: str, *, is_model: bool) -> dict[str, Any]:
        """The newest drift report of a model, or of a registered reference.

        Raises:
            NoProfile: there is none yet.
        """
        if is_model:
            return self._latest_of_model(name)
        report = read_state(
            self._report(name), dict[str, Any], lost="the next batch that is held against it writes another"
        )
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

    def _change(self, name: str, how: Callable[[Checks], Checks]) -> Checks:
        before = self.checks(name)
        after = how(before)
        if after != before:
            self._write(name, after)
        return after

    def _write(self, name: str, checks: Checks) -> None:
        write_text(self._checks(name), json.dumps(as_plain(checks)))

    def _alone(self) -> AbstractContextManager[bool]:
        return alone(self.folder / ".lock")

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _report(self, name: str) -> Path:
        return self.folder / f"{name}.report.json"

    def _checks(self, name: str) -> Path:
        return self.folder / f"{name}.checks.json"


def _stamp(file: Path) -> tuple[int, int] | None:
    """What changes whenever a file is replaced; None where there is none."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _absent(name: str) -> str:
    return f"no profile {name!r} was registered; POST /drift/profiles registers one"


def _profiled(frame: pd.DataFrame, kinds: Mapping[str, Kind]) -> Profile:
    """The profile of a reference, with its grid.

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
    return Profile.of(Grid.from_reference(frame, schema), frame)


def _finite(value: Any) -> Any:
    """The same without NaN and infinities, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not -float("inf") < value < float("inf") else value

"""Training a registered version again, from what its tags name, and comparing the bytes.

Here: the libraries a version was trained with, the training again, and what differs when the bytes do. Not here: the
fit (`core.models.model`), where versions are kept (`registry`), the training sets (`model_data`).

Equal rows, recipe, seed and libraries give equal bytes on any number of cores (docs/adr/0009), so a version that
cannot be made again was changed, or something that it was made from was.
"""

from __future__ import annotations

import json
import platform as machine
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from mlops_assets.core.models.families import family_called
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.values.libraries import installed
from mlops_assets.world.mlflow.logged_models import SHA256
from mlops_assets.world.model_data import LABEL
from mlops_assets.world.platform import FITTED_UNTIL, Platform


def code_version() -> str:
    """The commit of the checkout, with `+` when it has changes; `unknown` outside a checkout."""
    import subprocess

    from mlops_assets.world.project import PROJECT

    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
            cwd=PROJECT.root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()


LIBRARIES = "libraries"
"""Tag of a version: the libraries that the bytes of a model depend on, JSON."""
CODE_VERSION = "code_version"
_DECISIVE = ("numpy", "pandas")


@dataclass(frozen=True)
class Reproduction:
    """What training a version again gave.

    Attributes:
        model: the registered model.
        version: the version.
        agrees: whether the bytes are the same; None where it could not be trained again.
        registered: hash of the registered file.
        refitted: hash of the file that was made now; None where none was.
        trained_on: hash of the stored set that it was fitted on.
        ships: `refit` on all rows known then, or the `judged` model itself.
        rows: rows of that set; None where it is gone.
        differences: what is different now from when it was trained, a sentence each.
        remedy: what to do; empty where it agrees.
    """

    model: str
    version: int
    agrees: bool | None
    registered: str
    refitted: str | None
    trained_on: str
    ships: str
    rows: int | None
    differences: tuple[str, ...]
    remedy: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def libraries(packages: Iterable[str] = ("xgboost",), device: str = "cpu") -> dict[str, str]:
    """Python, the machine's architecture, and the libraries that the bytes of a model depend on.

    And the device that they are fitted on, where it is no CPU. A library that came in another distribution than the
    one of its name says in which: its models may differ.
    """
    versions = {name: _version(name) for name in (*_DECISIVE, *packages)}
    other = {"device": device} if device != "cpu" else {}
    return {"machine": machine.machine(), "python": machine.python_version(), **versions, **other}


def _version(library: str) -> str:
    distribution, version = installed(library)
    return version if distribution == library else f"{version} ({distribution})"


def fitted_on(tags: Mapping[str, str]) -> tuple[str, str]:
    """Which stored set a version was fitted on: (`judged` or `refit`, the set's hash).

    Raises:
        ValueError: the version was registered by something else and does not say.
    """
    ships = "judged" if tags.get(SHA256) == tags.get("judged_sha256") else "refit"
    set_hash = tags.get("training_set" if ships == "judged" else "refit_set")
    if not set_hash:
        raise ValueError(
            "The version's tags name no training set, so it was not trained by this platform and cannot be "
            "reproduced. Versions that `mlops retrain` makes can."
        )
    return ships, set_hash


def reproduce(platform: Platform, model: ModelSettings, version: int) -> Reproduction:
    """Fit the version's recipe on its stored rows again and compare the bytes. Registers and writes nothing.

    Raises:
        NoSuchVersion: there is no such version.
        ModelDamaged: the registered file itself is gone or not the one that was registered.
        ValueError: the version does not say what it was trained on.
    """
    from mlops_assets.core.models.families.xgboost import NoGpu
    from mlops_assets.core.models.training import CannotTrain, WrongColumns, fit

    registered = platform.registry.version(model.name, version)
    kept = platform.registry.load(model.name, version)
    ships, trained_on = fitted_on(registered.tags)
    rows, refit_sha256 = None, None
    try:
        # By when its labels were known does not matter here; the tag has it.
        known_by = datetime.fromisoformat(registered.tags[FITTED_UNTIL])
        fitted = platform.data(model).load(trained_on, known_by)
        rows = len(fitted.frame)
        refit_sha256 = fit(kept.recipe, fitted.frame, fitted.frame[LABEL].to_numpy(), base=kept).sha256
        differences = _differences(registered.tags)
        remedy = "" if refit_sha256 == registered.sha256 else _remedy(registered.tags, differences)
    except FileNotFoundError:
        differences = [f"The stored training set {trained_on[:12]} is gone."]
        remedy = (
            f"Restore lake/training_sets/{trained_on}.parquet from a backup. The same sources and dbt models give the "
            f"same set: a home with the files that had landed by {registered.tags[FITTED_UNTIL]} makes it again. "
            "The champion is unchanged."
        )
    except NoGpu as why:
        differences, remedy = [f"It was fitted on a GPU: {why}"], "Run it on the machine that trained."
    except (ValueError, CannotTrain, WrongColumns) as why:
        differences = [f"The stored training set {trained_on[:12]} cannot be trained on: {why}"]
        remedy = f"Restore lake/training_sets/{trained_on}.parquet from a backup. The champion is unchanged."
    return Reproduction(
        model=model.name,
        version=version,
        agrees=None if refit_sha256 is None else refit_sha256 == registered.sha256,
        registered=registered.sha256,
        refitted=refit_sha256,
        trained_on=trained_on,
        ships=ships,
        rows=rows,
        differences=tuple(differences),
        remedy=remedy,
    )


def _differences(tags: Mapping[str, str]) -> list[str]:
    """What is not as it was when the version was trained."""
    then, now = tags.get(CODE_VERSION, "unknown"), code_version()
    differences = []
    if then != now or "unknown" in (then, now):
        differences.append(f"The code was {then}, and is {now}.")
    if then.endswith("+"):
        differences.append("It was trained in a checkout with changes that no commit holds.")
    if LIBRARIES not in tags:
        return [*differences, "The libraries that it was trained with are not on record."]
    before = json.loads(tags[LIBRARIES])
    known = [*family_called(tags.get("family", "xgboost")).libraries, *family_called("linear").libraries]
    present = libraries([name for name in known if name in before], before.get("device", "cpu"))
    changed = [name for name in sorted({*before, *present}) if before.get(name) != present.get(name)]
    return [
        *differences,
        *(f"{name} was {before.get(name, 'absent')}, and is {present.get(name, 'absent')}." for name in changed),
    ]


def _remedy(tags: Mapping[str, str], differences: list[str]) -> str:
    """What to do about other bytes."""
    if not differences:
        return (
            "Rows, recipe, seed, code and libraries are the same, and the bytes are not: the processor's arithmetic "
            "differs, or the registered file was replaced together with its hash. Run it on the machine that trained, "
            "and compare the tag sha256 with the model card. The champion is unchanged."
        )
    commit = tags.get(CODE_VERSION, "unknown").removesuffix("+")
    where = "" if commit == "unknown" else f" `git worktree add ../then {commit}`, `make setup` there,"
    return (
        f"Train it with what it was trained with:{where} then the same `mlops --home ... reproduce` from there. If "
        "that agrees, what differs above is the cause. The champion is unchanged."
    )

"""What a project has agreed on for all of its models together, as its pyproject.toml says it now.

Here: reading the table `[tool.mlops.trainings]`, again whenever the file has changed. Not here: its fields
(`core.decide.fleet.trainings_policy`), finding the project (`world.project`).
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlops_assets.core.decide.fleet.trainings_policy import PLACE, TrainingsPolicy
from mlops_assets.world.declared_files import once

FILE = "pyproject.toml"


def read_trainings_policy(root: Path) -> TrainingsPolicy | None:
    """What is agreed on for all trainings of a project; None where nothing is, and each model decides for itself.

    Args:
        root: the project's folder.

    Raises:
        ValueError: the file cannot be read, or a field has a value that it cannot have.
    """
    return once(("trainings", root), lambda: _read(root / FILE))


def _read(file: Path) -> TrainingsPolicy | None:
    try:
        known = file.stat()
    except FileNotFoundError:
        return None
    return _parsed(file, known.st_mtime_ns, known.st_size, known.st_ino)


@lru_cache(maxsize=16)
def _parsed(file: Path, *stamp: int) -> TrainingsPolicy | None:
    del stamp
    try:
        values: Any = tomllib.loads(file.read_text(encoding="utf-8"))
        for name in PLACE.split("."):
            values = values.get(name, {}) if isinstance(values, dict) else values
        if values == {}:
            return None
        if not isinstance(values, dict):
            raise ValueError(f"{PLACE} is {values!r} and no table: write [{PLACE}] and runs_a_day = 20 below it")
        return TrainingsPolicy.from_table(values)
    except (ValueError, OSError) as error:
        raise ValueError(f"{file}: {str(error).rstrip('.')}. Until it is corrected no training starts.") from error

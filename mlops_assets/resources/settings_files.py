"""Settings as they stand in `defs/**/defs.yaml`, read without Dagster.

Here: all settings of one kind under a folder, and which file declares a model. Not here: the fields (`core.settings`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mlops_assets.core.settings import COMPONENTS, ModelSettings, SourceSettings

SettingsType = TypeVar("SettingsType", SourceSettings, ModelSettings)


def read_settings(folder: Path, kind: type[SettingsType]) -> dict[str, SettingsType]:
    """All settings of one kind under a folder, by name; quick, because Dagster is not loaded.

    Raises:
        ValueError: a file is broken; the message names file and field (`dg check yaml` adds the line).
    """
    found: dict[str, SettingsType] = {}
    for path, document in _documents(folder):
        if COMPONENTS.get(str(document.get("type", "")).rsplit(".", 1)[-1]) is not kind:
            continue
        try:
            settings = kind.model_validate(document.get("attributes") or {})
        except ValueError as error:
            raise ValueError(f"{path}: {error}\nRun `make check` to see the line.") from error
        if settings.name in found:
            raise ValueError(f"{path}: the name {settings.name!r} is taken by another file; names are unique.")
        found[settings.name] = settings
    return found


def settings_file(folder: Path, name: str) -> Path:
    """The file under a folder that declares the model of this name.

    Raises:
        ValueError: there is none.
    """
    for path, document in _documents(folder):
        if str(document.get("type", "")).endswith("MonitoredModel") and document["attributes"]["name"] == name:
            return path
    raise ValueError(f"No file under {folder} declares a monitored model {name!r}. Add it, or correct the name.")


def _documents(folder: Path) -> Iterable[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.rglob("defs.yaml")):
        for document in _parsed(path, path.stat().st_mtime_ns):
            if isinstance(document, dict):
                yield path, document


@lru_cache(maxsize=1024)
def _parsed(path: Path, stamp: int) -> list[Any]:
    """A file's documents; every tick of every sensor asks for them, and they change when a person edits them."""
    del stamp
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))

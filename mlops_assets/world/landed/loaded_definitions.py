"""Which sources and models the definitions at work know, for whoever asks outside of Dagster.

Here: the note that the landing sensor leaves at each tick, and what is not in it. Not here: what is declared
(`sources`, `world.settings_files`), what is done with what is not loaded (`assets.platform.sensors`).

Files are read whenever somebody asks, definitions when Dagster loads them: what was declared since waits.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.home import Home

_FILE = "loaded.json"
_AGAIN = timedelta(minutes=1)
"""A note that says the same is written again after so long."""
_HOLDS = timedelta(minutes=5)
"""With an older note nothing is at work, and what starts next loads all that is declared."""


@dataclass(frozen=True)
class LoadedDefinitions:
    """What the definitions at work knew at a moment.

    Attributes:
        at: by the machine's clock.
        sources: names of landing sources.
        models: names of models.
    """

    at: datetime
    sources: tuple[str, ...]
    models: tuple[str, ...]


def note_loaded(home: Home, *, sources: Collection[str], models: Collection[str]) -> None:
    """Note what is loaded, where the last note says something else or is about to grow old."""
    now = datetime.now(UTC)
    note = LoadedDefinitions(now, tuple(sorted(sources)), tuple(sorted(models)))
    last = _read(home)
    if last is None or (last.sources, last.models) != (note.sources, note.models) or now - last.at > _AGAIN:
        write_text(home.root / _FILE, json.dumps(as_plain(note), indent=2) + "\n")


def not_loaded(home: Home, *, sources: Collection[str], models: Collection[str]) -> list[str]:
    """Those of these sources and models that the definitions at work do not know, each once; none where nothing is.

    Raises:
        DamagedFile: the note cannot be read.
    """
    note = _read(home)
    if note is None or datetime.now(UTC) - note.at > _HOLDS:
        return []
    return sorted({*sources} - {*note.sources} | {*models} - {*note.models})


def _read(home: Home) -> LoadedDefinitions | None:
    return read_state(home.root / _FILE, LoadedDefinitions, lost="the landing sensor writes it anew at its next tick")

"""What a fetch gave, and how far it came.

Here: the result, the note of how far it was, and the error. Not here: fetching (`pull`, `pull_sql`, `pull_objects`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mlops_assets.core.record.plain_values import from_plain
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import DamagedFile, read_state_by

_T = TypeVar("_T")
_NOTE = ".pull.json"


class CannotPull(RuntimeError):
    """What a source is fetched from does not answer, or is not what the YAML says; nothing half was landed."""


@dataclass(frozen=True)
class Pulled:
    """What was fetched.

    Attributes:
        source: which source.
        written: names of the files that are new or have changed.
        looked_at: how many were looked at.
    """

    source: str
    written: tuple[str, ...]
    looked_at: int

    @property
    def sentence(self) -> str:
        """In words."""
        if not self.written:
            return f"{self.source}: nothing new ({self.looked_at} looked at)."
        return f"{self.source}: {len(self.written)} new or changed files, {self.written[0]} to {self.written[-1]}."


def remembered(folder: Path, read: Callable[[dict[str, Any]], _T]) -> _T:
    """How far the last fetch came.

    Args:
        folder: the landing folder of a source.
        read: what the note says, out of its JSON; out of nothing where there is none.

    Raises:
        CannotPull: the note is damaged, or is none of this version.
    """
    lost = "all is looked at again, and what has landed already is not changed"
    try:
        known = read_state_by(folder / _NOTE, lambda plain: read(from_plain(dict[str, Any], plain)), lost=lost)
    except DamagedFile as error:
        raise CannotPull(f"{error} It says how far the last fetch came. Nothing was fetched.") from error
    return read({}) if known is None else known


def remember(folder: Path, state: dict[str, Any]) -> None:
    """Note how far it came."""
    write_text(folder / _NOTE, json.dumps(state, indent=1, sort_keys=True))

"""What a fetch gave, and how far it came.

Here: the result, the note of how far it was, and the error. Not here: fetching (`pull`, `pull_sql`, `pull_objects`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.world.atomic import write_text


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


def remembered(folder: Path) -> dict[str, Any]:
    """How far the last fetch came."""
    file = folder / ".pull.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def remember(folder: Path, state: dict[str, Any]) -> None:
    """Note how far it came."""
    write_text(folder / ".pull.json", json.dumps(state, indent=1, sort_keys=True))

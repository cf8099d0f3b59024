"""What a sensor saw of each model when it looked at it last, in one small file a sensor: `$MLOPS_HOME/looks/`.

Here: reading and writing it beside the sensor's cursor. Not here: what is seen (`steps.decide.revisions`), looking
(`assets.model_looks`).

Dagster writes a cursor into the record of every tick and keeps those for a week: that of a thousand models would fill
more than a gigabyte. So the cursor is the hash of the file. Where the two do not fit, because a tick was killed between
them or a person has set the cursor back, nothing counts as seen, and every model is looked at once more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from mlops_assets.world.atomic import write_bytes
from mlops_assets.world.home import Home


@dataclass(frozen=True)
class KeptLooks:
    """The file of one sensor.

    Attributes:
        home: whose models were looked at.
        asset: of a model, that the sensor is about.
    """

    home: Home
    asset: str

    @property
    def file(self) -> Path:
        """Where it stands."""
        return self.home.root / "looks" / f"{self.asset}.json"

    def read(self, cursor: str | None) -> dict[str, Any]:
        """What was seen at the tick that gave this cursor, by model; nothing where that is not what stands here."""
        if not cursor:
            return {}
        try:
            content = self.file.read_bytes()
        except OSError:  # To lose it costs a look at each model, and what it says is not read by halves.
            return {}
        seen: dict[str, Any] = json.loads(content) if cursor == _cursor(content) else {}
        return seen

    def write(self, seen: Mapping[str, Any], before: str | None) -> str:
        """Keep what was seen; the cursor that goes with it. What is as it was `before` is not written again."""
        content = json.dumps(seen, sort_keys=True, separators=(",", ":")).encode()
        cursor = _cursor(content)
        if cursor != before:
            write_bytes(self.file, content)
        return cursor


def _cursor(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()

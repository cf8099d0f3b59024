"""Replays of a home's history: which home is one, and what those that ended have shown.

Here: the note that a replay leaves in its own home, and finding it from the home whose history it is. Not here: running
one (`simulate.replay`), one that still runs (`commands.running`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime

from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.home import Home

SETTINGS = "replay_settings.json"
"""In the home of a replay: what is replayed."""
_ENDED = "replay_ended.json"


@dataclass(frozen=True)
class EndedReplay:
    """A replay that has come to its end.

    Attributes:
        model: which was replayed.
        start: first day.
        end: the day after the last.
        at: when it ended, UTC.
        headline: what it has shown.
        report: its page.
    """

    model: str
    start: date
    end: date
    at: datetime
    headline: str
    report: str

    @property
    def in_words(self) -> str:
        """In words, with the way to the page."""
        return f"{self.start} to {self.end}, ended {self.at:%Y-%m-%d %H:%M} UTC: {self.headline} Page: {self.report}"


def is_replay(home: Home) -> bool:
    """Whether a home is that of a replay, in which history was lived and nothing begins by itself."""
    return (home.root / SETTINGS).exists()


def note_ended(home: Home, ended: EndedReplay) -> None:
    """Note in a replay's home that it has ended, and with what."""
    write_text(home.root / _ENDED, json.dumps(as_plain(ended), indent=1))


def newest_replays(home: Home) -> dict[str, EndedReplay]:
    """Model -> the replay of it in this home that ended last; a note that is damaged says so in its place.

    Raises:
        DamagedFile: a note cannot be read.
    """
    lost = "nobody is told of that replay"
    files = sorted(home.replays.glob(f"*/{_ENDED}"))
    ended = [replay for file in files if (replay := read_state(file, EndedReplay, lost=lost)) is not None]
    return {replay.model: replay for replay in sorted(ended, key=lambda replay: replay.at)}

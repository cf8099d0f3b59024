"""Which values of its column data have brought to a fleet: each is a member from then on.

Here: the file of a home in which they stand, in the order in which they came. Not here: what a member is
(`core.settings_fleet`), looking into the rows (`steps.predict.fleet_members`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mlops_assets.world.atomic import write_text
from mlops_assets.world.declared_files import once
from mlops_assets.world.files.locks import alone
from mlops_assets.world.files.state_files import DamagedFile, read_state
from mlops_assets.world.home import Home

FOLDER = "fleets"
_LOST = "the values are found again in the rows, at the next landing"


@dataclass(frozen=True)
class BroughtValues:
    """What stands in the file of one fleet.

    Attributes:
        fleet: its name.
        values: oldest first.
        damage: why they are not known.
    """

    fleet: str
    values: tuple[str, ...] = ()
    damage: str = ""


def brought_values(home: Home) -> tuple[BroughtValues, ...]:
    """What data have brought to each fleet of a home; asked for with every look at what is declared."""
    return once(("fleets", home), lambda: tuple(_of_file(*entry) for entry in _files(home)))


def _files(home: Home) -> list[tuple[Path, int, int]]:
    try:
        with os.scandir(home.root / FOLDER) as entries:
            files = [entry for entry in entries if entry.name.endswith(".json")]
            stamps = [(Path(file.path), (stat := file.stat()).st_mtime_ns, stat.st_ino) for file in files]
    except FileNotFoundError:
        return []
    return sorted(stamps)


@lru_cache(maxsize=1024)
def _of_file(path: Path, *stamp: int) -> BroughtValues:
    del stamp
    try:
        return BroughtValues(path.stem, tuple(read_state(path, list[str], lost=_LOST) or ()))
    except DamagedFile as damage:
        return BroughtValues(path.stem, damage=str(damage))


def values_of(home: Home, fleet: str) -> list[str] | None:
    """What data have brought to a fleet; None where nobody has looked yet.

    Raises:
        DamagedFile: the file cannot be read.
    """
    return read_state(_file(home, fleet), list[str], lost=_LOST)


def add_values(home: Home, fleet: str, values: Iterable[str], *, most: int) -> list[str]:
    """Add values to those of a fleet, as long as they are few enough; those that are new.

    Raises:
        DamagedFile: the file cannot be read.
    """
    with alone(home.root / "locks" / f"fleet-{fleet}.lock"):
        known = values_of(home, fleet)
        others = [value for value in dict.fromkeys(values) if value not in set(known or ())]
        new = others[: max(0, most - len(known or ()))]
        if new or known is None:
            write_text(_file(home, fleet), json.dumps([*(known or ()), *new], ensure_ascii=False, indent=1) + "\n")
    return new


def take_over(parent: Home, home: Home) -> None:
    """Give a home the values that data have brought to the fleets of another."""
    for fleet in brought_values(parent):
        if fleet.values:
            add_values(home, fleet.fleet, fleet.values, most=len(fleet.values))


def _file(home: Home, fleet: str) -> Path:
    return home.root / FOLDER / f"{fleet}.json"

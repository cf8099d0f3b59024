"""Links in a landing folder, which are not followed: what they lead to may change, or be half written, without a sign.

Here: which there are, and the sentence about them, without the source's settings. Not here: files that no partition
claims (`landed_files`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.core.values.display import shown, some

NAMED = 3
"""Files that a sentence names."""


@dataclass(frozen=True)
class Unclaimed:
    """Files of a landing folder from which nothing is taken in, all for one reason.

    Attributes:
        files: their names.
        problem: what is the matter with them, as a clause without a full stop.
        remedy: what to do, in a sentence.
    """

    files: tuple[str, ...]
    problem: str
    remedy: str


def links_in(folder: Path) -> list[str]:
    """Names of the links in a folder, in order, but for hidden ones."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(each.name for each in entries if each.is_symlink() and not each.name.startswith("."))


def not_followed(links: Sequence[str]) -> Unclaimed:
    """What is said of links."""
    are = "is a link, and links are" if len(links) == 1 else "are links, and these are"
    named = some([*map(shown, links)], NAMED)
    return Unclaimed(tuple(links), f"{named} {are} not followed", "Put a copy of the file in its place.")

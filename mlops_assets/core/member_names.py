"""What the members of a fleet are called, by their values.

Here: names that are short where values are, and different whatever they are. Imports nothing heavy: commands ask before
settings are read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from hashlib import blake2b

LONGEST_FLEET = 50
"""Characters of a fleet's name, with which those of its members begin."""
_LONGEST = 40


def member_names(fleet: str, values: Iterable[str], *, taken: Iterable[str] = ()) -> dict[str, str]:
    """The names of members by their values, in the order given; what is not plain gets a few characters of a hash.

    Args:
        fleet: its name.
        values: of the column.
        taken: names of other models.
    """
    names: dict[str, str] = {}
    used = {fleet, *taken}
    for value in values:
        ascii_only = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode()
        short = re.sub(r"[^a-z0-9]+", "_", ascii_only.lower()).strip("_")[:_LONGEST].strip("_")
        name = f"{fleet}_{short}"
        if name in used or short != value.lower():
            digest = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
            name = "_".join(filter(None, [fleet, short, digest]))
        names[value] = name
        used.add(name)
    return names

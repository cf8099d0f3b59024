"""What every entry of a record has, of whatever kind.

Here: the base of all kinds, and an entry of a kind that this version does not know. Not here: the kinds (`entries`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from mlops_assets.core.record.plain_values import as_plain


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every entry has.

    Attributes:
        id: an entry with the same one is not written twice.
        model: whose record.
        at: by the model's clock; a person's word has the time it was given.
        hash: of this entry, once it is on record; so are its neighbours linked.
        previous_hash: of the entry before.
    """

    id: str
    at: datetime
    model: str = ""
    hash: str | UnsetType = UNSET
    previous_hash: str | UnsetType = UNSET

    @property
    def kind(self) -> str:
        """What the record calls it."""
        return kind_of(type(self))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they stand on record."""
        values: dict[str, Any] = as_plain(self)
        return values


class OtherEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a kind that this version does not know; see `Entry`."""

    kind: str
    values: Mapping[str, Any]
    id: str
    at: datetime
    model: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they stand on record."""
        return dict(self.values)


def kind_of(entry: type[Entry]) -> str:
    """What the record calls this type of entry."""
    return str(entry.__struct_config__.tag)

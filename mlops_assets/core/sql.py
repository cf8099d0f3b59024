"""Text of SQL that several rooms write. Here: names in quotes. Not here: any statement."""

from __future__ import annotations


def quoted(name: str) -> str:
    """A column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'

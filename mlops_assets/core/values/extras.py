"""Packages that not every installation has: which extra brings one, said where it is missing.

Here: the one way to import such a package. Not here: which extras there are (`pyproject.toml`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Extra = Literal["demo", "evidently", "objects", "river", "sql", "stream"]


class MissingExtra(ImportError):
    """A package is not installed; the message says how it gets there."""


@contextmanager
def importing(extra: Extra, what: str, *, others: str = "") -> Iterator[None]:
    """Import packages of an extra in this block.

    Args:
        extra: that has them.
        what: they are to the reader, such as "Kafka's client".
        others: what to do where it is none of the extra's own, such as the driver of another database.

    Raises:
        MissingExtra: one of them is not installed.
    """
    try:
        yield
    except ImportError as error:
        remedy = f"pip install 'mlops-assets[{extra}]'.{others and ' '}{others}"
        raise MissingExtra(f"{what} is not installed ({error}). Install it: {remedy} Nothing was changed.") from error

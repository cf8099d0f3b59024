"""Packages that not every installation has: which extra brings one, said where it is missing.

Here: the one way to import such a package. Not here: which extras there are (`pyproject.toml`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Literal

Extra = Literal["demo", "evidently", "objects", "river", "sql", "stream"]


class MissingExtra(ImportError):
    """A package is not installed; the message says how it gets there."""


def install_command(extra: Extra) -> str:
    """What to type for the packages of an extra."""
    return f"pip install 'mlops-assets[{extra}]'"


def is_installed(module: str) -> bool:
    """Whether a package can be imported, for a page that goes without its plots; nothing is imported."""
    return find_spec(module) is not None


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
        more = f" {others}" if others else ""
        raise MissingExtra(
            f"{what} is not installed ({error}). Install it: {install_command(extra)}.{more} Nothing was changed."
        ) from error

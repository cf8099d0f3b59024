"""Which version of a library is installed, whatever distribution it comes in.

Here: the names of distributions that hold the same library. Not here: which libraries a model depends on
(`core.models.families`).
"""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

SAME: dict[str, tuple[str, ...]] = {"xgboost": ("xgboost-cpu", "xgboost")}
"""Library -> distributions. One of XGBoost's has no code for GPUs; models with categories differ in a few splits."""


def installed(library: str) -> tuple[str, str]:
    """The distribution that a library is installed from, and its version.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    if not (distributions := all_installed(library)):
        raise PackageNotFoundError(library)
    return distributions[0]


def all_installed(library: str) -> list[tuple[str, str]]:
    """All distributions of a library that are installed; of two, each has overwritten files of the other."""
    distributions = []
    for name in SAME.get(library, (library,)):
        with suppress(PackageNotFoundError):
            distributions.append((name, version(name)))
    return distributions

"""Fetching a source's files from where they are, for sources that nobody sends.

Here: choosing how, and what was fetched in words. Not here: databases (`pull_sql`), object stores (`pull_objects`),
when it is done (`assets.pull_job`).
"""

from __future__ import annotations

import json
import os
from typing import Any

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.steps.land.pull_state import CannotPull, Pulled
from mlops_assets.world.home import Home


def is_configured(source: SourceSettings) -> bool:
    """Whether it is to be fetched, and the environment says from where."""
    return source.pull is not None and bool(os.environ.get(source.pull.url_env))


def pull(home: Home, source: SourceSettings) -> Pulled:
    """Fetch what is new of a source into its landing folder.

    A kill at any moment leaves whole files, and a note of how far it was that may be old: the next call looks at more
    than it has to, and writes the same.

    Raises:
        CannotPull: it cannot be read; the message says what to do.
        ValueError: the source is not one that is fetched.
    """
    if source.pull is None:
        raise ValueError(f"{source.name} has no `pull`: its files are sent. See docs/sources.md#pull.")
    if home.settings.landing is not None:
        raise ValueError(f"{home.root} reads the landing folder of another home: fetch into that. Nothing was fetched.")
    if not os.environ.get(source.pull.url_env):
        raise CannotPull(f"{source.pull.url_env} is not set: it says where {source.name} is. Nothing was fetched.")
    if source.pull.kind == "sql":
        from mlops_assets.steps.land.pull_sql import pull_sql as fetch
    else:
        from mlops_assets.steps.land.pull_objects import pull_objects as fetch
    return fetch(home.landing / source.name, source, os.environ[source.pull.url_env], _options(source.pull.options_env))


def _options(variable: str | None) -> dict[str, Any]:
    text = os.environ.get(variable or "", "").strip() or "{}"
    try:
        options = json.loads(text)
    except ValueError as error:
        raise CannotPull(
            f"{variable} is no JSON ({error}): write an object of options. Nothing was fetched."
        ) from error
    if not isinstance(options, dict):
        raise CannotPull(f"{variable} is no JSON object: write the options as one. Nothing was fetched.")
    return options

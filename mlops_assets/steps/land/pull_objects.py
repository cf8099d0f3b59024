"""Files of an object store, fetched as far as they are new or have changed.

Here: listing and copying through fsspec (s3fs for S3 and what speaks like it). Not here: judging rows.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.extras import MissingExtra, importing
from mlops_assets.steps.land.pull_state import CannotPull, Pulled, remember, remembered
from mlops_assets.world.atomic import replacing


def pull_objects(folder: Path, source: SourceSettings, url: str, options: dict[str, Any]) -> Pulled:
    """Copy the objects under an address whose names the source's `files` match, if they are not here as they are there.

    An object that is written anew under its name, or a late one under a new name, is fetched like any other: of several
    files for one partition the newest holds it whole, by the time it was written in the store.

    Args:
        folder: the landing folder of the source.
        source: with `pull`.
        url: the prefix, such as s3://bucket/feed.
        options: of fsspec's file system, such as `{"endpoint_url": "…"}`.

    Raises:
        CannotPull: no connection, no such place.
        MissingExtra: what reads this kind of store is not installed.
    """
    import fsspec

    try:
        with importing("objects", f"What reads {url}", others="It has S3's; others are packages of their own."):
            store, root = fsspec.core.url_to_fs(url, **options)
        store.invalidate_cache()
        objects = store.find(root, detail=True)
    except MissingExtra:
        raise
    except Exception as error:  # each store has errors of its own
        raise CannotPull(f"{url} cannot be listed ({error}). Correct address, rights or options.") from error
    known = remembered(folder, _marks)
    wanted = {Path(path).name: (path, info) for path, info in sorted(objects.items()) if _is_wanted(source, path)}
    written = []
    for name, (path, info) in wanted.items():
        if known.get(name) == (mark := _mark(info)) and (folder / name).exists():
            continue
        _fetch(store, path, info, folder / name)
        written.append(name)
        known = {**known, name: mark}
        remember(folder, {"objects": known})
    return Pulled(source.name, tuple(written), len(wanted))


def _marks(state: dict[str, Any]) -> dict[str, str]:
    """What was fetched before, by name."""
    return {name: str(mark) for name, mark in state.get("objects", {}).items()}


def _is_wanted(source: SourceSettings, path: str) -> bool:
    from mlops_assets.world.landed.landed_files import partition_of_file

    return partition_of_file(source, Path(path).name) is not None


def _mark(info: dict[str, Any]) -> str:
    """What changes when an object does."""
    tag = info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("LastModified")
    return f"{info.get('size')}:{tag}"


def _fetch(store: Any, path: str, info: dict[str, Any], target: Path) -> None:
    """One object, whole or not at all, with the time that it has there."""
    try:
        with replacing(target) as temporary:
            store.get_file(path, str(temporary))
            written_at = info.get("LastModified") or info.get("mtime")
            if isinstance(written_at, datetime):
                written_at = written_at.timestamp()
            if isinstance(written_at, int | float):
                os.utime(temporary, (written_at, written_at))
    except OSError as error:
        raise CannotPull(f"{path} cannot be fetched ({error}). The next fetch tries again.") from error

"""The small JSON files in which a home keeps what it knows from one command to the next.

Here: the one way to read them, so that damage is a sentence: which file, what is wrong, what is lost with it. Not here:
what they hold (the modules that write them), JSON lines of a record (`record.chain`), YAML (`declared_files`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mlops_assets.core.record.plain_values import from_plain
from mlops_assets.core.values.display import harmless
from mlops_assets.world.atomic import json_value

_T = TypeVar("_T")
_MOST = 200
"""Characters of a reason: some quote a value of the file."""


class DamagedFile(ValueError):
    """A file of the platform's own cannot be read; the message names it and ends in the remedy."""


def read_state(path: Path, kind: type[_T], *, lost: str) -> _T | None:
    """The values in a file; None where there is none.

    Args:
        path: the file.
        kind: their type, of any depth.
        lost: what follows from deleting the file, in words that go on after a colon.

    Raises:
        DamagedFile: it cannot be read, or holds something else.
    """
    return read_state_by(path, lambda plain: from_plain(kind, plain), lost=lost)


def read_state_by(path: Path, parse: Callable[[Any], _T], *, lost: str) -> _T | None:
    """The same, where a function makes the value of what the JSON says."""
    try:
        if not (path.exists() or path.is_symlink()):
            return None
        content = path.read_bytes()
    except PermissionError as error:
        raise DamagedFile(
            f"{path} cannot be read (permission denied). Give the right to read it: chmod u+r {path}. "
            "Nothing was changed."
        ) from error
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():  # it went away just now
            return None
        raise DamagedFile(f"{path} cannot be read ({error.strerror}). {_remedy(lost)}") from error
    try:
        if not content.strip():
            raise ValueError("it is empty")
        return parse(json_value(content))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise DamagedFile(f"{path} cannot be read ({harmless(why)[:_MOST]}). {_remedy(lost)}") from error


def _remedy(lost: str) -> str:
    return f"Restore it from a backup, or delete it: {lost}. Nothing was changed."

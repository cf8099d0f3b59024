"""Which files of tables a path, a folder or a glob means.

Here: their names, each file once, and the refusal of what is no table by its name. Not here: opening them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlops_assets.world.files.refused_files import PARQUET

CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


def matches(name: str) -> list[Path]:
    """The files that a path, a folder or a glob means, each once: a link to one of them is none beside it.

    Raises:
        FileNotFoundError: there are none.
        ValueError: one of them is neither Parquet nor CSV by its name, or no regular file; none was opened.
    """
    asked = Path(name).expanduser()
    if asked.is_dir():
        paths = [path for path in sorted(asked.rglob("*")) if _is_table(path) and not path.is_dir()]
    elif asked.exists():
        paths = [asked]
    else:
        root = Path(asked.anchor)
        paths = [path for path in sorted(root.glob(str(asked.relative_to(root)))) if not path.is_dir()]
    # Whoever opens a pipe waits until another program writes into it.
    if special := next((path for path in paths if not path.is_file()), None):
        raise ValueError(
            f"{special} is no regular file: a pipe, a device, or a link to nothing. Put the file itself there, or give "
            "files without it. Nothing was changed."
        )
    if not paths:
        raise FileNotFoundError(
            f"No file matches {name!r}. Give a Parquet or CSV file, a folder of them, or a glob in quotes such as "
            "'days/*.parquet'."
        )
    wrong = [path for path in paths if not _is_table(path)]
    if wrong:
        raise ValueError(
            f"{wrong[0]} is neither Parquet nor CSV by its name. Give files that end in "
            f"{', '.join((*PARQUET, *CSV))}, or narrow the glob."
        )
    return _once(paths)


def _once(paths: Sequence[Path]) -> list[Path]:
    """Each file under one name: its own rather than a link's."""
    kept: dict[tuple[int, int], Path] = {}
    for path in sorted(paths, key=Path.is_symlink):
        stat = path.stat()
        kept.setdefault((stat.st_dev, stat.st_ino), path)
    return [path for path in paths if path in kept.values()]


def _is_table(path: Path) -> bool:
    return path.name.lower().endswith((*PARQUET, *CSV)) and not path.name.startswith(".")

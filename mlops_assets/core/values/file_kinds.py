"""What a file is by its first bytes, held against what its name says.

Here: the kinds that people take for a table by mistake, and what to do about each. Not here: reading files
(`world.files`), how a CSV file is written (`csv_head`).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping

START = 4_096
"""So many bytes tell what a file is."""
_EXPORT = "export the table as CSV or Parquet"
_SHEET = "save its sheet as CSV (UTF-8)"
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"PAR1", "Parquet", "name it {stem}.parquet"),
    (b"\x1f\x8b", "gzip", "name it {stem}.csv.gz"),
    (b"BZh", "bzip2", "unpack it first"),
    (b"\xfd7zXZ\x00", "xz", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unpack it first"),
    (b"PK\x03\x04", "a zip archive (an Excel workbook is one)", f"unpack it, or {_SHEET}"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook", _SHEET),
    (b"\xff\xfe", "text in UTF-16", "convert it: iconv -f utf-16 -t utf-8 OLD > NEW"),
    (b"\xfe\xff", "text in UTF-16", "convert it: iconv -f utf-16 -t utf-8 OLD > NEW"),
    (b"SQLite format 3\x00", "a SQLite database", _EXPORT),
    (b"ARROW1", "an Arrow (Feather) file", _EXPORT),
    (b"ORC", "an ORC file", _EXPORT),
    (b"Obj\x01", "an Avro file", _EXPORT),
    (b"\x89HDF", "an HDF5 file", _EXPORT),
    (b"%PDF-", "a PDF", _EXPORT),
    (b"\x89PNG", "a picture", _EXPORT),
    (b"\xff\xd8\xff", "a picture", _EXPORT),
    (b"GIF8", "a picture", _EXPORT),
)
_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:(?P<html><!doctype html|<html)|(?P<xml><\?xml)|(?P<json>[\[{]\s*[\[{\"]))", re.I
)
_TOLD = {"html": "a web page (an error page, say)", "xml": "XML", "json": "JSON"}
_BY_NAME: Mapping[str, str] = {
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".gz": "gzip",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".zst": "zstd",
    ".zip": "a zip archive (an Excel workbook is one)",
}
TEXT = "text"


def fault_of_kind(name: str, start: bytes) -> str:
    """What is wrong with a file that is not what its ending says, ending in the remedy; empty where nothing is known.

    Args:
        name: its name, without a folder; an ending that is not known stands for text such as CSV.
        start: its first bytes (`START`), as they lie on the disk.
    """
    expected = _BY_NAME.get(name[name.rfind(".") :].lower(), TEXT)
    if any(start.startswith(beginning) for beginning, kind, _ in _BEGINNINGS if kind == expected):
        return ""
    actual, remedy = _kind(start)
    if actual in ("", expected):
        return ""
    said = "text such as CSV" if expected == TEXT else expected
    stem = re.sub(r"(\.(csv|tsv|txt|parquet|pq|gz|bz2|xz|zst|zip))+$", "", name, flags=re.I)
    return f"is {actual} by its content, and {said} by its name: {remedy.format(stem=stem)}"


def fault_inside(name: str, start: bytes) -> str:
    """The same of what a file in gzip holds; `name` is the file's own."""
    if start.startswith(b"\x1f\x8b"):
        return "is gzip within gzip: unpack it once (gunzip -c OLD > NEW)"
    return fault_of_kind(name[: name.rfind(".")], start)


def _kind(start: bytes) -> tuple[str, str]:
    """What it is, and what to do where it should be something else; two empty texts where nobody knows."""
    for beginning, kind, remedy in _BEGINNINGS:
        # Three letters may begin the names of columns; what follows in such a file does not.
        if start.startswith(beginning) and not (beginning.isalnum() and _is_text(start)):
            return kind, remedy
    if markup := _MARKUP.match(start):
        return _TOLD[str(markup.lastgroup)], _EXPORT
    return (TEXT, "name it {stem}.csv") if start.strip() and _is_text(start) else ("", "")


def _is_text(start: bytes) -> bool:
    try:
        # What is cut off in the middle of a letter is no fault.
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return not re.search("[\x00-\x08\x0e-\x1f]", text)

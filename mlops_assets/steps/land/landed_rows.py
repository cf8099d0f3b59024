"""The rows of a landed file as a frame: CSV as texts, which the contract casts, Parquet with its own types.

Here: reading bytes, and what is no row of a text. Not here: what the contract says of the rows (`taking_in`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.display import row_numbers, shown
from mlops_assets.world.home import Limits
from mlops_assets.world.parquet import exact_frame

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.values.csv_head import CsvHead
    from mlops_assets.world.files.empty_rows import RowNumbers


@dataclass(frozen=True, eq=False)
class LandedRows:
    """The rows of a file.

    Attributes:
        frame: the rows as they came.
        empty: numbers, from 0, of those without a value in any cell, which are not in it.
    """

    frame: pd.DataFrame
    empty: Sequence[int] | RowNumbers = ()


def parse(name: str, content: bytes, source: SourceSettings, limit: int = Limits().file_bytes) -> pd.DataFrame:
    """The rows of a landed file; see `rows_in`."""
    return rows_in(name, content, source, limit).frame


def rows_in(name: str, content: bytes, source: SourceSettings, limit: int) -> LandedRows:
    """A landed file as a frame.

    Raises:
        ValueError: the bytes are no table, are more than `limit` without their packing, or the columns have no names of
            their own.
    """
    from mlops_assets.core.values.file_kinds import START, fault_inside, fault_of_kind
    from mlops_assets.world.files.parquet_rows import ParquetRows
    from mlops_assets.world.files.unpacked_size import refuse_nul, unpacked

    if why := fault_of_kind(name, content[:START]):
        raise ValueError(f"it {why}")
    if name.endswith(".parquet"):
        return LandedRows(_without_words(exact_frame(ParquetRows(content, limit).table()), source))
    text = unpacked(name, content, limit)
    if text is not content and (why := fault_inside(name, text[:START])):
        raise ValueError(f"it {why}")
    refuse_nul("", io.BytesIO(text))
    return _csv_rows(text, source.null_values)


def _csv_rows(content: bytes, missing: Sequence[str]) -> LandedRows:
    import pandas as pd

    from mlops_assets.core.values.csv_head import LONGEST_CELL, NoHead, head_of
    from mlops_assets.core.values.csv_quotes import fault_of_quotes
    from mlops_assets.world.files.csv_lines import long_row, not_utf8
    from mlops_assets.world.files.empty_rows import may_have_empty_rows, rows_without_values

    try:
        start = content[:LONGEST_CELL].decode("utf-8", errors="replace")
        head = head_of(start, is_cut=len(content) > LONGEST_CELL)
        if b'"' in content and (why := fault_of_quotes(io.BytesIO(content), head)):
            raise ValueError(f"it {why}")
        how: dict[str, Any] = {"sep": head.separator, "skiprows": head.skipped, "dtype": str, "keep_default_na": False}
        frame = pd.read_csv(io.BytesIO(content), na_values=list(missing), **how)
    except UnicodeDecodeError as error:
        raise ValueError(f"it {not_utf8(content)}") from error
    except pd.errors.ParserError as error:
        raise ValueError(f"its {long_row(io.BytesIO(content), head) or str(error).strip()}") from error
    except NoHead as error:
        raise ValueError(f"it {error}") from None
    if not isinstance(frame.index, pd.RangeIndex):
        # pandas takes surplus cells for row labels and shifts all others.
        raise ValueError(f"its {long_row(io.BytesIO(content), head)}")
    if frame.columns.has_duplicates:
        twice = ", ".join(sorted({shown(str(c)) for c in frame.columns[frame.columns.duplicated()]}))
        raise ValueError(f"it has the column {twice} twice")
    frame = _named_columns(_without_missing(frame, missing), head)
    if not may_have_empty_rows(io.BytesIO(content), head):
        return LandedRows(frame)
    empty = rows_without_values(pd.read_csv(io.BytesIO(content), na_values=[], **how))
    return LandedRows(frame.drop(index=pd.Index(empty)).reset_index(drop=True), empty)


def _named_columns(frame: pd.DataFrame, head: CsvHead) -> pd.DataFrame:
    """The rows without columns that have neither a name nor a value, as a spreadsheet writes of cells it once had.

    Raises:
        ValueError: one without a name has a value: cells may have moved to the right.
    """
    unnamed = [place for place, name in enumerate(head.names[: frame.shape[1]]) if not name.strip()]
    for place in unnamed:
        cells = frame.iloc[:, place]
        if cells.notna().any():
            row = int(cells.notna().to_numpy().argmax())
            raise ValueError(
                f"its column {place + 1} has no name, and a value in {row_numbers([row])} ({shown(cells.iloc[row])}): "
                "write a name into the header, or remove the column"
            )
    return frame.drop(columns=frame.columns[unnamed])


def _without_missing(frame: pd.DataFrame, missing: Sequence[str]) -> pd.DataFrame:
    """Cells that mean missing are, also with blanks around them, as in UCI's tables (`State, ?, 17`)."""
    for name, cells in frame.items():
        spaced = {text for text in cells.dropna().unique() if text[:1].isspace() or text[-1:].isspace()}
        if meant := {text for text in spaced if text.strip() in missing}:
            frame[name] = cells.mask(cells.isin(meant))
    return frame


def _without_words(frame: pd.DataFrame, source: SourceSettings) -> pd.DataFrame:
    """Rows of a Parquet file without the texts that mean missing, where the source's YAML says which do."""
    import pandas as pd

    words = source.null_values if source.says_missing else []
    for name in frame.columns if words else ():
        if pd.api.types.infer_dtype(frame[name], skipna=True) == "string":
            frame[name] = frame[name].mask(frame[name].isin(words))
    return frame

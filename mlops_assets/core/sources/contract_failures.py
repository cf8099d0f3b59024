"""Failures of a contract in words: what is wrong, in how many rows, and what to do.

Not here: finding them (`contract_check`, `contract_cast`), the contract (`contract`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import inf
from re import match
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.sources.contract import Column, Failure, SourceContract
from mlops_assets.core.time.windows import Window
from mlops_assets.core.values import text_numbers, text_times
from mlops_assets.core.values.column_names import apart, look_of
from mlops_assets.core.values.display import row_numbers, shown
from mlops_assets.core.values.exact import holds_nul, whole_of, whole_up_to
from mlops_assets.core.values.text_codes import clocks_among
from mlops_assets.core.values.text_formats import NUMBER_FORMATS, NUMBERS_IN_WORDS

_SAMPLE = 5
"""Values shown with a failure: enough to recognise the fault, few enough to read."""
NUL = "programs cut a text at its NUL character"


def wrong_type(name: str, column: Column, raw: pd.Series, bad: NDArray[np.bool_]) -> Failure:
    """The failure of a column some of whose cells can't be cast."""
    cells = raw[bad].head(_SAMPLE)
    sample = sample_of(raw[bad])
    known = "" if column.format is None else f", written as {column.format}"
    sentence = (
        f"{_rows(bad)} of {name} ({_where(bad)}) can't be read as {column.type}{known} "
        f"({_sample(sample)}): {_remedy(column, cells)}."
    )
    return Failure("type", name, int(bad.sum()), sample, sentence)


def endless_notes(endless: Mapping[str, NDArray[np.bool_]]) -> list[str]:
    """A sentence on each column with cells that are infinite or no number."""
    return [
        f"{_rows(rows)} of {name} ({_where(rows)}): infinite or NaN, so missing."
        for name, rows in endless.items()
        if rows.any()
    ]


def mixed_marks(contract: SourceContract, name: str, raw: pd.Series) -> tuple[Failure, NDArray[np.bool_]] | None:
    """The failure of a column in which the same digits may mean two numbers, and its rows; None where none do."""
    written: Any = contract.columns[name].format
    is_open = contract.has_open_mark(name)
    if written not in NUMBER_FORMATS and not is_open:
        return None
    texts = {cell for cell in raw if isinstance(cell, str)}
    doubted = text_numbers.without_proof(texts) if is_open else text_numbers.in_doubt(texts, written)
    if not doubted:
        return None
    bad = raw.isin(doubted).to_numpy(dtype=np.bool_)
    sample, (mark, other) = sample_of(raw[bad]), (".", ",") if is_open or written.startswith("point") else (",", ".")
    sentence = f"{_rows(bad)} of {name} ({_where(bad)}) can be read in two ways ({_sample(sample)}): as thousands, "
    if is_open:
        sentence += (
            "as other columns have them, whose decimals are behind a comma, or as decimals: say which with `format: "
            "comma` or `format: point` in the contract."
        )
    else:
        sentence += (
            f"which `format: {written}` says, or as decimals, which others have behind a {_MARKS[mark]}: write all "
            f"decimals behind a {_MARKS[mark]}, and thousands without a {_MARKS[other]}."
        )
    return Failure("type", name, int(bad.sum()), sample, sentence), bad


_MARKS = {".": "point", ",": "comma"}


def _where(bad: NDArray[np.bool_]) -> str:
    return row_numbers(np.flatnonzero(bad).tolist(), _SAMPLE)


def _remedy(column: Column, cells: pd.Series) -> str:
    """What to do about cells that are of another type, or would lose digits in this one."""
    whole = [whole for value in cells if (whole := whole_of(value)) is not None]
    if column.type == "integer" and (zero := next(filter(_is_led_by_zero, cells), None)) is not None:
        return (
            f"as an integer {shown(zero.strip())} would be one with what has no leading zero, so declare `type: "
            "string` in the contract, or `type: number` if it is an amount"
        )
    most = whole_up_to(cells.dtype)
    floats = [abs(float(value)) for value in cells if isinstance(value, float | np.floating)]
    if column.type in ("integer", "string") and any(most < size < inf for size in floats):
        bits = f"2^{most.bit_length() - 1}"
        return f"a float beyond {bits} has lost digits, so deliver the column as integers, decimals or text"
    if column.type == "integer" and whole:
        return "an integer has 64 bits, so declare `type: string` to keep all digits"
    if column.type == "number" and whole:
        fits = all(-(2**63) <= each < 2**63 for each in whole)
        kinds = "`type: integer` or `type: string`" if fits else "`type: string`"
        return f"a float would lose their last digits, so declare {kinds}"
    if column.type == "string" and any(isinstance(value, bytes) for value in cells):
        return "the bytes are no UTF-8 text, so deliver the column as text"
    if any(holds_nul(value) for value in cells):
        return f"{NUL}, so correct the values"
    if column.type == "integer" and (fraction := next(filter(_is_fraction, cells), None)) is not None:
        return f"{shown(str(fraction))} is no whole number, so correct the values, or declare `type: number`"
    if (words := next((words for form, words in NUMBERS_IN_WORDS.items() if form == column.format), None)) is not None:
        return f"write all as {words}, or change `format` in the contract with the whole file"
    if time_like := next(filter(None, (_no_number(column, value) for value in cells)), ""):
        return time_like
    why = next(filter(None, (hint_of(column, value) for value in cells)), "")
    place = " in the contract" if "`" in why else ""
    return f"correct the values, or declare another type{why and f' ({why}{place})'}"


def _is_led_by_zero(cell: Any) -> bool:
    """Whether a cell is a text of digits after a zero."""
    text = cell if isinstance(cell, str) else ""
    return match(text_numbers.LEADING_ZERO, text) is not None and not text_numbers.look_at([text]).failed


def _is_fraction(cell: Any) -> bool:
    """Whether a cell is a number between two whole ones."""
    try:
        number = Decimal(cell) if isinstance(cell, str | Decimal) else Decimal(float(cell))
        return number.is_finite() and number != number.to_integral_value()
    except (TypeError, ValueError, ArithmeticError):
        return False


def hint_of(column: Column, value: Any) -> str:
    """What to write in the contract so that a value can be read, as far as it can be told; else empty."""
    if column.type in ("timestamp", "date"):
        return text_times.hint(value)
    return _no_number(column, value) or (text_numbers.hint(value) if column.type in ("number", "integer") else "")


def _no_number(column: Column, value: Any) -> str:
    """Why a moment, a time of day or a length of time is no number, and what to do; else empty."""
    if column.type not in ("number", "integer", "boolean"):
        return ""
    if isinstance(value, date):
        return f"{shown(str(value))} is a moment and no {column.type}, so declare `type: timestamp`"
    clocks = clocks_among([str(value)])
    if not (clocks.most and isinstance(value, str | time | timedelta)):
        return ""
    is_length = bool(clocks.lengths) or isinstance(value, timedelta)
    what = "length of time" if is_length else "time of day or a length of time"
    return f"{shown(str(value))} is a {what}, so deliver it as a number, in minutes or seconds"


def shape_failures(contract: SourceContract, frame: pd.DataFrame) -> list[Failure]:
    """Columns that are absent, or not expected; one of each is taken for a renaming."""
    n = len(frame)
    if len(frame.columns) and not any(name in frame.columns for name in contract.columns):
        # Whatever this is, its first line is not ours to repeat.
        sentence = (
            f"None of the {len(contract.columns):,} columns of the contract is in the file, which has "
            f"{len(frame.columns):,} others: it is another table, or its header is missing. Send the right file."
        )
        return [Failure("missing_column", None, n, (), sentence)]
    missing = [c for c, d in contract.columns.items() if d.required and c not in frame.columns]
    extra = [shown(str(c)) for c in frame.columns if c not in contract.columns]
    if len(missing) == 1 and len(extra) == 1:
        unlike = _unlike(missing[0], next(str(c) for c in frame.columns if c not in contract.columns))
        sentence = (
            f"Column {missing[0]} is missing and {extra[0]} is not declared{unlike}; did you rename {missing[0]} to "
            f"{extra[0]}? Rename it back in the file, or change the contract and the dbt staging model."
        )
        return [Failure("missing_column", missing[0], n, (extra[0],), sentence)]
    failures = [
        Failure(
            "missing_column",
            name,
            n,
            (),
            f"Column {name} is missing: add it to the file, or declare it `required: false`.",
        )
        for name in missing
    ]
    if contract.extra == "forbid":
        failures += [
            Failure(
                "extra_column",
                name,
                n,
                (),
                f"Column {name} is not declared: add it to the contract, or set `extra: ignore`.",
            )
            for name in extra
        ]
    return failures


def _unlike(declared: str, there: str) -> str:
    """How a name differs from a declared one that looks the same; empty where everyone sees it."""
    is_seen = declared.isascii() and there.isascii()
    return (
        ""
        if is_seen or look_of(declared).casefold() != look_of(there).casefold()
        else f" (they look alike: {', '.join(apart([declared, there]))})"
    )


def sentence_of(
    contract: SourceContract,
    rule: str,
    column: str | None,
    rows: NDArray[np.bool_],
    sample: tuple[Any, ...],
    partition: Window | None,
    now: datetime | None,
) -> str:
    """What is wrong and what to do, for a person."""
    many, n, values = _rows(rows), len(rows), _sample(_local(sample, contract.tz))
    # A message is a row by itself.
    place = f" ({_where(rows)})" if n > 1 and rows.any() else ""
    share = f"{rows.mean():.1%}" if n else "0 %"
    promise = contract.columns[column] if column is not None else None
    if rule == "row_count":
        top = "any number" if contract.max_rows is None else f"{contract.max_rows:,}"
        what = "The file is empty" if n == 0 else f"The file has {n:,} rows"
        return f"{what} and {contract.min_rows:,} to {top} are expected: deliver it again, or change `rows`."
    if rule == "unique":
        keys = ", ".join(contract.unique)
        return f"{many}{place} share their key ({keys}) with another row: remove the duplicates, or widen `unique`."
    if promise is None or rule not in _SENTENCES:
        return f"{many}{place} break the rule {rule} of {column or 'the file'}: correct the file."
    window = f"{partition.label(contract.tz)} ({contract.tz})" if partition is not None else ""
    facts = {
        "min": promise.min,
        "max": promise.max,
        "limit": f"{promise.new_category_share:.1%}",
        "usual": " to ".join(f"{bound:g}" for bound in promise.usual or ()),
        "odd": f"{promise.unusual_share:.1%}",
        "nulls": f"{promise.max_null_share or 0.0:.1%}",
        "window": window,
        "now": f"{now:%Y-%m-%d %H:%M} UTC" if now is not None else "",
        "type": promise.type,
        "are": "is" if rows.sum() == 1 else "are",
        "lie": "lies" if rows.sum() == 1 else "lie",
    }
    return _SENTENCES[rule].format(many=many, column=f"{column}{place}", share=share, sample=values, **facts)


_SENTENCES: Mapping[str, str] = {
    "null": "{many} of {column} {are} missing and none may be: deliver the values, or set `nullable: true`.",
    "null_share": "{many} of {column} {are} missing ({share}, at most {nulls}): deliver the values, or raise "
    "`max_null_share`.",
    "min": "{many} of {column} {are} below {min} ({sample}): correct the values, or lower `min`.",
    "max": "{many} of {column} {are} above {max} ({sample}): correct the values, or raise `max`.",
    "usual": "{many} of {column} {lie} outside {usual} ({sample}; {share} of all, at most {odd}): correct the values "
    "(has a unit changed?), or widen `usual`.",
    "allowed": "{many} of {column} {are} unknown ({sample}; {share} of all, at most {limit}): correct the "
    "values, or add them to `allowed`.",
    "partition": "{many} of {column} {lie} outside {window} ({sample}): move the rows to the file of their own period.",
    "future": "{many} of {column} {are} later than {now} ({sample}): correct the clock or the time zone of the source.",
    "type": "{column} is not of type {type}: declare another type, or correct the file.",
}


def sample_of(values: pd.Series) -> tuple[Any, ...]:
    """A few different values, to be shown; lists and the like, of which there is no set, by their text."""
    cells = values.dropna()
    try:
        return tuple(cells.drop_duplicates().head(_SAMPLE).tolist())
    except TypeError:
        return tuple(cells.map(str).drop_duplicates().head(_SAMPLE).tolist())


def _local(sample: tuple[Any, ...], zone: str) -> tuple[Any, ...]:
    """Moments by the clock of the source, as they stand in its file, where that has such a day."""
    with suppress(OverflowError):  # pandas' own moments would be written without their offset
        plain = [v.to_pydatetime(warn=False) if isinstance(v, pd.Timestamp) else v for v in sample]
        return tuple(v.astimezone(ZoneInfo(zone)) if isinstance(v, datetime) and v.tzinfo else v for v in plain)
    return sample


def _sample(sample: tuple[Any, ...]) -> str:
    return ", ".join(shown(str(v)) for v in sample)


def _rows(rows: NDArray[np.bool_]) -> str:
    n = int(rows.sum())
    return f"{n:,} row{'' if n == 1 else 's'}"

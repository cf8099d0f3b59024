"""How the texts of a column may be written, by name, and in words.

Here: what a contract may say under `format`, and what a person is told. Not here: reading them (`text_times`,
`text_numbers`), which need pandas; a contract is read without.
"""

from __future__ import annotations

from typing import Literal, get_args

DateOrder = Literal["dmy", "mdy"]
TimeFormat = Literal[
    "dmy", "mdy", "s", "ms", "us", "ns", "excel", "yyyymmdd", "yyyymm", "yyyy",
    "yyyymmddhh", "yyyymmddhhmm", "yyyymmddhhmmss", "yymmddhhmm",
]  # fmt: skip
"""How the times of a column are written, where it is not ISO 8601."""
TIME_FORMATS: tuple[TimeFormat, ...] = get_args(TimeFormat)
DATE_ORDERS: tuple[DateOrder, ...] = get_args(DateOrder)
TIMES_IN_WORDS: dict[TimeFormat, str] = {
    "dmy": "dates with the day first",
    "mdy": "dates with the month first",
    "s": "seconds since 1970",
    "ms": "milliseconds since 1970",
    "us": "microseconds since 1970",
    "ns": "nanoseconds since 1970",
    "excel": "days as Excel counts them",
    "yyyymmdd": "numbers such as 20240131",
    "yyyymm": "numbers such as 202401",
    "yyyy": "years",
    "yyyymmddhh": "numbers such as 2024013123",
    "yyyymmddhhmm": "numbers such as 202401312359",
    "yyyymmddhhmmss": "numbers such as 20240131235959",
    "yymmddhhmm": "numbers such as 2401312359",
}

PLAIN = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
"""A number that needs no statement; for Python and DuckDB alike."""
Mark = Literal["point", "comma"]
NumberFormat = Literal["point", "comma", "point %", "comma %", "point ‰", "comma ‰"]
NUMBER_FORMATS: tuple[NumberFormat, ...] = get_args(NumberFormat)
NUMBERS_IN_WORDS: dict[NumberFormat, str] = {
    "point": "numbers with a decimal point, thousands apart or a currency's sign",
    "comma": "numbers with a decimal comma",
    "point %": "percent, read as shares: 12 % is 0.12",
    "comma %": "percent with a decimal comma, read as shares: 12,5 % is 0.125",
    "point ‰": "per mille, read as shares: 12 ‰ is 0.012",
    "comma ‰": "per mille with a decimal comma, read as shares: 12,5 ‰ is 0.0125",
}

MISSING: tuple[str, ...] = (
    *("", "NA", "N/A", "n/a", "<NA>", "#NA", "#N/A", "#N/A N/A"),
    *("NULL", "Null", "null", "None", "\\N", "?", "-", "--", "–", "—", "−", "."),
    *("NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
    *("#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!"),
    *("inf", "-inf", "+inf", "Inf", "-Inf", "INF", "-INF", "Infinity", "-Infinity", "infinity", "-infinity"),
)
"""Texts that stand for a missing value in CSV files: of spreadsheets, databases, R and Python."""
